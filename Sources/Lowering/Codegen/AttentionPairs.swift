internal import LLVMKit
internal import MoTIR

// Operands in units of pairs of bf16: scores are products over pairs of columns, everything else over pairs of
// keys or of queries. Softmax is in f32, and sums are.
//
// Products go over whole panels of depth; what is hidden or beyond the sequence is 0 in one operand.
extension AttentionEmitter {
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

  /// As `scoreGradients`, two queries at a time: both results in pairs of queries, in place.
  ///
  /// - Requires: units are of one term.
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
          ir.store(code.pairs(first.p, second.p)[0], place(scratch.strip, row, key, tile))
          ir.store(code.pairs(first.ds, second.ds)[0], place(scratch.gradientStrip, row, key, tile))
        }
        for (row, result) in zip(rows, results) {
          storePairs(result.map(\.ds), row, key, tile)
        }
        return []
      }
    }
  }

  /// Copies a strip to rows of pairs of queries, a row a key: the left operand that the matrix unit takes.
  func transpose(_ strip: Int, _ tile: Tile, into target: Int) {
    let from = place(strip, ir.int(0), tile.from, tile)
    let to = rowByKey(target, tile.from, tile)
    let keys = ir.sub(wholePanels(tile.to), tile.from)
    callShared("transpose", [from, to, keys, tile.count]) { p in
      ir.loop(from: ir.int(0), to: p[2], by: code.lanes) { key in
        ir.loop(from: ir.int(0), to: p[3], by: 2 * code.lanes) { query in
          let rows = (0..<2 * code.lanes).map { offset in
            let row = ir.mul(ir.add(query, ir.int(offset)), ir.int(scratch.stripStride))
            return ir.load(code.vector, code.at(p[0], ir.add(row, key)))
          }
          let pairs = (0..<code.lanes).map { code.pairs(rows[2 * $0], rows[2 * $0 + 1]) }
          for term in 0..<operands.terms {
            let unit = ir.add(units(query), ir.int(term * code.lanes))
            for (offset, value) in code.transpose(pairs.map { $0[term] }).enumerated() {
              let row = ir.mul(ir.add(key, ir.int(offset)), ir.int(scratch.keyStride))
              ir.store(value, code.at(p[1], ir.add(row, unit)))
            }
          }
        }
      }
    }
  }

  /// Returns the address of a key's row in a strip by key.
  func rowByKey(_ strip: Int, _ key: IRValue, _ tile: Tile) -> IRValue {
    code.at(area(strip), ir.mul(ir.sub(key, tile.start), ir.int(scratch.keyStride)))
  }

  /// Stores a panel of a query's probabilities or score gradients, two vectors, in pairs of keys.
  func storePairs(_ values: [IRValue], _ row: IRValue, _ key: IRValue, _ tile: Tile) {
    for (term, units) in code.neighbours(values[0], values[1]).enumerated() {
      ir.store(units, code.at(pairPlace(row, key, tile), term * code.lanes))
    }
  }

  /// Returns the address of a panel of keys in a row of pairs.
  func pairPlace(_ row: IRValue, _ key: IRValue, _ tile: Tile) -> IRValue {
    let unit = units(ir.sub(key, tile.start))
    return code.at(
      area(scratch.keyPairs), ir.add(ir.mul(row, ir.int(scratch.pairStride)), unit))
  }
}
