internal import LLVMKit
internal import MoTIR

/// Emits attention: each thread takes (sequence, key head) pairs and walks blocks of queries.
///
/// The scores of a block of queries are a strip in scratch memory, never the whole S × S matrix; with a
/// causal mask a strip ends where its last query does.
///
/// Shapes: B sequences of S tokens, H query heads, G key heads, W head width (padded to panels: P).
final class AttentionEmitter {
  let code: CodeGenerator
  let shape: AttentionShape
  let frame: KernelFrame
  var ir: IRBuilder { code.ir }
  let scratch: AttentionScratch

  init(_ code: CodeGenerator, _ shape: AttentionShape, _ frame: KernelFrame) {
    self.code = code
    self.shape = shape
    self.frame = frame
    scratch = AttentionScratch(
      shape, tile: code.plan.tile, usesBlas: code.plan.backend == .blas)
    code.reserveScratch(scratch.bytes)
  }

  // MARK: Geometry

  var attention: Op.Attention { shape.attention }
  var sequence: Int { shape.sequence }
  var width: Int { shape.headWidth }
  var queryStride: Int { attention.heads * width }
  var keyStride: Int { attention.keyValueHeads * width }
  var scale: Double { 1 / Double(width).squareRoot() }
  var usesBlas: Bool { code.plan.backend == .blas }

  /// Returns the address of byte `offset` of scratch memory.
  func area(_ offset: Int) -> IRValue { code.bytes(frame.scratch, ir.int(offset)) }

  /// A block of queries: its first query, how many, and how many keys it sees at most.
  struct QueryBlock {
    let first, count, keys: IRValue
  }

  /// Emits `body` for each block of queries.
  private func forEachQueryBlock(_ body: (QueryBlock) -> Void) {
    let rows = scratch.queryRows
    ir.loop(from: ir.int(0), to: ir.int(sequence), by: rows) { first in
      let count = ir.min(ir.int(rows), ir.sub(ir.int(sequence), first))
      let sees = attention.causal && !attention.hasSegments
      let keys = sees ? ir.add(first, count) : ir.int(sequence)
      body(QueryBlock(first: first, count: count, keys: keys))
    }
  }

  /// Returns the address of a head's first row in an argument of rows `stride` wide.
  func head(_ argument: Int, sequence: IRValue, head: IRValue, stride: Int) -> IRValue {
    let row = ir.mul(sequence, ir.int(self.sequence * stride))
    return code.at(frame.arguments[argument], ir.add(row, ir.mul(head, ir.int(width))))
  }

  // MARK: Forward

  /// (q, k, v, o, lse, documents?, segments?)
  func emitForward() {
    let (from, to) = code.share(ir.int(attention.batch * attention.heads), frame)
    let group = attention.heads / attention.keyValueHeads
    ir.loop(from: from, to: to) { item in
      let sequence = ir.udiv(item, ir.int(attention.heads))
      let head = ir.urem(item, ir.int(attention.heads))
      let shared = ir.udiv(head, ir.int(group))
      let keys = self.head(1, sequence: sequence, head: shared, stride: keyStride)
      let values = self.head(2, sequence: sequence, head: shared, stride: keyStride)
      copyMaskRows(sequence, firstArgument: 5)
      if !usesBlas {
        packTransposed(keys, into: scratch.keysTransposed)
        packRows(values, into: scratch.valueRows)
      }
      let query = self.head(0, sequence: sequence, head: head, stride: queryStride)
      let output = self.head(3, sequence: sequence, head: head, stride: queryStride)
      forEachQueryBlock { block in
        packQueries(query, block, stride: queryStride, scale: scale, into: scratch.queries)
        scores(block, of: scratch.queries, keys, scratch.keysTransposed, into: scratch.strip)
        softmax(block, sequence: sequence, head: head)
        weightedValues(block, values)
        keepOutput(block, output)
      }
    }
  }

  /// Turns the strip of scores into exp(score − max), keeps 1 / sum and the log-sum-exp of each row.
  private func softmax(_ block: QueryBlock, sequence: IRValue, head: IRValue) {
    forEachRow(block) { row, query in
      let strip = stripRow(scratch.strip, row)
      let lowest = ir.float(-.infinity, code.vector)
      let largest = stripColumns(block, carrying: [lowest]) { column, carried in
        let x = ir.load(code.vector, code.at(strip, column))
        return [ir.fmax(ir.select(mask(query, column, block), x, lowest), carried[0])]
      }
      let top = ir.reduce(largest[0], ir.fmax)
      let total = stripColumns(block, carrying: [ir.zero(code.vector)]) { column, carried in
        let place = code.at(strip, column)
        let p = code.exp(ir.fsub(ir.load(code.vector, place), ir.splat(top, code.lanes)))
        let kept = ir.select(mask(query, column, block), p, ir.zero(code.vector))
        ir.store(kept, place)
        return [ir.fadd(carried[0], kept)]
      }
      let sum = ir.reduce(total[0], ir.fadd)
      ir.store(ir.fdiv(ir.float(1), sum), code.at(area(scratch.rowFactors), row))
      ir.store(ir.fadd(top, code.log(sum)), logSumExp(4, query, sequence: sequence, head: head))
    }
  }

  func logSumExp(
    _ argument: Int, _ query: IRValue, sequence: IRValue, head: IRValue
  ) -> IRValue {
    let row = ir.add(ir.mul(sequence, ir.int(self.sequence)), query)
    return code.at(
      frame.arguments[argument], ir.add(ir.mul(row, ir.int(attention.heads)), head))
  }

  private func weightedValues(_ block: QueryBlock, _ values: IRValue) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: block.count, n: ir.int(width), k: block.keys, a: area(scratch.strip),
          lda: ir.int(scratch.stripStride), b: values, ldb: ir.int(keyStride),
          c: area(scratch.output), ldc: ir.int(scratch.padded)))
    }
    multiplyStrip(
      scratch.strip, block, by: scratch.valueRows, into: scratch.output, depth: block.keys)
  }

  private func keepOutput(_ block: QueryBlock, _ output: IRValue) {
    forEachRow(block) { row, query in
      let factor = ir.load(ir.f32, code.at(area(scratch.rowFactors), row))
      code.columns(width) { column, active in
        let source = code.at(
          area(scratch.output), ir.add(ir.mul(row, ir.int(scratch.padded)), column))
        let x = code.load(source, active, scalar: width == 1)
        let place = ir.add(ir.mul(query, ir.int(queryStride)), column)
        code.store(ir.fmul(x, ir.splat(factor, x.type.lanes)), code.at(output, place), active)
      }
    }
  }

  // MARK: Backward

  /// (q, k, v, o, lse, do, dq, dk, dv, documents?, segments?)
  ///
  /// P = exp(S − lse), dP = do vᵀ, dS = P (dP − rowsum(do · o));
  /// dv = Pᵀ do, dk = dSᵀ q · scale, dq = dS k · scale. Query heads of a key head add up in order.
  func emitBackward() {
    let shared = attention.keyValueHeads
    let group = attention.heads / shared
    let (from, to) = code.share(ir.int(attention.batch * shared), frame)
    ir.loop(from: from, to: to) { item in
      let (sequence, keyHead) = (ir.udiv(item, ir.int(shared)), ir.urem(item, ir.int(shared)))
      let keys = head(1, sequence: sequence, head: keyHead, stride: keyStride)
      let values = head(2, sequence: sequence, head: keyHead, stride: keyStride)
      copyMaskRows(sequence, firstArgument: 9)
      if !usesBlas {
        packTransposed(keys, into: scratch.keysTransposed)
        packTransposed(values, into: scratch.valuesTransposed)
        packRows(keys, into: scratch.keyRows)
      }
      for area in [scratch.keyGradients, scratch.valueGradients] {
        ir.clear(self.area(area), bytes: ir.int(4 * sequence4(scratch.paddedSequence)))
      }
      ir.loop(from: ir.int(0), to: ir.int(group)) { member in
        let head = ir.add(ir.mul(keyHead, ir.int(group)), member)
        backward(sequence: sequence, head: head, keys: keys, values: values)
      }
      keepKeyGradients(7, scratch.keyGradients, sequence: sequence, head: keyHead)
      keepKeyGradients(8, scratch.valueGradients, sequence: sequence, head: keyHead)
    }
  }

  private func sequence4(_ rows: Int) -> Int { rows * scratch.padded }

  private func backward(sequence: IRValue, head: IRValue, keys: IRValue, values: IRValue) {
    let query = self.head(0, sequence: sequence, head: head, stride: queryStride)
    let output = self.head(3, sequence: sequence, head: head, stride: queryStride)
    let upstream = self.head(5, sequence: sequence, head: head, stride: queryStride)
    let dq = self.head(6, sequence: sequence, head: head, stride: queryStride)
    forEachQueryBlock { block in
      packQueries(query, block, stride: queryStride, scale: scale, into: scratch.queries)
      packQueries(upstream, block, stride: queryStride, scale: 1, into: scratch.upstream)
      scores(block, of: scratch.queries, keys, scratch.keysTransposed, into: scratch.strip)
      scores(
        block, of: scratch.upstream, values, scratch.valuesTransposed, into: scratch.gradientStrip)
      scoreGradients(block, output: output, upstream: upstream, sequence: sequence, head: head)
      accumulate(scratch.strip, block, times: scratch.upstream, into: scratch.valueGradients)
      accumulate(scratch.gradientStrip, block, times: scratch.queries, into: scratch.keyGradients)
      queryGradients(block, keys)
      keepQueryGradients(block, dq)
    }
  }

  /// Turns scores into probabilities and their gradients into score gradients, row by row.
  private func scoreGradients(
    _ block: QueryBlock, output: IRValue, upstream: IRValue, sequence: IRValue, head: IRValue
  ) {
    forEachRow(block) { row, query in
      let place = ir.mul(query, ir.int(queryStride))
      let (o, dO) = (code.at(output, place), code.at(upstream, place))
      let zero = ir.zero(code.vector)
      let products = code.columns(max(2, width), carrying: [zero]) { column, active, carried in
        let active = min(active, width)
        let product = ir.fmul(
          code.load(code.at(o, column), active), code.load(code.at(dO, column), active))
        return [ir.fadd(carried[0], product)]
      }
      let delta = ir.splat(ir.reduce(products[0], ir.fadd), code.lanes)
      let lse = ir.load(ir.f32, logSumExp(4, query, sequence: sequence, head: head))
      let (p, dp) = (stripRow(scratch.strip, row), stripRow(scratch.gradientStrip, row))
      _ = stripColumns(block, carrying: []) { column, _ in
        let s = ir.load(code.vector, code.at(p, column))
        let raw = code.exp(ir.fsub(s, ir.splat(lse, code.lanes)))
        let visible = mask(query, column, block)
        let probability = ir.select(visible, raw, zero)
        let gradient = ir.fsub(ir.load(code.vector, code.at(dp, column)), delta)
        ir.store(probability, code.at(p, column))
        ir.store(
          ir.select(visible, ir.fmul(probability, gradient), zero), code.at(dp, column))
        return []
      }
    }
  }

  /// Adds stripᵀ · rows to the gradients of the keys that the strip covers.
  private func accumulate(_ strip: Int, _ block: QueryBlock, times rows: Int, into target: Int) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: block.keys, n: ir.int(width), k: block.count, a: area(strip),
          lda: ir.int(scratch.stripStride), transposeA: true, b: area(rows),
          ldb: ir.int(scratch.padded), c: area(target), ldc: ir.int(scratch.padded), beta: 1))
    }
    code.multiply(
      MatmulOperand(base: area(strip), rowStride: 1, depthStride: scratch.stripStride),
      rowPanels(rows),
      into: MatmulResult(base: area(target), leading: scratch.padded, accumulates: true),
      rows: block.keys, panels: ir.int(scratch.padded / code.plan.tile.columns),
      depth: block.count, precision: .f32)
  }

  /// Returns rows [S, P] in scratch memory as the right matrix of a product over rows.
  private func rowPanels(_ rows: Int) -> MatmulPanels {
    MatmulPanels(
      base: area(rows), panelStride: code.plan.tile.columns, depthStride: scratch.padded)
  }

  private func queryGradients(_ block: QueryBlock, _ keys: IRValue) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: block.count, n: ir.int(width), k: block.keys, a: area(scratch.gradientStrip),
          lda: ir.int(scratch.stripStride), b: keys, ldb: ir.int(keyStride),
          c: area(scratch.output), ldc: ir.int(scratch.padded)))
    }
    multiplyStrip(
      scratch.gradientStrip, block, by: scratch.keyRows, into: scratch.output, depth: block.keys)
  }

  private func keepQueryGradients(_ block: QueryBlock, _ dq: IRValue) {
    forEachRow(block) { row, query in
      copyScaled(
        from: code.at(area(scratch.output), ir.mul(row, ir.int(scratch.padded))),
        to: code.at(dq, ir.mul(query, ir.int(queryStride))), scale: scale)
    }
  }

  /// dk needs no scale: it was computed from scaled queries.
  private func keepKeyGradients(
    _ argument: Int, _ source: Int, sequence: IRValue, head: IRValue
  ) {
    let target = self.head(argument, sequence: sequence, head: head, stride: keyStride)
    ir.loop(from: ir.int(0), to: ir.int(self.sequence)) { key in
      copyScaled(
        from: code.at(area(source), ir.mul(key, ir.int(scratch.padded))),
        to: code.at(target, ir.mul(key, ir.int(keyStride))), scale: 1)
    }
  }

  private func copyScaled(from source: IRValue, to target: IRValue, scale: Double) {
    code.columns(width) { column, active in
      var x = code.load(code.at(source, column), active, scalar: width == 1)
      if scale != 1 { x = ir.fmul(x, ir.float(scale, x.type)) }
      code.store(x, code.at(target, column), active)
    }
  }

  // MARK: Strips

  private func forEachRow(_ block: QueryBlock, _ body: (_ row: IRValue, _ query: IRValue) -> Void) {
    ir.loop(from: ir.int(0), to: block.count) { body($0, ir.add(block.first, $0)) }
  }

  private func stripRow(_ strip: Int, _ row: IRValue) -> IRValue {
    code.at(area(strip), ir.mul(row, ir.int(scratch.stripStride)))
  }

  /// Emits a loop over whole vectors of the block's keys.
  private func stripColumns(
    _ block: QueryBlock, carrying initial: [IRValue],
    _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    ir.loop(from: ir.int(0), to: block.keys, by: code.lanes, carrying: initial, body)
  }

  /// Returns which of the keys from `column` on the query sees.
  private func mask(_ query: IRValue, _ column: IRValue, _ block: QueryBlock) -> IRValue {
    let lanes = code.lanes
    let keys = ir.add(
      ir.splat(ir.truncate(column, ir.i32), lanes),
      ir.constantVector((0..<lanes).map { ir.int($0, ir.i32) }))
    func spread(_ value: IRValue) -> IRValue { ir.splat(ir.truncate(value, ir.i32), lanes) }
    var visible = ir.compare(.less, keys, spread(block.keys))
    let integers = ir.vector(ir.i32, lanes)
    func rows(_ offset: Int) -> (keys: IRValue, query: IRValue) {
      let base = area(offset)
      return (
        ir.load(integers, ir.element(base, column, ir.i32)),
        ir.splat(ir.load(ir.i32, ir.element(base, query, ir.i32)), lanes)
      )
    }
    var seen = visible
    if attention.causal { seen = ir.compare(.lessOrEqual, keys, spread(query)) }
    if attention.hasSegments {
      let (theirs, mine) = rows(scratch.segments)
      let together = ir.and(
        ir.compare(.equal, theirs, mine), ir.compare(.greater, mine, ir.zero(integers)))
      seen = ir.or(seen, together)
    }
    visible = ir.and(visible, seen)
    if attention.hasDocuments {
      let (theirs, mine) = rows(scratch.documents)
      visible = ir.and(visible, ir.compare(.equal, theirs, mine))
    }
    return visible
  }

  // MARK: Products

  /// strip = rows · keysᵀ
  private func scores(
    _ block: QueryBlock, of rows: Int, _ keys: IRValue, _ transposed: Int, into strip: Int
  ) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: block.count, n: block.keys, k: ir.int(width), a: area(rows),
          lda: ir.int(scratch.padded), b: keys, ldb: ir.int(keyStride), transposeB: true,
          c: area(strip), ldc: ir.int(scratch.stripStride)))
    }
    let columns = code.plan.tile.columns
    code.multiply(
      MatmulOperand(base: area(rows), rowStride: scratch.padded, depthStride: 1),
      MatmulPanels(base: area(transposed), panelStride: width * columns, depthStride: columns),
      into: MatmulResult(base: area(strip), leading: scratch.stripStride), rows: block.count,
      panels: code.ceilDivide(block.keys, columns), depth: ir.int(width), precision: .f32)
  }

  /// target = strip · rows
  private func multiplyStrip(
    _ strip: Int, _ block: QueryBlock, by rows: Int, into target: Int, depth: IRValue
  ) {
    code.multiply(
      MatmulOperand(base: area(strip), rowStride: scratch.stripStride, depthStride: 1),
      rowPanels(rows), into: MatmulResult(base: area(target), leading: scratch.padded),
      rows: block.count, panels: ir.int(scratch.padded / code.plan.tile.columns), depth: depth,
      precision: .f32)
  }
}
