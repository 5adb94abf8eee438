internal import LLVMKit
internal import MoTIR

/// A parameter's master copy: `groups` matrices [N, D] in f32.
struct MasterMatrix {
  /// Its address.
  let base: IRValue
  /// N, D, and how many matrices.
  let rows, columns, groups: IRValue

  /// The arguments from `index` on are N, D and the number of groups.
  init(_ base: IRValue, sizes: ArraySlice<IRValue>) {
    self.base = base
    rows = sizes[sizes.startIndex]
    columns = sizes[sizes.startIndex + 1]
    groups = sizes[sizes.startIndex + 2]
  }
}

// The forms of a matrix that the register tile reads, in units of depth.
extension CodeGenerator {
  /// (master, packed, N, D, groups): panels `[N / columns][D][columns]`, rows beyond N zero.
  func emitPackForward(_ frame: KernelFrame) {
    let matrix = MasterMatrix(frame.arguments[0], sizes: frame.arguments[2...])
    let panels = ir.mul(matrix.groups, ceilDivide(matrix.rows, plan.tile.columns))
    let (from, to) = share(panels, frame)
    ir.loop(from: from, to: to) { packPanel(ofRows: $0, matrix, into: frame.arguments[1]) }
  }

  /// (master, packed, N, D, groups): panels `[D / columns][N][columns]`, columns beyond D zero.
  func emitPackBackward(_ frame: KernelFrame) {
    let matrix = MasterMatrix(frame.arguments[0], sizes: frame.arguments[2...])
    let panels = ceilDivide(matrix.columns, plan.tile.columns)
    let (from, to) = share(ir.mul(matrix.groups, panels), frame)
    ir.loop(from: from, to: to) { index in
      packPanel(
        ofColumns: ir.urem(index, panels), matrix, group: ir.udiv(index, panels),
        into: at(
          frame.arguments[1], ir.mul(index, ir.mul(units(matrix.rows), ir.int(plan.tile.columns)))))
    }
  }

  /// Packs panel `number` of rows, counted over all groups, for `linear`: the unit at place u of row i goes to
  /// `target[u · panel + i]`.
  private func packPanel(
    ofRows number: IRValue, _ matrix: MasterMatrix, into packed: IRValue
  ) {
    let (rows, columns) = (matrix.rows, matrix.columns)
    let (panel, depth) = (plan.tile.columns, operands.depth)
    let panels = ceilDivide(rows, panel)
    let first = ir.mul(ir.urem(number, panels), ir.int(panel))
    let source = at(matrix.base, ir.mul(ir.udiv(number, panels), ir.mul(rows, columns)))
    let target = at(packed, ir.mul(number, ir.mul(units(columns), ir.int(panel))))
    let step = lanes * depth
    /// Squares side by side fill whole stretches of memory one after the other.
    func forEachPart(_ body: (_ members: [PanelRow], _ target: IRValue) -> Void) {
      ir.loop(from: ir.int(0), to: ir.int(panel), by: lanes) { part in
        let members = (0..<lanes).map { lane in
          let row = ir.add(first, ir.add(part, ir.int(lane)))
          let inside = ir.min(row, ir.sub(rows, ir.int(1)))
          return PanelRow(
            address: at(source, ir.mul(inside, columns)), exists: ir.compare(.less, row, rows))
        }
        body(members, at(target, part))
      }
    }
    func packSquares(
      from column: IRValue, _ load: (_ address: IRValue, _ column: IRValue) -> IRValue
    ) {
      forEachPart { members, target in
        packColumns(vectors: 1, into: at(target, ir.mul(units(column), ir.int(panel)))) {
          let column = ir.add(column, ir.int($1))
          let member = members[$0]
          return ir.select(
            member.exists, load(at(member.address, column), column), ir.zero(vector))
        }
      }
    }
    guard !operands.isTiled else {
      // Tiles come in whole bands: columns beyond the last one are zeros.
      return ir.loop(from: ir.int(0), to: columns, by: step) { column in
        packSquares(from: column) { address, column in
          ir.maskedLoad(vector, address, lanes(from: column, below: columns))
        }
      }
    }
    let whole = ir.mul(ir.udiv(columns, ir.int(step)), ir.int(step))
    ir.loop(from: ir.int(0), to: whole, by: step) { column in
      packSquares(from: column) { address, _ in ir.load(vector, address) }
    }
    ir.loop(from: whole, to: columns, by: depth) { column in
      forEachPart { members, target in
        for (lane, member) in members.enumerated() {
          let unit = loadUnit(at(member.address, column), column: column, columns: columns)
          let value = ir.select(member.exists, unit, ir.float(0))
          let index = ir.add(ir.mul(ir.udiv(column, ir.int(depth)), ir.int(panel)), ir.int(lane))
          ir.store(value, at(target, index))
        }
      }
    }
  }

  /// Packs `lanes · depth` columns of rows, of which there are as many as `vectors` have lanes.
  ///
  /// - Parameters:
  ///   - target: where the first column's unit of the first row goes.
  ///   - element: returns columns of a row, `lanes` of them from an offset on.
  func packColumns(
    vectors: Int, into target: IRValue, _ element: (_ row: Int, _ offset: Int) -> IRValue
  ) {
    let depth = operands.depth
    func transposed(_ row: (Int) -> IRValue) -> [[IRValue]] {
      (0..<vectors).map { number in transpose((0..<lanes).map { row(number * lanes + $0) }) }
    }
    func keep(_ value: IRValue, unit: Int, number: Int) {
      ir.stream(value, at(target, unit * plan.tile.columns + number * lanes))
    }
    guard operands.terms > 1 else {
      let squares = transposed { row in unitVector { element(row, $0) } }
      for unit in 0..<lanes {
        for number in 0..<vectors { keep(squares[number][unit], unit: unit, number: number) }
      }
      return
    }
    // Numbers are turned before they become terms: there are fewer of them.
    for half in 0..<depth {
      let squares = transposed { element($0, half * lanes) }
      for pair in 0..<lanes / 2 {
        for number in 0..<vectors {
          let units = pairs(squares[number][2 * pair], squares[number][2 * pair + 1])
          for (term, value) in units.enumerated() {
            keep(value, unit: term * termUnits + half * lanes / 2 + pair, number: number)
          }
        }
      }
    }
  }

  /// A row of a panel: where it is, or one that can be read in its place, and whether it exists.
  private struct PanelRow {
    let address, exists: IRValue
  }

  /// Packs a panel of columns of one group for `linear.input_gradient`.
  private func packPanel(
    ofColumns number: IRValue, _ matrix: MasterMatrix, group: IRValue, into target: IRValue
  ) {
    let depth = operands.depth
    let source = at(matrix.base, ir.mul(group, ir.mul(matrix.rows, matrix.columns)))
    let first = ir.mul(number, ir.int(plan.tile.columns))
    // Tiles come in whole bands.
    let multiple = operands.isTiled ? operands.band : depth
    let end = ir.mul(ceilDivide(matrix.rows, multiple), ir.int(multiple))
    ir.loop(from: ir.int(0), to: ir.udiv(end, ir.int(depth))) { unit in
      packUnit(unit, into: target) { offset, part in
        let row = ir.add(ir.mul(unit, ir.int(depth)), ir.int(offset))
        let inside = ir.min(row, ir.sub(matrix.rows, ir.int(1)))
        let column = ir.add(first, ir.int(part))
        let x = ir.maskedLoad(
          vector, at(source, ir.add(ir.mul(inside, matrix.columns), column)),
          lanes(from: column, below: matrix.columns))
        return ir.select(ir.compare(.less, row, matrix.rows), x, ir.zero(vector))
      }
    }
  }

  /// Packs the rows of unit `unit` of a panel of columns.
  ///
  /// - Parameters:
  ///   - target: where the panel's first unit goes.
  ///   - element: returns columns, `lanes` of them from one of the panel's on, of a row that is in the unit.
  func packUnit(
    _ unit: IRValue, into target: IRValue, _ element: (_ offset: Int, _ column: Int) -> IRValue
  ) {
    let width = plan.tile.columns
    for column in stride(from: 0, to: width, by: lanes) {
      let rows = (0..<operands.depth).map { element($0, column) }
      for (term, value) in (rows.count == 1 ? rows : pairs(rows[0], rows[1])).enumerated() {
        let place = ir.mul(place(ofUnit: unit, term: term), ir.int(width))
        ir.stream(value, at(target, ir.add(place, ir.int(column))))
      }
    }
  }

  /// Returns `lanes` units of neighbouring columns, of one term; `load` gives columns from an offset on.
  private func unitVector(_ load: (_ offset: Int) -> IRValue) -> IRValue {
    operands == .f32 ? load(0) : neighbours(load(0), load(lanes))[0]
  }

  /// Loads one unit; the second half of a pair is 0 beyond the last column.
  private func loadUnit(_ address: IRValue, column: IRValue, columns: IRValue) -> IRValue {
    guard operands.isRounded else { return ir.load(ir.f32, address) }
    let hasSecond = ir.compare(.less, ir.add(column, ir.int(1)), columns)
    let second = ir.select(hasSecond, at(address, 1), address)
    let high = ir.select(hasSecond, ir.load(ir.f32, second), ir.float(0))
    return pair(ir.load(ir.f32, address), high)
  }

  /// Returns two f32 as a pair of bf16, the first in the low half.
  private func pair(_ low: IRValue, _ high: IRValue) -> IRValue {
    let halves = [low, high].map { ir.zeroExtend(roundToBF16($0), ir.i32) }
    return ir.bitcast(ir.or(halves[0], ir.shiftLeft(halves[1], ir.int(16, ir.i32))), ir.f32)
  }

  /// Returns the mask of the lanes whose columns, from `column` on, are below `end`.
  func lanes(from column: IRValue, below end: IRValue) -> IRValue {
    let lane = ir.constantVector((0..<lanes).map { ir.int($0) })
    return ir.compare(.less, ir.add(ir.splat(column, lanes), lane), ir.splat(end, lanes))
  }
}
