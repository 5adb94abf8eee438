internal import LLVMKit
internal import MoTIR

/// Emits the head's matmul and the cross-entropy behind it, in blocks of rows: logits live in scratch memory.
///
/// Strips of the vocabulary are so narrow that all that is done to one stays in the second cache. The largest logit
/// and the sum of exponentials come strip by strip, as in attention: exponentials are relative to the largest logit so
/// far.
///
/// With gradients, chunk by chunk: every thread computes its blocks' losses, logit gradients and dx and
/// lays logit gradients and x out for the outer products; then all threads add the chunk to dw.
/// D the width, V the vocabulary.
final class HeadEmitter {
  let code: CodeGenerator
  let shape: HeadLossShape
  let frame: KernelFrame
  var ir: IRBuilder { code.ir }
  let x, forward, targets, losses: IRValue
  /// backward form, dlosses, dx, dw, workspace
  let gradient: [IRValue]
  /// Rows of a block at most.
  let mostRows: Int
  let strips: Strips
  let scratch: Scratch

  /// The strips of a vocabulary: whole panels, and the last one is as wide as is left.
  struct Strips {
    let count, width, last: Int

    /// Divides a vocabulary into equal strips of about 1,024 columns where the second cache has 1 MiB for operands: 128
    /// rows of a strip are half of that, and as an operand of three terms three quarters.
    init(of vocabulary: Int, _ code: CodeGenerator) {
      let tile = code.plan.tile
      let most = max(tile.columns, code.target.operandBytes >> 10)
      let wanted = (vocabulary + most - 1) / most
      width = tile.padded((vocabulary + wanted - 1) / wanted)
      count = (vocabulary + width - 1) / width
      last = (vocabulary - 1) % width + 1
    }
  }

  /// A strip in emitted code.
  struct Strip {
    let number: IRValue
    /// Its first column.
    let first: IRValue
    let width: Int
  }

  /// Neighbouring rows: the first, and how many.
  struct Block {
    let first, count: IRValue
  }

  /// A row of a block: its number there, and among all rows.
  struct Row {
    let inBlock, index: IRValue
  }

  /// Scratch areas of a block, in bytes from the start.
  struct Scratch {
    /// dx, where its rows are not whole panels; logits, or exponentials, of a block or of a strip; rows of x, and of a
    /// strip of logit gradients, as operands.
    private(set) var inputGradient = 0, logits = 0, operand = 0, logitOperand = 0
    /// A number a row: the largest logit so far, the sum of exponentials relative to it, the target's logit, what
    /// exponentials are multiplied by, what is taken from the target's.
    private(set) var top = 0, sum = 0, logit = 0, scale = 0, factor = 0
    /// By strip and row, the largest logit when the strip's exponentials were taken.
    private(set) var stripTops = 0
    /// f32 from one row of logits to the next.
    let leading: Int
    private(set) var bytes = 0

    init(
      _ shape: HeadLossShape, rows: Int, strips: Strips, logits columns: Int, _ code: CodeGenerator
    ) {
      let tile = code.plan.tile
      leading = tile.padded(columns) + code.lineUnits
      let areas: [(WritableKeyPath<Scratch, Int>, units: Int)] = [
        (\.inputGradient, tile.padded(shape.width) + code.lineUnits), (\.logits, leading),
        (\.operand, code.headOperandStride(shape.width)),
        (\.logitOperand, code.headOperandStride(strips.width)),
        (\.top, 1), (\.sum, 1), (\.logit, 1), (\.scale, 1), (\.factor, 1),
        (\.stripTops, strips.count),
      ]
      for (area, units) in areas {
        self[keyPath: area] = bytes
        bytes += 4 * rows * units
      }
    }
  }

  init(_ code: CodeGenerator, _ shape: HeadLossShape, _ frame: KernelFrame) {
    self.code = code
    self.shape = shape
    self.frame = frame
    let a = frame.arguments
    (x, forward) = (a[0], a[1])
    (targets, losses) = shape.hasGradient ? (a[3], a[5]) : (a[2], a[3])
    gradient = shape.hasGradient ? [a[2], a[4], a[6], a[7], a[8]] : []
    strips = Strips(of: shape.vocabulary, code)
    let columns = shape.hasGradient ? shape.vocabulary : strips.width
    mostRows = Self.mostRows(logits: columns, code)
    scratch = Scratch(shape, rows: mostRows, strips: strips, logits: columns, code)
    code.reserveScratch(scratch.bytes)
  }

  /// Returns the rows that a block of `columns` logits may have: all of them use a panel of the weights before the next
  /// one comes, which is from memory where the vocabulary is large. Logits are to be no more than 16 MiB a thread.
  private static func mostRows(logits columns: Int, _ code: CodeGenerator) -> Int {
    guard code.operands.isTiled else { return leastRows }
    let bytes = 4 * code.plan.tile.padded(columns)
    return [128, 64].first { $0 * bytes <= 16 << 20 } ?? leastRows
  }

  private static let leastRows = 32

  func emit() {
    guard shape.hasGradient else {
      _ = forEachBlock(of: ir.int(shape.rows), after: ir.int(0)) { emitLosses($0) }
      return
    }
    _ = ir.loop(
      from: ir.int(0), to: ir.int(shape.rows), by: shape.chunk, carrying: [ir.int(0)]
    ) { start, parts in
      let rows = ir.min(ir.int(shape.chunk), ir.sub(ir.int(shape.rows), start))
      let chunk = Block(first: start, count: rows)
      let blocks = ir.add(parts[0], emitBlocks(of: chunk, after: parts[0]))
      code.barrier(frame.control, frame.threads)
      let products = emitWeightGradient(of: chunk, after: blocks)
      code.barrier(frame.control, frame.threads)
      return [ir.add(blocks, products)]
    }
  }

  // MARK: Places

  /// Emits the loop over a thread's blocks of rows `0..<rows`.
  ///
  /// - Parameter before: how many parts of the call's work are done behind a barrier.
  /// - Returns: how many blocks these are, each a part.
  func forEachBlock(
    of rows: IRValue, after before: IRValue, _ body: (Block) -> Void
  ) -> IRValue {
    let together = shape.hasGradient ? shape.chunk : shape.rows
    let least = Self.leastRows
    // Threads have four blocks each, if those are no lower than the least.
    let share = ir.udiv(ir.int(together), ir.mul(frame.threads, ir.int(4 * least)))
    let height = ir.max(
      ir.min(ir.mul(share, ir.int(least)), ir.int(mostRows)), ir.int(least))
    let blocks = code.ceilDivide(rows, height)
    code.forEachPart(of: blocks, after: before, frame) { block in
      let first = ir.mul(block, height)
      body(Block(first: first, count: ir.min(height, ir.sub(rows, first))))
    }
    return blocks
  }

  func forEachRow(of block: Block, _ body: (Row) -> Void) {
    ir.loop(from: ir.int(0), to: block.count) { row in
      body(Row(inBlock: row, index: ir.add(block.first, row)))
    }
  }

  func forEachStrip(_ body: (Strip) -> Void) {
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

  /// Returns the address of a block of rows of width D.
  func at(_ base: IRValue, _ block: Block) -> IRValue {
    code.at(base, ir.mul(block.first, ir.int(shape.width)))
  }

  /// Returns the address of a scratch area.
  func area(_ area: KeyPath<Scratch, Int>) -> IRValue {
    code.bytes(frame.scratch, ir.int(scratch[keyPath: area]))
  }

  /// Returns the address of a row's number in an area that has one a row.
  func state(_ area: KeyPath<Scratch, Int>, _ row: Row) -> IRValue {
    code.at(self.area(area), row.inBlock)
  }

  /// Returns the address of the largest logit that a row had when the exponentials of `strip` were taken.
  func stripTop(_ strip: Strip, _ row: Row) -> IRValue {
    let first = ir.mul(strip.number, ir.int(mostRows))
    return code.at(area(\.stripTops), ir.add(first, row.inBlock))
  }

  /// Returns the address of a strip of a block's logits.
  func logits(_ strip: Strip) -> IRValue {
    shape.hasGradient ? code.at(area(\.logits), strip.first) : area(\.logits)
  }

  /// Returns the address of a strip of a row's logits.
  func logits(_ strip: Strip, _ row: Row) -> IRValue {
    code.at(logits(strip), ir.mul(row.inBlock, ir.int(scratch.leading)))
  }

  /// Emits `body(column)` where the target of `row` is in `strip`: its column there.
  func whereTarget(of row: Row, isIn strip: Strip, _ body: (IRValue) -> Void) {
    let column = ir.sub(code.loadIndex(targets, row.index), strip.first)
    let isInside = ir.and(
      ir.compare(.lessOrEqual, ir.int(0), column), ir.compare(.less, column, ir.int(strip.width)))
    ir.when(isInside) { body(column) }
  }

  // MARK: Logits and losses

  /// The losses of a block, and of its logits the exponentials.
  func emitLosses(_ block: Block) {
    forEachRow(of: block) { row in
      // Finite, so that the difference of two is no NaN.
      ir.store(ir.float(-1e30), state(\.top, row))
      ir.store(ir.float(0), state(\.sum, row))
      ir.store(ir.float(0), state(\.logit, row))
    }
    let source = at(x, block)
    let rows =
      code.plan.backend == .blas
      ? nil
      : operand(source, stride: shape.width, width: shape.width, block.count, into: \.operand)
    forEachStrip { strip in
      emitLogits(strip, rows, source, block.count)
      forEachRow(of: block) { addExponentials(strip, $0) }
    }
    forEachRow(of: block) { emitLoss($0) }
  }

  /// logits[count, strip] = x[block] wᵀ
  private func emitLogits(
    _ strip: Strip, _ rows: MatmulOperand?, _ source: IRValue, _ count: IRValue
  ) {
    let width = ir.int(shape.width)
    guard let rows else {
      return code.sgemm(
        .init(
          m: count, n: ir.int(strip.width), k: width, a: source, lda: width,
          b: code.at(forward, ir.mul(strip.first, width)), ldb: width, transposeB: true,
          c: logits(strip), ldc: ir.int(scratch.leading)))
    }
    let units = code.operands.units(shape.width)
    let panel = code.plan.tile.columns
    code.multiply(
      rows,
      MatmulPanels(
        base: code.at(forward, ir.mul(strip.first, ir.int(units))), panelStride: units * panel,
        depthStride: panel),
      into: MatmulResult(base: logits(strip), leading: scratch.leading), rows: count,
      panels: ir.int(code.plan.tile.padded(strip.width) / panel), depth: ir.int(units),
      operands: code.operands)
  }

  /// Returns rows of f32 as a matmul operand: in place, or in units of pairs in scratch memory.
  func operand(
    _ rows: IRValue, stride: Int, width: Int, _ count: IRValue, into target: KeyPath<Scratch, Int>
  ) -> MatmulOperand {
    guard code.operands != .f32 else {
      return MatmulOperand(base: rows, rowStride: stride, depthStride: 1)
    }
    let area = area(target)
    let units = code.headOperandStride(width)
    ir.loop(from: ir.int(0), to: count) { row in
      let source = code.at(rows, ir.mul(row, ir.int(stride)))
      let target = code.operandRow(row, units: units, in: area)
      code.openOperandRow(target, width: width)
      code.columns(width) { column, active in
        code.storeOperand(
          code.load(code.at(source, column), active, scalar: width == 1), target, column, active)
      }
    }
    return MatmulOperand(
      base: area, rowStride: units, depthStride: 1, isTiled: code.operands.isTiled)
  }

  /// Adds a strip of a row to its sum; where there are gradients, the logits become exponentials.
  private func addExponentials(_ strip: Strip, _ row: Row) {
    let logits = logits(strip, row)
    whereTarget(of: row, isIn: strip) { column in
      ir.store(ir.load(ir.f32, code.at(logits, column)), state(\.logit, row))
    }
    let lowest = ir.float(-.infinity, code.vector)
    let largest = code.columns(strip.width, carrying: [lowest]) { column, active, carried in
      let values = code.load(code.at(logits, column), active)
      return [ir.fmax(code.fillTail(values, active, -.infinity), carried[0])]
    }
    let before = ir.load(ir.f32, state(\.top, row))
    let top = ir.fmax(ir.reduce(largest[0], ir.fmax), before)
    let splat = ir.splat(top, code.lanes)
    let sums = code.columns(strip.width, carrying: [ir.zero(code.vector)]) {
      column, active, carried in
      let p = code.exp(ir.fsub(code.load(code.at(logits, column), active), splat))
      if shape.hasGradient { code.store(p, code.at(logits, column), active) }
      return [ir.fadd(carried[0], code.fillTail(p, active, 0))]
    }
    let sum = ir.fmul(ir.load(ir.f32, state(\.sum, row)), exp(ir.fsub(before, top)))
    ir.store(ir.fadd(sum, ir.reduce(sums[0], ir.fadd)), state(\.sum, row))
    ir.store(top, state(\.top, row))
    if shape.hasGradient { ir.store(top, stripTop(strip, row)) }
  }

  /// Returns e to the power of a scalar.
  func exp(_ value: IRValue) -> IRValue {
    ir.reduce(code.exp(ir.splat(value, code.lanes)), ir.fmax)
  }

  /// The loss of a row, and what its gradients are made with.
  private func emitLoss(_ row: Row) {
    let counts = ir.compare(.greaterOrEqual, code.loadIndex(targets, row.index), ir.int(0))
    func load(_ area: KeyPath<Scratch, Int>) -> IRValue { ir.load(ir.f32, state(area, row)) }
    let sum = load(\.sum)
    let loss = ir.fsub(ir.fadd(code.log(sum), load(\.top)), load(\.logit))
    ir.store(ir.select(counts, loss, ir.float(0)), code.at(losses, row.index))
    guard shape.hasGradient else { return }
    let upstream = ir.load(ir.f32, code.at(gradient[1], row.index))
    let factor = ir.select(counts, upstream, ir.float(0))
    ir.store(factor, state(\.factor, row))
    ir.store(ir.fdiv(factor, sum), state(\.scale, row))
  }
}

extension CodeGenerator {
  /// Units from one row of an operand of the head to the next, a cache line between them.
  fileprivate func headOperandStride(_ width: Int) -> Int { operands.units(width) + lineUnits }
}
