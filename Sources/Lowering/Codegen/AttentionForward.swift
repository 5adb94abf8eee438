internal import LLVMKit
internal import MoTIR

// o = softmax(q kᵀ scale + mask) v, and the log-sum-exp of each row, which the gradient needs.
//
// Keys come block by block: sums so far are scaled down wherever a larger score turns up.
extension AttentionEmitter {
  /// What a hidden key scores, and the least that is taken for the largest score of a row: far enough
  /// apart that 2^(hidden − floor) is 0, and finite, so that it is no NaN.
  private var hidden: Double { -1e30 }
  private var floor: Double { -1e29 }

  /// (q, k, v, o, lse, documents?, segments?)
  ///
  /// Keys are packed once a pair of sequence and key head: parts of the work are pairs. Where those are few, threads
  /// share blocks of queries, so that one sequence of one head keeps all of them busy.
  func emitForward() {
    let pairs = attention.batch * attention.keyValueHeads
    let count = ir.int(pairs)
    let parts = ir.select(code.areFew(count, frame), frame.threads, count)
    let pairWork = headWork * group
    code.forEachPart(of: parts, frame) { part in
      let (from, to) = code.range(ofPart: part, of: parts, in: ir.int(pairs * pairWork))
      ir.loop(from: ir.udiv(from, ir.int(pairWork)), to: code.ceilDivide(to, pairWork)) { pair in
        let before = ir.mul(pair, ir.int(pairWork))
        forward(pair, from: ir.sub(from, before), to: ir.sub(to, before))
      }
    }
  }

  /// Blocks of queries.
  private var queryBlocks: Int { (sequence + scratch.queryRows - 1) / scratch.queryRows }

  /// The work of a head: with a causal mask, a block of queries has as much as there are blocks up to it.
  private var headWork: Int {
    isTriangular ? queryBlocks * (queryBlocks + 1) / 2 : queryBlocks
  }

  /// Emits those blocks of queries of a pair whose work begins in `from..<to`.
  private func forward(_ pair: IRValue, from: IRValue, to: IRValue) {
    let head = keyHead(pair)
    readMasks(head.sequence, firstArgument: 5)
    if !usesBlas {
      packTransposed(head.keys, into: scratch.keysTransposed)
      packAcross(head.values, stride: keyStride, into: scratch.valueRows)
    }
    ir.loop(from: ir.int(0), to: ir.int(group)) { member in
      let before = ir.mul(member, ir.int(headWork))
      let number = ir.add(ir.mul(head.number, ir.int(group)), member)
      ir.loop(from: ir.int(0), to: ir.int(queryBlocks)) { block in
        let triangle = ir.udiv(ir.mul(block, ir.add(block, ir.int(1))), ir.int(2))
        let place = ir.add(before, isTriangular ? triangle : block)
        let isMine = ir.and(
          ir.compare(.lessOrEqual, from, place), ir.compare(.less, place, to))
        ir.when(isMine) {
          forward(head, number, first: ir.mul(block, ir.int(scratch.queryRows)))
        }
      }
    }
  }

  private func forward(_ keyHead: KeyHead, _ number: IRValue, first: IRValue) {
    let query = head(0, sequence: keyHead.sequence, head: number, stride: queryStride)
    let output = head(3, sequence: keyHead.sequence, head: number, stride: queryStride)
    let block = queryBlock(first)
    packRows(
      code.at(query, ir.mul(first, ir.int(queryStride))), count: block.count, stride: queryStride,
      scale: scale * binary, into: scratch.queries)
    fill(scratch.maxima, floor)
    fill(scratch.sums, 0)
    if isChunked {
      ir.clear(area(scratch.output), bytes: ir.int(4 * scratch.queryRows * scratch.padded))
      ir.loop(from: ir.int(0), to: keyLimit(block), by: scratch.keyColumns) { start in
        let tile = self.tile(block, start: start)
        ir.when(ir.compare(.less, tile.from, tile.to)) { addKeys(tile, keyHead) }
      }
    } else {
      addKeys(tile(block, start: ir.int(0)), keyHead)
    }
    keepOutput(block, output, sequence: keyHead.sequence, head: number)
  }

  /// `true` iff a row of scores can be longer than a strip.
  private var isChunked: Bool { sequence > scratch.keyColumns }

  private func fill(_ target: Int, _ value: Double) {
    ir.loop(from: ir.int(0), to: ir.int(scratch.queryRows), by: code.lanes) { row in
      ir.store(ir.float(value, code.vector), code.at(area(target), row))
    }
  }

  /// Adds what a tile's keys contribute to the output and the sums of its queries.
  private func addKeys(_ tile: Tile, _ head: KeyHead) {
    scores(
      tile, of: area(scratch.queries), by: scratch.keysTransposed, of: head.keys,
      into: scratch.strip)
    findMaxima(tile)
    exponentiate(tile)
    if isChunked { scaleOutput(tile) }
    multiplyStrip(
      tile, by: scratch.valueRows, of: head.values, into: area(scratch.output),
      accumulates: isChunked)
  }

  /// Hides what is masked, and finds the largest score of each row.
  private func findMaxima(_ tile: Tile) {
    let lowest = ir.float(floor, code.vector)
    forEachRow(tile.queries) { row, query in
      let start = [IRValue](repeating: lowest, count: code.plan.tile.vectors)
      let largest = forEachPanel(ofRow: query, tile, carrying: start) { key, carried, isMixed in
        zip(vectors(ofPanel: key), carried).map { key, largest in
          let place = self.place(scratch.strip, row, key, tile)
          let score = ir.load(code.vector, place)
          guard isMixed else { return ir.fmax(score, largest) }
          let visible = ir.select(mask(query, key), score, ir.float(hidden, code.vector))
          ir.store(visible, place)
          return ir.fmax(visible, largest)
        }
      }
      let found = ir.reduce(largest.dropFirst().reduce(largest[0], ir.fmax), ir.fmax)
      let place = code.at(area(scratch.maxima), row)
      let before = ir.load(ir.f32, place)
      let top = ir.fmax(found, before)
      ir.store(top, place)
      if isChunked {
        ir.store(code.exp2(ir.fsub(before, top)), code.at(area(scratch.factors), row))
      }
    }
  }

  /// Turns scores into 2^(score − largest) and adds them up.
  private func exponentiate(_ tile: Tile) {
    forEachRow(tile.queries) { row, query in
      let top = ir.splat(ir.load(ir.f32, code.at(area(scratch.maxima), row)), code.lanes)
      let zeros = [IRValue](repeating: ir.zero(code.vector), count: code.plan.tile.vectors)
      let totals = forEachPanel(from: tile.from, to: end(of: query, tile), carrying: zeros) {
        key, carried in
        let places = vectors(ofPanel: key).map { self.place(scratch.strip, row, $0, tile) }
        let p = places.map { code.exp2(ir.fsub(ir.load(code.vector, $0), top)) }
        if isPaired {
          storePairs(p, row, key, tile)
        } else {
          for (place, p) in zip(places, p) { ir.store(p, place) }
        }
        return zip(carried, p).map(ir.fadd)
      }
      let total = ir.reduce(totals.dropFirst().reduce(totals[0], ir.fadd), ir.fadd)
      let place = code.at(area(scratch.sums), row)
      var before = ir.load(ir.f32, place)
      if isChunked {
        before = ir.fmul(before, ir.load(ir.f32, code.at(area(scratch.factors), row)))
      }
      ir.store(ir.fadd(before, total), place)
    }
  }

  private func scaleOutput(_ tile: Tile) {
    ir.when(ir.compare(.greater, tile.start, ir.int(0))) {
      forEachRow(tile.queries) { row, _ in
        let factor = ir.splat(
          ir.load(ir.f32, code.at(area(scratch.factors), row)), code.lanes)
        for column in stride(from: 0, to: scratch.padded, by: code.lanes) {
          let place = code.at(self.row(row, of: scratch.output), column)
          ir.store(ir.fmul(ir.load(code.vector, place), factor), place)
        }
      }
    }
  }

  /// Divides sums by Σ exp, which is 0 for a query that sees no key, as its output is.
  private func keepOutput(
    _ block: QueryBlock, _ output: IRValue, sequence: IRValue, head: IRValue
  ) {
    let zero = ir.zero(code.vector)
    ir.loop(from: ir.int(0), to: ir.int(scratch.queryRows), by: code.lanes) { row in
      let sum = ir.load(code.vector, code.at(area(scratch.sums), row))
      let isBlind = ir.fcompare(.equal, sum, zero)
      let factor = ir.fdiv(ir.float(1, code.vector), sum)
      ir.store(ir.select(isBlind, zero, factor), code.at(area(scratch.factors), row))
      let place = code.at(area(scratch.maxima), row)
      let top = ir.fmul(ir.load(code.vector, place), ir.float(1 / binary, code.vector))
      let lse = ir.fadd(top, code.log(sum))
      ir.store(ir.select(isBlind, ir.float(-.infinity, code.vector), lse), place)
    }
    forEachRow(block) { row, query in
      let lse = ir.load(ir.f32, code.at(area(scratch.maxima), row))
      ir.store(lse, logSumExp(4, query, sequence: sequence, head: head))
      let factor = ir.load(ir.f32, code.at(area(scratch.factors), row))
      let target = code.at(output, ir.mul(query, ir.int(queryStride)))
      code.columns(width) { column, active in
        let source = code.at(self.row(row, of: scratch.output), column)
        let x = code.load(source, active, scalar: width == 1)
        code.store(
          ir.fmul(x, ir.splat(factor, x.type.lanes)), code.at(target, column), active)
      }
    }
  }
}
