internal import LLVMKit
internal import MoTIR

// The head's matmul and the cross-entropy behind it, in blocks of rows: logits live in scratch memory.
//
// With gradients, chunk by chunk: every thread computes its blocks' losses, logit gradients and dx and
// lays logit gradients and x out for the outer products; then all threads add the chunk to dw.
// D the width, V the vocabulary.
extension CodeGenerator {
  /// The arguments and scratch areas of a head with its loss.
  private struct Head {
    let shape: HeadLossShape
    let frame: KernelFrame
    let x, forward, targets, losses: IRValue
    /// backward form, dlosses, dx, dw, workspace
    let gradient: [IRValue]
    let leading, logits, operand, logitOperand: Int

    func area(_ offset: Int, _ code: CodeGenerator) -> IRValue {
      code.bytes(frame.scratch, code.ir.int(offset))
    }
  }

  func emitHeadLoss(_ shape: HeadLossShape, _ frame: KernelFrame) {
    let head = makeHead(shape, frame)
    guard shape.hasGradient else {
      _ = forEachBlock(head, of: ir.int(shape.rows), after: ir.int(0)) { first, count in
        emitLogits(head, first, count)
        ir.loop(from: ir.int(0), to: count) { emitLoss(head, $0, ir.add(first, $0), nil) }
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
  private func forEachBlock(
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
  /// from memory where the vocabulary is large. Logits of so many, and their gradients as operands, are to be no more than
  /// 16 MiB a thread.
  private func mostHeadRows(_ shape: HeadLossShape) -> Int {
    guard operands.isTiled else { return headTile }
    let bytes = 4 * (plan.tile.padded(shape.vocabulary) + operands.units(shape.vocabulary))
    return [128, 64].first { $0 * bytes <= 16 << 20 } ?? headTile
  }

  private func makeHead(_ shape: HeadLossShape, _ frame: KernelFrame) -> Head {
    let a = frame.arguments
    let leading = plan.tile.padded(shape.vocabulary) + 16
    let rows = mostHeadRows(shape)
    let logits = 4 * rows * (plan.tile.padded(shape.width) + 16)
    let operand = logits + 4 * rows * leading
    let logitOperand = operand + 4 * rows * operandStride(shape.width)
    reserveScratch(logitOperand + 4 * rows * operandStride(shape.vocabulary))
    return shape.hasGradient
      ? Head(
        shape: shape, frame: frame, x: a[0], forward: a[1], targets: a[3], losses: a[5],
        gradient: [a[2], a[4], a[6], a[7], a[8]], leading: leading, logits: logits,
        operand: operand, logitOperand: logitOperand)
      : Head(
        shape: shape, frame: frame, x: a[0], forward: a[1], targets: a[2], losses: a[3],
        gradient: [], leading: leading, logits: logits, operand: operand,
        logitOperand: logitOperand)
  }

  // MARK: Logits and losses

  /// logits[count, V] = x[first…] wᵀ
  private func emitLogits(_ head: Head, _ first: IRValue, _ count: IRValue) {
    let shape = head.shape
    let rows = at(head.x, ir.mul(first, ir.int(shape.width)))
    let target = head.area(head.logits, self)
    if plan.backend == .blas {
      return sgemm(
        Sgemm(
          m: count, n: ir.int(shape.vocabulary), k: ir.int(shape.width), a: rows,
          lda: ir.int(shape.width), b: head.forward, ldb: ir.int(shape.width), transposeB: true,
          c: target, ldc: ir.int(head.leading)))
    }
    let units = operands.units(shape.width)
    let panel = plan.tile.columns
    multiply(
      operand(head, rows, stride: shape.width, width: shape.width, count, into: head.operand),
      MatmulPanels(base: head.forward, panelStride: units * panel, depthStride: panel),
      into: MatmulResult(base: target, leading: head.leading), rows: count,
      panels: ir.int(plan.tile.padded(shape.vocabulary) / panel), depth: ir.int(units),
      operands: operands)
  }

  /// Units from one row of an operand to the next, a cache line between them.
  private func operandStride(_ width: Int) -> Int { operands.units(width) + 16 }

  /// Returns rows of f32 as a matmul operand: in place, or in units of pairs in scratch memory.
  private func operand(
    _ head: Head, _ rows: IRValue, stride: Int, width: Int, _ count: IRValue, into offset: Int
  ) -> MatmulOperand {
    guard operands != .f32 else {
      return MatmulOperand(base: rows, rowStride: stride, depthStride: 1)
    }
    let area = head.area(offset, self)
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

  /// The loss of a row of logits, which become their gradients where `dlosses` is given.
  private func emitLoss(_ head: Head, _ inBlock: IRValue, _ row: IRValue, _ dlosses: IRValue?) {
    let logits = at(head.area(head.logits, self), ir.mul(inBlock, ir.int(head.leading)))
    let width = head.shape.vocabulary
    let target = loadIndex(head.targets, row)
    let counts = ir.compare(.greaterOrEqual, target, ir.int(0))
    let place = at(logits, ir.max(target, ir.int(0)))
    let lowest = ir.float(-.infinity, vector)
    let largest = columns(width, carrying: [lowest]) { column, active, carried in
      [ir.fmax(fillTail(load(at(logits, column), active), active, -.infinity), carried[0])]
    }
    let top = ir.reduce(largest[0], ir.fmax)
    let logit = ir.load(ir.f32, place)
    let sums = columns(width, carrying: [ir.zero(vector)]) { column, active, carried in
      let p = exp(ir.fsub(load(at(logits, column), active), ir.splat(top, lanes)))
      if dlosses != nil { store(p, at(logits, column), active) }
      return [ir.fadd(carried[0], fillTail(p, active, 0))]
    }
    let sum = ir.reduce(sums[0], ir.fadd)
    let loss = ir.fsub(ir.fadd(log(sum), top), logit)
    ir.store(ir.select(counts, loss, ir.float(0)), at(head.losses, row))
    guard let dlosses else { return }
    let factor = ir.select(counts, ir.load(ir.f32, at(dlosses, row)), ir.float(0))
    let scale = ir.splat(ir.fdiv(factor, sum), lanes)
    _ = columns(width, carrying: []) { column, active, _ in
      store(ir.fmul(load(at(logits, column), active), scale), at(logits, column), active)
      return []
    }
    ir.store(ir.fsub(ir.load(ir.f32, place), factor), place)
  }

  // MARK: Gradients

  /// Losses, logit gradients and dx of those of a chunk's blocks that this thread does; returns how many blocks there
  /// are.
  private func emitChunk(
    _ head: Head, _ start: IRValue, _ rows: IRValue, after before: IRValue
  ) -> IRValue {
    forEachBlock(head, of: rows, after: before) { inChunk, count in
      let first = ir.add(start, inChunk)
      emitLogits(head, first, count)
      ir.loop(from: ir.int(0), to: count) {
        emitLoss(head, $0, ir.add(first, $0), head.gradient[1])
      }
      emitInputGradient(head, first, count)
      layOut(head, first, inChunk, count)
    }
  }

  /// dx[first…] = dlogits w
  private func emitInputGradient(_ head: Head, _ first: IRValue, _ count: IRValue) {
    let shape = head.shape
    let logits = head.area(head.logits, self)
    let dx = at(head.gradient[2], ir.mul(first, ir.int(shape.width)))
    if plan.backend == .blas {
      return sgemm(
        Sgemm(
          m: count, n: ir.int(shape.width), k: ir.int(shape.vocabulary), a: logits,
          lda: ir.int(head.leading), b: head.gradient[0], ldb: ir.int(shape.width), c: dx,
          ldc: ir.int(shape.width)))
    }
    let units = operands.units(shape.vocabulary)
    let panel = plan.tile.columns
    let isWhole = shape.width.isMultiple(of: panel)
    let leading = isWhole ? shape.width : plan.tile.padded(shape.width) + 16
    let target = isWhole ? dx : head.area(0, self)
    multiply(
      operand(
        head, logits, stride: head.leading, width: shape.vocabulary, count, into: head.logitOperand),
      MatmulPanels(base: head.gradient[0], panelStride: units * panel, depthStride: panel),
      into: MatmulResult(base: target, leading: leading), rows: count,
      panels: ir.int(plan.tile.padded(shape.width) / panel), depth: units,
      by: pieceOfDepth(units, rows: mostHeadRows(shape)), operands: operands)
    guard !isWhole else { return }
    ir.loop(from: ir.int(0), to: count) { row in
      ir.copy(
        to: at(dx, ir.mul(row, ir.int(shape.width))),
        from: at(target, ir.mul(row, ir.int(leading))), bytes: ir.int(4 * shape.width))
    }
  }

  /// Units of depth that a chunk has room for.
  private func chunkUnits(_ shape: HeadLossShape) -> Int {
    operands.outerUnits(rows: shape.chunk, parts: 1)
  }

  /// Lays a block's logit gradients and rows of x out for the outer products.
  private func layOut(_ head: Head, _ first: IRValue, _ inChunk: IRValue, _ count: IRValue) {
    let shape = head.shape
    let units = chunkUnits(shape)
    let logits = SourceRows(
      base: head.area(head.logits, self), width: shape.vocabulary, stride: head.leading,
      start: ir.int(0), end: count)
    let x = SourceRows(
      base: head.x, width: shape.width, stride: shape.width, start: first,
      end: ir.add(first, count))
    let bands = ceilDivide(count, operands.band)
    let base = at(head.gradient[4], plan.tile.padded(shape.vocabulary) * units)
    for (rows, side, base) in [(logits, OuterSide.left, head.gradient[4]), (x, .right, base)] {
      let bytes = 4 * units * plan.tile.padded(rows.width)
      let area = OuterArea(side: side, base: base, units: units, bytes: bytes)
      layOut(rows, bands: (ir.int(0), bands), into: area, from: self.units(inChunk))
    }
  }

  /// dw (+)= dlogitsᵀ x over a chunk; the first chunk sets it. Returns how many parts that are.
  private func emitWeightGradient(
    _ head: Head, _ start: IRValue, _ rows: IRValue, after before: IRValue
  ) -> IRValue {
    let shape = head.shape
    let units = chunkUnits(shape)
    let x = at(head.gradient[4], plan.tile.padded(shape.vocabulary) * units)
    let chunk = TokenSegment(
      start: start, end: ir.add(start, rows), firstUnit: ir.int(0), units: self.units(rows))
    func add(_ accumulates: Bool) -> [IRValue] {
      let product = OuterProduct(
        a: head.gradient[4], b: x, units: units, c: head.gradient[3], rows: shape.vocabulary,
        columns: shape.width, segments: [chunk], accumulates: accumulates)
      return [outerProducts([product], after: before, head.frame)]
    }
    return ir.choose(ir.compare(.equal, start, ir.int(0))) {
      add(false)
    } otherwise: {
      add(true)
    }[0]
  }
}
