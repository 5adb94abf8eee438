internal import LLVMKit
internal import MoTIR

// P = exp(S − lse), dP = do vᵀ, dS = P (dP − rowsum(do · o));
// dv = Pᵀ do, dk = dSᵀ q · scale, dq = dS k · scale.
extension AttentionEmitter {
  /// (q, k, v, o, lse, do, dq, dk, dv, documents?, segments?)
  ///
  /// The query heads of a key head add up in order, on one thread.
  func emitBackward() {
    let pairs = ir.int(attention.batch * attention.keyValueHeads)
    code.forEachPart(of: pairs, frame) { pair in
      let head = keyHead(pair)
      readMasks(head.sequence, firstArgument: 9)
      if !usesBlas {
        packTransposed(head.keys, into: scratch.keysTransposed)
        packTransposed(head.values, into: scratch.valuesTransposed)
        packAcross(head.keys, stride: keyStride, into: scratch.keyRows)
      }
      clear(scratch.keyGradients)
      clear(scratch.valueGradients)
      ir.loop(from: ir.int(0), to: ir.int(group)) { member in
        backward(head, ir.add(ir.mul(head.number, ir.int(group)), member))
      }
      // Queries were scaled for scores in base 2.
      keepKeyGradients(7, scratch.keyGradients, scale: 1 / binary, head)
      keepKeyGradients(8, scratch.valueGradients, scale: 1, head)
    }
  }

  private func clear(_ sums: Int) {
    ir.clear(area(sums), bytes: ir.int(4 * queryCount * scratch.padded))
  }

  private func keepKeyGradients(_ argument: Int, _ sums: Int, scale: Double, _ head: KeyHead) {
    let target = self.head(
      argument, sequence: head.sequence, head: head.number, stride: keyStride)
    keepRows(sums, count: ir.int(sequence), scale: scale, at: target, stride: keyStride)
  }

  /// Adds what a query head contributes: keys outermost, so that a block's gradients stay in cache while
  /// the queries pass.
  private func backward(_ keyHead: KeyHead, _ number: IRValue) {
    func rows(_ argument: Int) -> IRValue {
      head(argument, sequence: keyHead.sequence, head: number, stride: queryStride)
    }
    let all = ir.int(sequence)
    for (argument, scale, target, across) in [
      (0, scale * binary, scratch.queries, scratch.queriesAcross),
      (5, 1, scratch.upstream, scratch.upstreamAcross),
    ] {
      packRows(rows(argument), count: all, stride: queryStride, scale: scale, into: target)
      if isPaired {
        packAcross(rows(argument), stride: queryStride, scale: scale, into: across)
      }
    }
    prepareRows(output: rows(3), upstream: rows(5), sequence: keyHead.sequence, head: number)
    fillQueries()
    clear(scratch.queryGradients)
    ir.loop(from: ir.int(0), to: all, by: scratch.keyColumns) { start in
      let first = isTriangular ? start : ir.int(0)
      ir.loop(from: first, to: ir.int(queryCount), by: scratch.queryRows) { query in
        let tile = self.tile(queryBlock(query), start: start)
        ir.when(ir.compare(.less, tile.from, tile.to)) { addTile(tile, keyHead) }
      }
    }
    keepRows(
      scratch.queryGradients, count: all, scale: scale, at: rows(6), stride: queryStride)
  }

  /// Keeps the log-sum-exp in base 2 and do · o of each query.
  private func prepareRows(
    output: IRValue, upstream: IRValue, sequence: IRValue, head: IRValue
  ) {
    ir.loop(from: ir.int(0), to: ir.int(self.sequence)) { query in
      let place = ir.mul(query, ir.int(queryStride))
      let (o, dO) = (code.at(output, place), code.at(upstream, place))
      let products = code.columns(width, carrying: [ir.zero(code.vector)]) {
        column, active, carried in
        let (a, b) = (
          code.load(code.at(o, column), active), code.load(code.at(dO, column), active)
        )
        return [ir.multiplyAdd(a, b, carried[0])]
      }
      ir.store(ir.reduce(products[0], ir.fadd), code.at(area(scratch.deltas), query))
      let lse = ir.load(ir.f32, logSumExp(4, query, sequence: sequence, head: head))
      ir.store(ir.fmul(lse, ir.float(binary)), code.at(area(scratch.normalizers), query))
    }
  }

  private func addTile(_ tile: Tile, _ head: KeyHead) {
    func queries(_ area: Int) -> IRValue {
      code.at(self.area(area), ir.mul(tile.first, ir.int(scratch.rowUnits)))
    }
    scores(
      tile, of: queries(scratch.queries), by: scratch.keysTransposed, of: head.keys,
      into: scratch.strip)
    scores(
      tile, of: queries(scratch.upstream), by: scratch.valuesTransposed, of: head.values,
      into: scratch.gradientStrip)
    if isPaired, !transposes {
      pairedScoreGradients(tile)
    } else {
      scoreGradients(tile)
    }
    if transposes {
      transpose(scratch.strip, tile, into: scratch.probabilitiesByKey)
      transpose(scratch.gradientStrip, tile, into: scratch.gradientsByKey)
    }
    accumulate(
      scratch.strip, tile, times: rowAcross(tile.first, of: scratch.upstreamAcross),
      into: scratch.valueGradients)
    accumulate(
      scratch.gradientStrip, tile, times: rowAcross(tile.first, of: scratch.queriesAcross),
      into: scratch.keyGradients)
    multiplyStrip(
      tile, by: scratch.keyRows, of: head.keys,
      into: row(tile.first, of: scratch.queryGradients), accumulates: true)
  }

  /// Turns scores into probabilities and their gradients into score gradients, row by row; these in pairs of
  /// keys, too, where units are pairs.
  private func scoreGradients(_ tile: Tile) {
    forEachRow(tile.queries) { row, query in
      let numbers = rowNumbers(query)
      _ = forEachPanel(ofRow: query, tile, carrying: []) { key, _, isMixed in
        let gradients = vectors(ofPanel: key).map { key in
          let (p, ds) = self.gradients(row: row, key: key, tile, numbers, isMixed: isMixed)
          ir.store(p, place(scratch.strip, row, key, tile))
          ir.store(ds, place(scratch.gradientStrip, row, key, tile))
          return ds
        }
        if isPaired { storePairs(gradients, row, key, tile) }
        return []
      }
    }
  }

  /// Returns the log-sum-exp in base 2 and do · o of a query, in all lanes.
  func rowNumbers(_ query: IRValue) -> (normalizer: IRValue, delta: IRValue) {
    func number(_ offset: Int) -> IRValue {
      ir.splat(ir.load(ir.f32, code.at(area(offset), query)), code.lanes)
    }
    return (number(scratch.normalizers), number(scratch.deltas))
  }

  /// Returns the probabilities and the score gradients of a vector of keys.
  func gradients(
    row: IRValue, key: IRValue, _ tile: Tile, _ numbers: (normalizer: IRValue, delta: IRValue),
    isMixed: Bool
  ) -> (p: IRValue, ds: IRValue) {
    let score = ir.load(code.vector, place(scratch.strip, row, key, tile))
    let gradient = ir.load(code.vector, place(scratch.gradientStrip, row, key, tile))
    let p = code.exp2(ir.fsub(score, numbers.normalizer))
    let ds = ir.fmul(p, ir.fsub(gradient, numbers.delta))
    guard isMixed else { return (p, ds) }
    let (visible, zero) = (mask(ir.add(tile.first, row), key), ir.zero(code.vector))
    return (ir.select(visible, p, zero), ir.select(visible, ds, zero))
  }
}
