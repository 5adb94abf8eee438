internal import LLVMKit
internal import MoTIR

// Operands in bf16, where the target multiplies pairs of them: scores are products over pairs of columns,
// everything else over pairs of keys or of queries. Softmax is in f32, and sums are.
//
// Products go over whole panels of depth; what is hidden or beyond the sequence is 0 in one operand.
extension AttentionEmitter {
  /// Returns two vectors rounded to bf16, one after the other: lanes in pairs of neighbours.
  func rounded(_ low: IRValue, _ high: IRValue) -> IRValue {
    ir.bitcast(halves(low, high), code.vector)
  }

  /// Returns pairs (a, b) of two vectors' lanes, rounded to bf16.
  func interleaved(_ a: IRValue, _ b: IRValue) -> IRValue {
    let both = ir.bitcast(halves(a, b), ir.vector(ir.i16, 2 * code.lanes))
    let order = (0..<code.lanes).flatMap { [$0, code.lanes + $0] }
    return ir.bitcast(ir.shuffle(both, both, order), code.vector)
  }

  private func halves(_ low: IRValue, _ high: IRValue) -> IRValue {
    ir.intrinsic("llvm.x86.avx512bf16.cvtne2ps2bf16.512", overloads: [], [high, low])
  }

  /// Fills the last panel of queries up: rows of 0 whose probabilities are 0.
  func fillQueries() {
    let beyond = queryCount - sequence
    guard beyond > 0 else { return }
    for target in [scratch.queries, scratch.upstream] {
      ir.clear(
        code.at(area(target), sequence * scratch.rowUnits),
        bytes: ir.int(4 * beyond * scratch.rowUnits))
    }
    for (target, value) in [(scratch.normalizers, 1e30), (scratch.deltas, 0)] {
      for query in sequence..<queryCount {
        ir.store(ir.float(value), code.at(area(target), query))
      }
    }
  }

  /// As `scoreGradients`, two queries at a time: both results in pairs of queries, in place, and score
  /// gradients in pairs of keys besides.
  func pairedScoreGradients(_ tile: Tile) {
    ir.loop(from: ir.int(0), to: tile.count, by: 2) { row in
      let rows = [row, ir.add(row, ir.int(1))]
      let numbers = rows.map { rowNumbers(ir.add(tile.first, $0)) }
      let last = ir.add(tile.first, rows[1])
      _ = forEachPanel(ofRow: last, tile, carrying: []) { key, _, isMixed in
        let results = zip(rows, numbers).map { row, numbers in
          vectors(ofPanel: key).map {
            gradients(row: row, key: $0, tile, numbers, isMixed: isMixed)
          }
        }
        for (index, key) in vectors(ofPanel: key).enumerated() {
          let (first, second) = (results[0][index], results[1][index])
          ir.store(interleaved(first.p, second.p), place(scratch.strip, row, key, tile))
          ir.store(interleaved(first.ds, second.ds), place(scratch.gradientStrip, row, key, tile))
        }
        for (row, result) in zip(rows, results) {
          ir.store(rounded(result[0].ds, result[1].ds), pairPlace(row, key, tile))
        }
        return []
      }
    }
  }

  /// Copies probabilities and score gradients, in pairs of queries, to a row a key: the left operands that
  /// the matrix unit takes.
  func transposeStrips(_ tile: Tile) {
    ir.loop(from: tile.from, to: wholePanels(tile.to), by: code.lanes) { key in
      ir.loop(from: ir.int(0), to: units(tile.count), by: code.lanes) { unit in
        for (source, target) in [
          (scratch.strip, scratch.probabilitiesByKey),
          (scratch.gradientStrip, scratch.gradientsByKey),
        ] {
          let square = code.transpose(
            (0..<code.lanes).map { offset in
              let row = ir.mul(ir.add(unit, ir.int(offset)), ir.int(2))
              return ir.load(code.vector, place(source, row, key, tile))
            })
          for (offset, units) in square.enumerated() {
            let key = ir.add(key, ir.int(offset))
            ir.store(units, code.at(rowByKey(target, key, tile), unit))
          }
        }
      }
    }
  }

  /// Returns the address of a key's row in a strip by key.
  func rowByKey(_ strip: Int, _ key: IRValue, _ tile: Tile) -> IRValue {
    code.at(area(strip), ir.mul(ir.sub(key, tile.start), ir.int(scratch.keyStride)))
  }

  /// Returns the address of a panel's score gradients in pairs of keys.
  func pairPlace(_ row: IRValue, _ key: IRValue, _ tile: Tile) -> IRValue {
    let column = ir.udiv(ir.sub(key, tile.start), ir.int(2))
    return code.at(
      area(scratch.gradientPairs), ir.add(ir.mul(row, ir.int(scratch.pairStride)), column))
  }

  /// Returns the address of a panel's probabilities in pairs of keys, in place of its scores: a panel is
  /// read before anything is written there.
  func probabilityPlace(_ row: IRValue, _ key: IRValue, _ tile: Tile) -> IRValue {
    let column = ir.udiv(ir.sub(key, tile.start), ir.int(2))
    return code.at(
      area(scratch.strip), ir.add(ir.mul(row, ir.int(scratch.stripStride)), column))
  }
}
