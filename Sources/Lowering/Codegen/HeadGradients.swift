internal import LLVMKit
internal import MoTIR

// dlogits = dloss (softmax(logits) − target), dx = dlogits w, dw = dlogitsᵀ x.
extension HeadEmitter {
  /// Losses, logit gradients and dx of those of a chunk's blocks that this thread does; returns how many blocks there
  /// are.
  func emitBlocks(of chunk: Block, after before: IRValue) -> IRValue {
    forEachBlock(of: chunk.count, after: before) { inChunk in
      let block = Block(first: ir.add(chunk.first, inChunk.first), count: inChunk.count)
      emitLosses(block)
      let dx = at(gradient[2], block)
      let sum = isInPlace ? dx : area(\.inputGradient)
      let target = MatmulResult(base: sum, leading: sumStride, accumulates: true)
      ir.clear(sum, bytes: ir.mul(block.count, ir.int(4 * sumStride)))
      forEachStrip { strip in
        forEachRow(of: block) { emitGradient(strip, $0) }
        addInputGradient(strip, block.count, into: target)
        let rows = SourceRows(
          base: logits(strip), width: strip.width, stride: scratch.leading, start: ir.int(0),
          end: block.count)
        layOut(rows, .left, from: strip.first, inChunk)
      }
      let rows = SourceRows(
        base: x, width: shape.width, stride: shape.width, start: block.first,
        end: ir.add(block.first, block.count))
      layOut(rows, .right, from: ir.int(firstOfX), inChunk)
      if !isInPlace { copy(sum, to: dx, rows: block.count) }
    }
  }

  /// Makes a row's exponentials of a strip gradients of its logits.
  private func emitGradient(_ strip: Strip, _ row: Row) {
    func load(_ place: IRValue) -> IRValue { ir.load(ir.f32, place) }
    let logits = logits(strip, row)
    let growth = ir.fsub(load(stripTop(strip, row)), load(state(\.top, row)))
    let scale = ir.fmul(exp(growth), load(state(\.scale, row)))
    code.columns(strip.width) { column, active in
      let isScalar = strip.width == 1
      let value = code.load(code.at(logits, column), active, scalar: isScalar)
      let factor = isScalar ? scale : ir.splat(scale, code.lanes)
      code.store(ir.fmul(value, factor), code.at(logits, column), active)
    }
    whereTarget(of: row, isIn: strip) { column in
      let place = code.at(logits, column)
      ir.store(ir.fsub(load(place), load(state(\.factor, row))), place)
    }
  }

  // MARK: dx

  /// `true` iff dx is summed up in place, for its rows are whole panels.
  private var isInPlace: Bool {
    code.plan.backend == .blas || shape.width.isMultiple(of: code.plan.tile.columns)
  }

  /// f32 from one row of the sum to the next.
  private var sumStride: Int {
    isInPlace ? shape.width : code.plan.tile.padded(shape.width) + code.lineUnits
  }

  /// dx[block] += dlogits[strip] w[strip]
  private func addInputGradient(_ strip: Strip, _ count: IRValue, into target: MatmulResult) {
    let logits = logits(strip)
    if code.plan.backend == .blas {
      return code.sgemm(
        .init(
          m: count, n: ir.int(shape.width), k: ir.int(strip.width), a: logits,
          lda: ir.int(scratch.leading),
          b: code.at(gradient[0], ir.mul(strip.first, ir.int(shape.width))),
          ldb: ir.int(shape.width), c: target.base, ldc: ir.int(target.leading), beta: 1))
    }
    let operands = code.operands
    let panel = code.plan.tile.columns
    let first = ir.mul(strip.number, ir.int(operands.units(strips.width) * panel))
    code.multiply(
      operand(
        logits, stride: scratch.leading, width: strip.width, count, into: \.logitOperand),
      MatmulPanels(
        base: code.at(gradient[0], first), panelStride: operands.units(shape.vocabulary) * panel,
        depthStride: panel),
      into: target, rows: count, panels: ir.int(code.plan.tile.padded(shape.width) / panel),
      depth: ir.int(operands.units(strip.width)), operands: operands)
  }

  private func copy(_ sum: IRValue, to dx: IRValue, rows: IRValue) {
    ir.loop(from: ir.int(0), to: rows) { row in
      ir.copy(
        to: code.at(dx, ir.mul(row, ir.int(shape.width))),
        from: code.at(sum, ir.mul(row, ir.int(sumStride))), bytes: ir.int(4 * shape.width))
    }
  }

  // MARK: dw

  /// Units of depth that a chunk has room for.
  private var chunkUnits: Int { code.operands.outerUnits(rows: shape.chunk, parts: 1) }

  /// The column of the workspace where x begins, behind the logit gradients.
  private var firstOfX: Int { code.plan.tile.padded(shape.vocabulary) }

  /// Lays rows of a block out for the outer products, from column `column` of the workspace on.
  private func layOut(
    _ rows: SourceRows, _ side: OuterSide, from column: IRValue, _ inChunk: Block
  ) {
    let width = side == .left ? shape.vocabulary : shape.width
    let area = OuterArea(
      side: side, base: code.at(gradient[4], ir.mul(column, ir.int(chunkUnits))), units: chunkUnits,
      bytes: 4 * chunkUnits * code.plan.tile.padded(width))
    let bands = code.ceilDivide(inChunk.count, code.operands.band)
    code.layOut(rows, bands: (ir.int(0), bands), into: area, from: code.units(inChunk.first))
  }

  /// dw (+)= dlogitsᵀ x over a chunk; the first chunk sets it. Returns how many parts that are.
  func emitWeightGradient(of chunk: Block, after before: IRValue) -> IRValue {
    let tokens = CodeGenerator.TokenSegment(
      start: chunk.first, end: ir.add(chunk.first, chunk.count), firstUnit: ir.int(0),
      units: code.units(chunk.count))
    func add(_ accumulates: Bool) -> [IRValue] {
      let product = CodeGenerator.OuterProduct(
        a: gradient[4], b: code.at(gradient[4], firstOfX * chunkUnits), units: chunkUnits,
        c: gradient[3], rows: shape.vocabulary, columns: shape.width, segments: [tokens],
        accumulates: accumulates)
      return [code.outerProducts([product], after: before, frame)]
    }
    return ir.choose(ir.compare(.equal, chunk.first, ir.int(0))) {
      add(false)
    } otherwise: {
      add(true)
    }[0]
  }
}
