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

// The layouts in which outer products over rows (tokens) read them. A unit is one row, or a pair of rows
// in bf16; a band is the units that the matrix unit takes at once, or one.
//
// On the right, and on the left of the vector tile: panels `[width / columns][units][columns]`, so that the
// inner loop reads whole vectors. On the left of the matrix unit: `[width][units]`, a row a channel.
extension CodeGenerator {
  /// Units of a band.
  var bandUnits: Int { plan.precision.band / plan.precision.depth }

  /// Lays a band of `rows`, from its unit `first` on, out in `area`, where it begins at unit `unit`.
  func layOut(_ rows: SourceRows, from first: IRValue, into area: OuterArea, at unit: IRValue) {
    if area.side == .left, usesMatrixUnit {
      return layOutChannels(rows, from: first, into: area, at: unit)
    }
    ir.loop(from: ir.int(0), to: ir.int(bandUnits)) { number in
      let members = unitRows(rows, ir.add(first, number))
      let place = ir.mul(ir.add(unit, number), ir.int(plan.tile.columns))
      interleave(members, width: rows.width, into: area, at: place)
    }
  }

  private func keep(_ value: IRValue, in area: OuterArea, at place: IRValue) {
    let address = at(area.base, place)
    if area.isLarge { ir.stream(value, address) } else { ir.store(value, address) }
  }

  /// Returns what `leftOperand` is to a product, from unit `unit` of its depth on.
  ///
  /// - Parameter base: where its first channel, the first of a panel, is laid out.
  func leftOperand(_ base: IRValue, units: Int, from unit: IRValue) -> MatmulOperand {
    let columns = plan.tile.columns
    guard !usesMatrixUnit else {
      return MatmulOperand(base: at(base, unit), rowStride: units, depthStride: 1)
    }
    return MatmulOperand(
      base: at(base, ir.mul(unit, ir.int(columns))), rowStride: 1, depthStride: columns,
      panelStride: units * columns)
  }

  // MARK: Units

  /// A row of a unit: where it is, and whether it counts; `nil` for always.
  private struct UnitRow {
    let address: IRValue
    let exists: IRValue?
  }

  /// Returns the rows of unit `unit`.
  private func unitRows(_ rows: SourceRows, _ unit: IRValue) -> [UnitRow] {
    let depth = plan.precision.depth
    return (0..<depth).map { offset in
      let row = ir.add(rows.start, ir.add(ir.mul(unit, ir.int(depth)), ir.int(offset)))
      guard plan.precision.band > 1 else {
        return UnitRow(address: at(rows.base, ir.mul(row, ir.int(rows.stride))), exists: nil)
      }
      // A row beyond the last one may lie outside of the buffer: the last one is read in its place.
      let inside = ir.min(row, ir.sub(rows.end, ir.int(1)))
      return UnitRow(
        address: at(rows.base, ir.mul(inside, ir.int(rows.stride))),
        exists: ir.compare(.less, row, rows.end))
    }
  }

  /// Returns `active` columns of a unit: f32, or pairs of bf16.
  private func unitVector(_ rows: [UnitRow], _ column: IRValue, _ active: Int) -> IRValue {
    let values = rows.map { row in
      let x = load(at(row.address, column), active)
      return row.exists.map { ir.select($0, x, ir.zero(vector)) } ?? x
    }
    guard values.count == 2 else { return values[0] }
    let pairs = (0..<lanes).flatMap { [$0, lanes + $0] }
    return ir.bitcast(
      ir.shuffle(roundToBF16(values[0]), roundToBF16(values[1]), pairs), vector)
  }

  // MARK: Panels

  /// Lays one unit out in panels; columns beyond the width are 0.
  private func interleave(
    _ rows: [UnitRow], width: Int, into area: OuterArea, at place: IRValue
  ) {
    let columns = plan.tile.columns
    ir.loop(from: ir.int(0), to: ir.int(width / columns)) { panel in
      let target = ir.add(place, ir.mul(panel, ir.int(area.units * columns)))
      interleavePanel(
        rows, from: ir.mul(panel, ir.int(columns)), width: columns, into: area, at: target)
    }
    guard width % columns != 0 else { return }
    let last = width / columns
    interleavePanel(
      rows, from: ir.int(last * columns), width: width % columns, into: area,
      at: ir.add(place, ir.int(last * area.units * columns)))
  }

  private func interleavePanel(
    _ rows: [UnitRow], from first: IRValue, width: Int, into area: OuterArea, at place: IRValue
  ) {
    for column in stride(from: 0, to: plan.tile.columns, by: lanes) {
      let active = min(lanes, width - column)
      let value =
        active > 0 ? unitVector(rows, ir.add(first, ir.int(column)), active) : ir.zero(vector)
      keep(value, in: area, at: ir.add(place, ir.int(column)))
    }
  }

  // MARK: Channels

  /// Lays a band out as a vector of units for each channel: squares are transposed.
  private func layOutChannels(
    _ rows: SourceRows, from first: IRValue, into area: OuterArea, at unit: IRValue
  ) {
    let members = (0..<bandUnits).map { unitRows(rows, ir.add(first, ir.int($0))) }
    columns(rows.width) { column, active in
      let square = transpose(members.map { unitVector($0, column, active) })
      for offset in 0..<active {
        let channel = ir.add(column, ir.int(offset))
        keep(square[offset], in: area, at: ir.add(ir.mul(channel, ir.int(area.units)), unit))
      }
    }
  }
}
