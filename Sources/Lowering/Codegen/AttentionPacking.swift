internal import LLVMKit
internal import MoTIR

// Copies of a head's rows in the layouts that the tile reads, and of results to where they belong.
//
// What is copied in more than one place is a function: squares of vectors are much code.
extension AttentionEmitter {
  /// Emits a call of the function `name` of this sequence and head width with addresses and numbers, whose `body`
  /// is emitted at its first call: what else it depends on is an argument, or in the name.
  func callShared(_ name: String, _ arguments: [IRValue], _ body: ([IRValue]) -> Void) {
    code.callShared("attention_\(name)_\(sequence)_\(width)", arguments, body)
  }

  /// Copies rows times `scale` to `[count, rowUnits]`, columns beyond the width zero.
  func packRows(
    _ source: IRValue, count: IRValue, stride: Int, scale: Double = 1, into target: Int
  ) {
    let name = "rows_\(stride)\(scale == 1 ? "" : "_scaled")"
    callShared(name, [source, area(target), count]) { p in
      ir.loop(from: ir.int(0), to: p[2]) { row in
        let from = code.at(p[0], ir.mul(row, ir.int(stride)))
        let to = code.at(p[1], ir.mul(row, ir.int(scratch.rowUnits)))
        for (index, units) in rowUnits(from, scale: scale).enumerated() {
          ir.store(units, code.at(to, index * code.lanes))
        }
      }
    }
  }

  /// Copies all rows of a head times `scale` to `[U(S), P]`; in pairs the last panel of rows is filled up with
  /// zeros.
  func packAcross(_ source: IRValue, stride: Int, scale: Double = 1, into target: Int) {
    guard isPaired else {
      return packRows(
        source, count: ir.int(sequence), stride: stride, scale: scale, into: target)
    }
    let name = "across_\(stride)\(scale == 1 ? "" : "_scaled")"
    callShared(name, [source, area(target)]) { p in
      ir.loop(from: ir.int(0), to: ir.int(code.plan.tile.padded(sequence)), by: 2) { first in
        let rows = (0..<2).map { offset in
          let row = ir.add(first, ir.int(offset))
          let exists = ir.compare(.less, row, ir.int(sequence))
          let from = code.at(p[0], ir.mul(ir.min(row, ir.int(sequence - 1)), ir.int(stride)))
          return rowVectors(from, scale: scale).map { x in
            ir.select(exists, x, ir.zero(code.vector))
          }
        }
        let unit = ir.udiv(first, ir.int(2))
        for (index, (even, odd)) in zip(rows[0], rows[1]).enumerated() {
          for (term, units) in code.pairs(even, odd).enumerated() {
            let row = ir.mul(code.place(ofUnit: unit, term: term), ir.int(scratch.padded))
            ir.store(units, code.at(p[1], ir.add(row, ir.int(index * code.lanes))))
          }
        }
      }
    }
  }

  /// Loads a row times `scale` as vectors, columns beyond the width zero.
  private func rowVectors(_ source: IRValue, scale: Double) -> [IRValue] {
    stride(from: 0, to: scratch.padded, by: code.lanes).map { column in
      let active = min(code.lanes, width - column)
      guard active > 0 else { return ir.zero(code.vector) }
      let x = code.load(code.at(source, column), active)
      return scale == 1 ? x : ir.fmul(x, ir.float(scale, x.type))
    }
  }

  /// Loads a row times `scale` as vectors of units whose pairs are neighbouring columns.
  private func rowUnits(_ source: IRValue, scale: Double) -> [IRValue] {
    let vectors = rowVectors(source, scale: scale)
    guard isPaired else { return vectors }
    return stride(from: 0, to: vectors.count, by: 2).flatMap {
      code.neighbours(vectors[$0], vectors[$0 + 1])
    }
  }

  /// Copies all rows of a head to panels `[S / columns][depth][columns]`, by square transposes.
  ///
  /// Keys beyond the sequence repeat its last one; masks and row counts keep them out of results.
  func packTransposed(_ source: IRValue, into target: Int) {
    callShared("panels", [source, area(target), ir.int(keyStride)]) { p in
      let last = ir.int(sequence - 1)
      ir.loop(
        from: ir.int(0), to: ir.int(code.plan.tile.padded(sequence)), by: code.lanes
      ) { first in
        let rows = (0..<code.lanes).map { lane in
          let row = ir.min(ir.add(first, ir.int(lane)), last)
          return rowUnits(code.at(p[0], ir.mul(row, p[2])), scale: 1)
        }
        let place = ir.add(
          ir.mul(ir.udiv(first, ir.int(columns)), ir.int(scratch.depth * columns)),
          ir.urem(first, ir.int(columns)))
        for column in stride(from: 0, to: scratch.depth, by: code.lanes) {
          let square = code.transpose(rows.map { $0[column / code.lanes] })
          for offset in 0..<min(code.lanes, scratch.depth - column) {
            let index = ir.add(place, ir.int((column + offset) * columns))
            ir.store(square[offset], code.at(p[1], index))
          }
        }
      }
    }
  }

  /// Copies rows `[count, P]` times `scale` to rows `stride` apart.
  func keepRows(
    _ source: Int, count: IRValue, scale: Double, at target: IRValue, stride: Int
  ) {
    ir.loop(from: ir.int(0), to: count) { row in
      let from = self.row(row, of: source)
      let to = code.at(target, ir.mul(row, ir.int(stride)))
      code.columns(width) { column, active in
        var x = code.load(code.at(from, column), active, scalar: width == 1)
        if scale != 1 { x = ir.fmul(x, ir.float(scale, x.type)) }
        code.store(x, code.at(to, column), active)
      }
    }
  }
}
