internal import LLVMKit
internal import MoTIR

// The gradients of a head with its loss: HeadLoss.swift says how its work is cut up.
extension CodeGenerator {
  /// Losses, logit gradients and dx of those of a chunk's blocks that this thread does; returns how many blocks there
  /// are.
  func emitChunk(
    _ head: Head, _ start: IRValue, _ rows: IRValue, after before: IRValue
  ) -> IRValue {
    forEachBlock(head, of: rows, after: before) { inChunk, count in
      let first = ir.add(start, inChunk)
      emitLosses(head, first, count)
      let target = inputGradient(head, first)
      ir.clear(target.base, bytes: ir.mul(count, ir.int(4 * target.leading)))
      forEachStrip(head) { strip in
        ir.loop(from: ir.int(0), to: count) { emitGradient(head, strip, $0, ir.add(first, $0)) }
        addInputGradient(head, strip, count, into: target)
        let source = SourceRows(
          base: logits(head, strip), width: strip.width, stride: head.leading, start: ir.int(0),
          end: count)
        layOut(head, source, .left, from: strip.first, inChunk, count)
      }
      let x = SourceRows(
        base: head.x, width: head.shape.width, stride: head.shape.width, start: first,
        end: ir.add(first, count))
      layOut(head, x, .right, from: ir.int(plan.tile.padded(head.shape.vocabulary)), inChunk, count)
      keepInputGradient(head, first, count, target)
    }
  }

  /// Makes a row's exponentials of a strip gradients of its logits.
  private func emitGradient(_ head: Head, _ strip: Strip, _ inBlock: IRValue, _ row: IRValue) {
    func state(_ place: KeyPath<Areas, Int>) -> IRValue {
      ir.load(ir.f32, at(area(place, head), inBlock))
    }
    let logits = at(logits(head, strip), ir.mul(inBlock, ir.int(head.leading)))
    let older = ir.load(ir.f32, stripTop(head, strip, inBlock))
    let scale = ir.fmul(scalarExp(ir.fsub(older, state(\.top))), state(\.scale))
    columns(strip.width) { column, active in
      let isScalar = strip.width == 1
      let factor = isScalar ? scale : ir.splat(scale, lanes)
      let value = load(at(logits, column), active, scalar: isScalar)
      store(ir.fmul(value, factor), at(logits, column), active)
    }
    whereTarget(head, of: row, isIn: strip) { column in
      let place = at(logits, column)
      ir.store(ir.fsub(ir.load(ir.f32, place), state(\.factor)), place)
    }
  }

  /// Returns where a block's dx is summed up: in place, if its rows are whole panels.
  private func inputGradient(_ head: Head, _ first: IRValue) -> MatmulResult {
    let width = head.shape.width
    let isInPlace = plan.backend == .blas || width.isMultiple(of: plan.tile.columns)
    return MatmulResult(
      base: isInPlace
        ? at(head.gradient[2], ir.mul(first, ir.int(width))) : area(\.inputGradient, head),
      leading: isInPlace ? width : plan.tile.padded(width) + lineUnits, accumulates: true)
  }

  /// dx[first…] += dlogits[strip] w[strip]
  private func addInputGradient(
    _ head: Head, _ strip: Strip, _ count: IRValue, into target: MatmulResult
  ) {
    let shape = head.shape
    let logits = logits(head, strip)
    if plan.backend == .blas {
      return sgemm(
        Sgemm(
          m: count, n: ir.int(shape.width), k: ir.int(strip.width), a: logits,
          lda: ir.int(head.leading),
          b: at(head.gradient[0], ir.mul(strip.first, ir.int(shape.width))),
          ldb: ir.int(shape.width), c: target.base, ldc: ir.int(target.leading), beta: 1))
    }
    let units = operands.units(shape.vocabulary)
    let panel = plan.tile.columns
    let first = ir.mul(strip.number, ir.int(operands.units(head.strips.width) * panel))
    multiply(
      operand(
        logits, stride: head.leading, width: strip.width, count, \.logitOperand, head),
      MatmulPanels(
        base: at(head.gradient[0], first), panelStride: units * panel, depthStride: panel),
      into: target, rows: count, panels: ir.int(plan.tile.padded(shape.width) / panel),
      depth: ir.int(operands.units(strip.width)), operands: operands)
  }

  private func keepInputGradient(
    _ head: Head, _ first: IRValue, _ count: IRValue, _ source: MatmulResult
  ) {
    let width = head.shape.width
    guard source.leading != width else { return }
    let dx = at(head.gradient[2], ir.mul(first, ir.int(width)))
    ir.loop(from: ir.int(0), to: count) { row in
      ir.copy(
        to: at(dx, ir.mul(row, ir.int(width))),
        from: at(source.base, ir.mul(row, ir.int(source.leading))), bytes: ir.int(4 * width))
    }
  }

  /// Units of depth that a chunk has room for.
  private func chunkUnits(_ shape: HeadLossShape) -> Int {
    operands.outerUnits(rows: shape.chunk, parts: 1)
  }

  /// Lays rows of a block out for the outer products, from column `column` of the workspace on: logit gradients, and
  /// behind them x.
  private func layOut(
    _ head: Head, _ rows: SourceRows, _ side: OuterSide, from column: IRValue, _ inChunk: IRValue,
    _ count: IRValue
  ) {
    let shape = head.shape
    let units = chunkUnits(shape)
    let width = side == .left ? shape.vocabulary : shape.width
    let area = OuterArea(
      side: side, base: at(head.gradient[4], ir.mul(column, ir.int(units))), units: units,
      bytes: 4 * units * plan.tile.padded(width))
    let bands = ceilDivide(count, operands.band)
    layOut(rows, bands: (ir.int(0), bands), into: area, from: self.units(inChunk))
  }

  /// dw (+)= dlogitsᵀ x over a chunk; the first chunk sets it. Returns how many parts that are.
  func emitWeightGradient(
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
