internal import LLVMKit
internal import MoTIR

// The head's matmul and the cross-entropy behind it, in blocks of rows: logits live in scratch memory.
//
// Strips of the vocabulary are so narrow that all that is done to one stays in the second cache. The largest logit and the
// sum of exponentials come strip by strip, as in attention: exponentials are relative to the largest logit so far.
//
// With gradients, chunk by chunk: every thread computes its blocks' losses, logit gradients and dx and
// lays logit gradients and x out for the outer products; then all threads add the chunk to dw.
// D the width, V the vocabulary.
extension CodeGenerator {
  /// The arguments and scratch areas of a head with its loss.
  struct Head {
    let shape: HeadLossShape
    let frame: KernelFrame
    let x, forward, targets, losses: IRValue
    /// backward form, dlosses, dx, dw, workspace
    let gradient: [IRValue]
    let strips: Strips
    /// f32 from one row of logits to the next.
    let leading: Int
    let areas: Areas
  }

  /// Scratch areas of a block, in bytes from the start.
  struct Areas {
    /// dx, where its rows are not whole panels; logits, or exponentials, of a block or of a strip; rows of x, and of a
    /// strip of logit gradients, as operands.
    var inputGradient = 0, logits = 0, operand = 0, logitOperand = 0
    /// A number a row: the largest logit so far, the sum of exponentials relative to it, the target's logit, what
    /// exponentials are multiplied by, what is taken from the target's.
    var top = 0, sum = 0, logit = 0, scale = 0, factor = 0
    /// By strip and row, the largest logit when the strip's exponentials were taken.
    var stripTops = 0
  }

  /// The strips of a vocabulary: whole panels, and the last one is as wide as is left.
  struct Strips {
    let count, width, last: Int
  }

  /// A strip in emitted code.
  struct Strip {
    let number: IRValue
    /// Its first column.
    let first: IRValue
    let width: Int
  }

  func emitHeadLoss(_ shape: HeadLossShape, _ frame: KernelFrame) {
    let head = makeHead(shape, frame)
    guard shape.hasGradient else {
      _ = forEachBlock(head, of: ir.int(shape.rows), after: ir.int(0)) { first, count in
        emitLosses(head, first, count)
      }
      return
    }
    _ = ir.loop(
      from: ir.int(0), to: ir.int(shape.rows), by: shape.chunk, carrying: [ir.int(0)]
    ) { start, parts in
      let rows = ir.min(ir.int(shape.chunk), ir.sub(ir.int(shape.rows), start))
      let blocks = ir.add(parts[0], emitChunk(head, start, rows, after: parts[0]))
      barrier(frame.control, frame.threads)
      let products = emitWeightGradient(head, start, rows, after: blocks)
      barrier(frame.control, frame.threads)
      return [ir.add(blocks, products)]
    }
  }

  /// Emits the loop over a thread's blocks of `rows` rows: the first row and how many.
  ///
  /// - Parameter before: how many parts of the call's work are done behind a barrier.
  /// - Returns: how many blocks these are, each a part.
  func forEachBlock(
    _ head: Head, of rows: IRValue, after before: IRValue, _ body: (IRValue, IRValue) -> Void
  ) -> IRValue {
    let shape = head.shape
    let together = shape.hasGradient ? shape.chunk : shape.rows
    // Threads have four blocks each, if those are no lower than a tile.
    let share = ir.udiv(ir.int(together), ir.mul(head.frame.threads, ir.int(4 * headTile)))
    let height = ir.max(
      ir.min(ir.mul(share, ir.int(headTile)), ir.int(mostHeadRows(shape))), ir.int(headTile))
    let blocks = ceilDivide(rows, height)
    forEachPart(of: blocks, after: before, head.frame) { block in
      let first = ir.mul(block, height)
      body(first, ir.min(height, ir.sub(rows, first)))
    }
    return blocks
  }

  private var headTile: Int { 32 }

  /// Returns the rows that a block may have: all of them use a panel of the weights before the next one comes, which is
  /// from memory where the vocabulary is large. Logits of so many are to be no more than 16 MiB a thread.
  private func mostHeadRows(_ shape: HeadLossShape) -> Int {
    guard operands.isTiled else { return headTile }
    let bytes = 4 * plan.tile.padded(logitColumns(shape))
    return [128, 64].first { $0 * bytes <= 16 << 20 } ?? headTile
  }

  /// Returns how many logits of a row are kept: without gradients a strip's.
  private func logitColumns(_ shape: HeadLossShape) -> Int {
    shape.hasGradient ? shape.vocabulary : strips(of: shape.vocabulary).width
  }

  private func makeHead(_ shape: HeadLossShape, _ frame: KernelFrame) -> Head {
    let a = frame.arguments
    let strips = strips(of: shape.vocabulary)
    let leading = plan.tile.padded(logitColumns(shape)) + lineUnits
    var areas = Areas()
    var bytes = 0
    func reserve(_ area: WritableKeyPath<Areas, Int>, _ units: Int) {
      areas[keyPath: area] = bytes
      bytes += 4 * mostHeadRows(shape) * units
    }
    reserve(\.inputGradient, plan.tile.padded(shape.width) + lineUnits)
    reserve(\.logits, leading)
    reserve(\.operand, operandStride(shape.width))
    reserve(\.logitOperand, operandStride(strips.width))
    for area in [\Areas.top, \.sum, \.logit, \.scale, \.factor] { reserve(area, 1) }
    reserve(\.stripTops, strips.count)
    reserveScratch(bytes)
    return Head(
      shape: shape, frame: frame, x: a[0], forward: a[1], targets: a[shape.hasGradient ? 3 : 2],
      losses: a[shape.hasGradient ? 5 : 3],
      gradient: shape.hasGradient ? [a[2], a[4], a[6], a[7], a[8]] : [], strips: strips,
      leading: leading, areas: areas)
  }

  func area(_ area: KeyPath<Areas, Int>, _ head: Head) -> IRValue {
    bytes(head.frame.scratch, ir.int(head.areas[keyPath: area]))
  }

  // MARK: Strips

  /// Equal strips of about 1,024 columns where the second cache has 1 MiB for operands: 128 rows of a strip are half of
  /// that, and as an operand of three terms three quarters.
  private func strips(of vocabulary: Int) -> Strips {
    let most = max(plan.tile.columns, target.operandBytes >> 10)
    let count = (vocabulary + most - 1) / most
    let width = plan.tile.padded((vocabulary + count - 1) / count)
    return Strips(
      count: (vocabulary + width - 1) / width, width: width,
      last: (vocabulary - 1) % width + 1)
  }

  func forEachStrip(_ head: Head, _ body: (Strip) -> Void) {
    let strips = head.strips
    func emit(_ number: IRValue, _ width: Int) {
      body(Strip(number: number, first: ir.mul(number, ir.int(strips.width)), width: width))
    }
    let whole = strips.last == strips.width ? strips.count : strips.count - 1
    if whole > 1 {
      ir.loop(from: ir.int(0), to: ir.int(whole)) { emit($0, strips.width) }
    } else if whole == 1 {
      emit(ir.int(0), strips.width)
    }
    if whole < strips.count { emit(ir.int(whole), strips.last) }
  }

  /// Returns a strip of a block's logits.
  func logits(_ head: Head, _ strip: Strip) -> IRValue {
    let all = area(\.logits, head)
    return head.shape.hasGradient ? at(all, strip.first) : all
  }

  /// Emits `body(column)` where the target of row `row` is in `strip`: its column there.
  func whereTarget(
    _ head: Head, of row: IRValue, isIn strip: Strip, _ body: (IRValue) -> Void
  ) {
    let column = ir.sub(loadIndex(head.targets, row), strip.first)
    let isInside = ir.and(
      ir.compare(.lessOrEqual, ir.int(0), column), ir.compare(.less, column, ir.int(strip.width)))
    ir.when(isInside) { body(column) }
  }

  // MARK: Logits and losses

  /// The losses of a block, and of its logits the exponentials.
  func emitLosses(_ head: Head, _ first: IRValue, _ count: IRValue) {
    ir.loop(from: ir.int(0), to: count) { row in
      // Finite, so that the difference of two is no NaN.
      ir.store(ir.float(-1e30), at(area(\.top, head), row))
      ir.store(ir.float(0), at(area(\.sum, head), row))
      ir.store(ir.float(0), at(area(\.logit, head), row))
    }
    let shape = head.shape
    let source = at(head.x, ir.mul(first, ir.int(shape.width)))
    let rows =
      plan.backend == .blas
      ? nil : operand(source, stride: shape.width, width: shape.width, count, \.operand, head)
    forEachStrip(head) { strip in
      emitLogits(head, strip, rows, source, count)
      ir.loop(from: ir.int(0), to: count) { addExponentials(head, strip, $0, ir.add(first, $0)) }
    }
    ir.loop(from: ir.int(0), to: count) { emitLoss(head, $0, ir.add(first, $0)) }
  }

  /// logits[count, strip] = x[first…] wᵀ
  private func emitLogits(
    _ head: Head, _ strip: Strip, _ rows: MatmulOperand?, _ source: IRValue, _ count: IRValue
  ) {
    let width = ir.int(head.shape.width)
    guard let rows else {
      return sgemm(
        Sgemm(
          m: count, n: ir.int(strip.width), k: width, a: source, lda: width,
          b: at(head.forward, ir.mul(strip.first, width)), ldb: width, transposeB: true,
          c: logits(head, strip), ldc: ir.int(head.leading)))
    }
    let units = operands.units(head.shape.width)
    let panel = plan.tile.columns
    multiply(
      rows,
      MatmulPanels(
        base: at(head.forward, ir.mul(strip.first, ir.int(units))), panelStride: units * panel,
        depthStride: panel),
      into: MatmulResult(base: logits(head, strip), leading: head.leading), rows: count,
      panels: ir.int(plan.tile.padded(strip.width) / panel), depth: ir.int(units),
      operands: operands)
  }

  /// Units from one row of an operand to the next, a cache line between them.
  private func operandStride(_ width: Int) -> Int { operands.units(width) + lineUnits }

  /// Returns rows of f32 as a matmul operand: in place, or in units of pairs in scratch memory.
  func operand(
    _ rows: IRValue, stride: Int, width: Int, _ count: IRValue, _ target: KeyPath<Areas, Int>,
    _ head: Head
  ) -> MatmulOperand {
    guard operands != .f32 else {
      return MatmulOperand(base: rows, rowStride: stride, depthStride: 1)
    }
    let area = area(target, head)
    let units = operandStride(width)
    ir.loop(from: ir.int(0), to: count) { row in
      let source = at(rows, ir.mul(row, ir.int(stride)))
      let target = operandRow(row, units: units, in: area)
      openOperandRow(target, width: width)
      columns(width) { column, active in
        storeOperand(
          load(at(source, column), active, scalar: width == 1), target, column, active)
      }
    }
    return MatmulOperand(
      base: area, rowStride: units, depthStride: 1, isTiled: operands.isTiled)
  }

  /// Adds a strip of a row to its sum; where there are gradients, the logits become exponentials.
  private func addExponentials(_ head: Head, _ strip: Strip, _ inBlock: IRValue, _ row: IRValue) {
    let logits = at(logits(head, strip), ir.mul(inBlock, ir.int(head.leading)))
    whereTarget(head, of: row, isIn: strip) { column in
      ir.store(ir.load(ir.f32, at(logits, column)), at(area(\.logit, head), inBlock))
    }
    let lowest = ir.float(-.infinity, vector)
    let largest = columns(strip.width, carrying: [lowest]) { column, active, carried in
      [ir.fmax(fillTail(load(at(logits, column), active), active, -.infinity), carried[0])]
    }
    let (topPlace, sumPlace) = (at(area(\.top, head), inBlock), at(area(\.sum, head), inBlock))
    let before = ir.load(ir.f32, topPlace)
    let top = ir.fmax(ir.reduce(largest[0], ir.fmax), before)
    let sums = columns(strip.width, carrying: [ir.zero(vector)]) { column, active, carried in
      let p = exp(ir.fsub(load(at(logits, column), active), ir.splat(top, lanes)))
      if head.shape.hasGradient { store(p, at(logits, column), active) }
      return [ir.fadd(carried[0], fillTail(p, active, 0))]
    }
    let sumBefore = ir.fmul(ir.load(ir.f32, sumPlace), scalarExp(ir.fsub(before, top)))
    ir.store(ir.fadd(sumBefore, ir.reduce(sums[0], ir.fadd)), sumPlace)
    ir.store(top, topPlace)
    guard head.shape.hasGradient else { return }
    ir.store(top, stripTop(head, strip, inBlock))
  }

  func stripTop(_ head: Head, _ strip: Strip, _ inBlock: IRValue) -> IRValue {
    let first = ir.mul(strip.number, ir.int(mostHeadRows(head.shape)))
    return at(area(\.stripTops, head), ir.add(first, inBlock))
  }

  func scalarExp(_ value: IRValue) -> IRValue {
    ir.reduce(exp(ir.splat(value, lanes)), ir.fmax)
  }

  /// The loss of a row, and what its gradients are made with.
  private func emitLoss(_ head: Head, _ inBlock: IRValue, _ row: IRValue) {
    let counts = ir.compare(.greaterOrEqual, loadIndex(head.targets, row), ir.int(0))
    func state(_ place: KeyPath<Areas, Int>) -> IRValue { at(area(place, head), inBlock) }
    let sum = ir.load(ir.f32, state(\.sum))
    let loss = ir.fsub(
      ir.fadd(log(sum), ir.load(ir.f32, state(\.top))), ir.load(ir.f32, state(\.logit)))
    ir.store(ir.select(counts, loss, ir.float(0)), at(head.losses, row))
    guard head.shape.hasGradient else { return }
    let factor = ir.select(counts, ir.load(ir.f32, at(head.gradient[1], row)), ir.float(0))
    ir.store(factor, state(\.factor))
    ir.store(ir.fdiv(factor, sum), state(\.scale))
  }
}
