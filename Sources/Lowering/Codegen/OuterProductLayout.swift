internal import LLVMKit
internal import MoTIR

/// An operand of outer products in memory, as it is laid out.
struct OuterArea {
  let side: OuterSide
  /// Where channel 0 begins.
  let base: IRValue
  /// Units of a channel.
  let units: Int
  /// Its bytes, which say whether caches could hold it.
  let bytes: Int

  /// `true` iff it goes to memory past the caches.
  var isLarge: Bool { bytes >= 4 << 20 }
}

/// Rows of f32 that are summed over, in memory.
struct SourceRows {
  /// The address of row 0, how many columns a row has, and how many f32 lie from one row to the next.
  let base: IRValue
  let width, stride: Int
  /// The first row, and the row after the last one; what is beyond it counts as zeros.
  let start, end: IRValue
}

// The layouts in which outer products over rows (tokens) read them. A unit is one row, or a pair of rows; a band
// is the units that the matrix unit takes at once, of each term, or one.
//
// On the right, and on the left of the vector tile: panels `[width / columns][units][columns]`, so that the
// inner loop reads whole vectors. On the left of the matrix unit: tiles `[width / 16][units / 16][16][16]` of a
// row a channel.
extension CodeGenerator {
  /// Lays the bands `bands` of `rows` out in `area`, where the first of all begins at unit `start`.
  ///
  /// One function does it for all rows of a side: strides are its arguments, for memory sets the pace.
  func layOut(
    _ rows: SourceRows, bands: (from: IRValue, to: IRValue), into area: OuterArea,
    from start: IRValue
  ) {
    let inChannels = area.side == .left && usesMatrixUnit
    let tail = rows.width % (inChannels ? lanes : plan.tile.columns)
    let name =
      "lay_out_\(inChannels ? "channels" : "panels")\(tail > 0 ? "_\(tail)" : "")"
      + (area.isLarge ? "_past" : "")
    let arguments = [
      rows.base, area.base, rows.start, rows.end, ir.int(rows.stride),
      ir.int(rows.width - tail), ir.int(area.units), start, bands.from, bands.to,
    ]
    callShared(name, arguments) { p in
      let work = LayingOut(
        source: p[0], target: p[1], start: p[2], end: p[3], stride: p[4], whole: p[5], tail: tail,
        units: p[6], passesCaches: area.isLarge)
      ir.loop(from: p[8], to: p[9]) { band in
        let unit = ir.add(p[7], ir.mul(band, ir.int(operands.bandUnits)))
        let first = ir.mul(band, ir.int(termUnits))
        if inChannels {
          layOutChannels(work, from: first, at: unit)
        } else {
          layOutPanels(work, from: first, at: unit)
        }
      }
    }
  }

  /// Returns what `leftOperand` is to a product, from unit `unit` of its depth on.
  ///
  /// - Parameter base: where its first channel, the first of a panel, is laid out.
  func leftOperand(_ base: IRValue, units: Int, from unit: IRValue) -> MatmulOperand {
    let columns = plan.tile.columns
    guard !usesMatrixUnit else {
      return MatmulOperand(
        base: at(base, ir.mul(unit, ir.int(tileSide))), rowStride: units, depthStride: 1,
        isTiled: true)
    }
    return MatmulOperand(
      base: at(base, ir.mul(unit, ir.int(columns))), rowStride: 1, depthStride: columns,
      panelStride: units * columns)
  }

  /// The arguments of a function that lays rows out.
  private struct LayingOut {
    let source, target: IRValue
    /// The first row, the row after the last one, and the f32 from one row to the next.
    let start, end, stride: IRValue
    /// Columns in whole panels or vectors, and those behind them.
    let whole: IRValue
    let tail: Int
    /// Units of a channel of the target.
    let units: IRValue
    let passesCaches: Bool
  }

  private func keep(_ value: IRValue, _ work: LayingOut, at place: IRValue) {
    let address = at(work.target, place)
    if work.passesCaches { ir.stream(value, address) } else { ir.store(value, address) }
  }

  // MARK: Units

  /// A row of a unit: where it is, and whether it counts; `nil` for always.
  private struct UnitRow {
    let address: IRValue
    let exists: IRValue?
  }

  /// Returns the rows of unit `unit`.
  private func unitRows(_ work: LayingOut, _ unit: IRValue) -> [UnitRow] {
    let depth = operands.depth
    return (0..<depth).map { offset in
      let row = ir.add(work.start, ir.add(ir.mul(unit, ir.int(depth)), ir.int(offset)))
      guard operands.band > 1 else {
        return UnitRow(address: at(work.source, ir.mul(row, work.stride)), exists: nil)
      }
      // A row beyond the last one may lie outside of the buffer: the last one is read in its place.
      let inside = ir.min(row, ir.sub(work.end, ir.int(1)))
      return UnitRow(
        address: at(work.source, ir.mul(inside, work.stride)),
        exists: ir.compare(.less, row, work.end))
    }
  }

  /// Returns `active` columns of a unit, a vector a term.
  private func unitVectors(_ rows: [UnitRow], _ column: IRValue, _ active: Int) -> [IRValue] {
    let values = rows.map { row in
      let x = load(at(row.address, column), active)
      return row.exists.map { ir.select($0, x, ir.zero(vector)) } ?? x
    }
    return values.count == 2 ? pairs(values[0], values[1]) : values
  }

  // MARK: Panels

  /// Lays a band out in panels; columns beyond the last one are 0.
  private func layOutPanels(_ work: LayingOut, from first: IRValue, at unit: IRValue) {
    let columns = plan.tile.columns
    ir.loop(from: ir.int(0), to: ir.int(termUnits)) { number in
      let rows = unitRows(work, ir.add(first, number))
      let place = ir.mul(ir.add(unit, number), ir.int(columns))
      // Panels lie `units` rows of `columns` units apart: column c begins c · units after the first.
      func panel(from column: IRValue, width: Int) {
        let target = ir.add(place, ir.mul(column, work.units))
        for part in stride(from: 0, to: columns, by: lanes) {
          let active = min(lanes, width - part)
          let values =
            active > 0
            ? unitVectors(rows, ir.add(column, ir.int(part)), active)
            : [IRValue](repeating: ir.zero(vector), count: operands.terms)
          for (term, value) in values.enumerated() {
            let offset = term * termUnits * columns + part
            keep(value, work, at: ir.add(target, ir.int(offset)))
          }
        }
      }
      ir.loop(from: ir.int(0), to: work.whole, by: columns) { panel(from: $0, width: columns) }
      if work.tail > 0 { panel(from: work.whole, width: work.tail) }
    }
  }

  // MARK: Channels

  /// Lays a band out in tiles of 16 channels, which are transposed squares.
  private func layOutChannels(_ work: LayingOut, from first: IRValue, at unit: IRValue) {
    let members = (0..<termUnits).map { unitRows(work, ir.add(first, ir.int($0))) }
    func channels(from column: IRValue, _ active: Int) {
      let units = members.map { unitVectors($0, column, active) }
      for term in 0..<operands.terms {
        let square = transpose(units.map { $0[term] })
        let row = ir.add(unit, ir.int(term * termUnits))
        let tile = ir.add(ir.mul(column, work.units), ir.mul(row, ir.int(tileSide)))
        for offset in 0..<active {
          keep(square[offset], work, at: ir.add(tile, ir.int(offset * tileSide)))
        }
      }
    }
    ir.loop(from: ir.int(0), to: work.whole, by: lanes) { channels(from: $0, lanes) }
    if work.tail > 0 { channels(from: work.whole, work.tail) }
  }
}
