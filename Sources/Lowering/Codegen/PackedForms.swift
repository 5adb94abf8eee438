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

// The forms of a matrix that the register tile reads. A unit is one f32, or two bf16 that are neighbours
// in depth.
extension CodeGenerator {
  /// (master, packed, N, D, groups): panels `[N / columns][D][columns]`, rows beyond N zero.
  func emitPackForward(_ frame: KernelFrame) {
    let matrix = MasterMatrix(frame.arguments[0], sizes: frame.arguments[2...])
    let panels = ir.mul(matrix.groups, ceilDivide(matrix.rows, plan.tile.columns))
    let (from, to) = share(panels, frame)
    ir.loop(from: from, to: to) { packForward(matrix, panel: $0, into: frame.arguments[1]) }
  }

  /// (master, packed, N, D, groups): panels `[D / columns][N][columns]`, columns beyond D zero.
  func emitPackBackward(_ frame: KernelFrame) {
    let matrix = MasterMatrix(frame.arguments[0], sizes: frame.arguments[2...])
    let panels = ceilDivide(matrix.columns, plan.tile.columns)
    let (from, to) = share(ir.mul(matrix.groups, panels), frame)
    ir.loop(from: from, to: to) { index in
      packBackward(
        matrix, group: ir.udiv(index, panels), panel: ir.urem(index, panels),
        rows: (ir.int(0), matrix.rows), into: frame.arguments[1])
    }
  }

  /// Packs a panel of rows, counted over all groups, for `linear`.
  func packForward(_ matrix: MasterMatrix, panel: IRValue, into packed: IRValue) {
    let height = plan.tile.columns
    let panels = ceilDivide(matrix.rows, height)
    let units = ceilDivide(matrix.columns, plan.precision.depth)
    let first = ir.mul(ir.urem(panel, panels), ir.int(height))
    let source = at(
      matrix.base, ir.mul(ir.udiv(panel, panels), ir.mul(matrix.rows, matrix.columns)))
    let target = at(packed, ir.mul(panel, ir.mul(units, ir.int(height))))
    for part in stride(from: 0, to: height, by: lanes) {
      packTransposed(
        source, matrix, from: ir.add(first, ir.int(part)), into: at(target, part))
    }
  }

  /// Lays `lanes` rows of a matrix out as columns: unit u of row i goes to `target[u · panel + i]`.
  private func packTransposed(
    _ source: IRValue, _ matrix: MasterMatrix, from first: IRValue, into target: IRValue
  ) {
    let (panel, depth) = (plan.tile.columns, plan.precision.depth)
    let exists = (0..<lanes).map { ir.compare(.less, ir.add(first, ir.int($0)), matrix.rows) }
    let starts = (0..<lanes).map { lane in
      let row = ir.min(ir.add(first, ir.int(lane)), ir.sub(matrix.rows, ir.int(1)))
      return at(source, ir.mul(row, matrix.columns))
    }
    let step = lanes * depth
    let whole = ir.mul(ir.udiv(matrix.columns, ir.int(step)), ir.int(step))
    ir.loop(from: ir.int(0), to: whole, by: step) { column in
      let units = (0..<lanes).map { lane in
        ir.select(exists[lane], loadUnits(at(starts[lane], column)), ir.zero(vector))
      }
      for (offset, value) in transpose(units).enumerated() {
        let unit = ir.add(ir.udiv(column, ir.int(depth)), ir.int(offset))
        ir.stream(value, at(target, ir.mul(unit, ir.int(panel))))
      }
    }
    ir.loop(from: whole, to: matrix.columns, by: depth) { column in
      for lane in 0..<lanes {
        let unit = loadUnit(at(starts[lane], column), column: column, columns: matrix.columns)
        let value = ir.select(exists[lane], unit, ir.float(0))
        let index = ir.add(ir.mul(ir.udiv(column, ir.int(depth)), ir.int(panel)), ir.int(lane))
        ir.store(value, at(target, index))
      }
    }
  }

  /// Packs `rows` of a panel of columns of one group for `linear.input_gradient`.
  ///
  /// - Requires: the rows begin at a whole unit.
  func packBackward(
    _ matrix: MasterMatrix, group: IRValue, panel: IRValue, rows: (from: IRValue, to: IRValue),
    into packed: IRValue
  ) {
    let (width, depth) = (plan.tile.columns, plan.precision.depth)
    let units = ceilDivide(matrix.rows, depth)
    let source = at(matrix.base, ir.mul(group, ir.mul(matrix.rows, matrix.columns)))
    let panels = ceilDivide(matrix.columns, width)
    let index = ir.add(ir.mul(group, panels), panel)
    let target = at(packed, ir.mul(index, ir.mul(units, ir.int(width))))
    let first = ir.mul(panel, ir.int(width))
    ir.loop(from: ir.udiv(rows.from, ir.int(depth)), to: ceilDivide(rows.to, depth)) { unit in
      for part in stride(from: 0, to: width, by: lanes) {
        let value = packedRow(
          source, row: ir.mul(unit, ir.int(depth)), column: ir.add(first, ir.int(part)),
          rows: matrix.rows, columns: matrix.columns)
        ir.stream(value, at(target, ir.add(ir.mul(unit, ir.int(width)), ir.int(part))))
      }
    }
  }

  /// Loads `lanes` units of neighbouring columns: f32, or pairs of bf16 rounded from f32.
  private func loadUnits(_ address: IRValue) -> IRValue {
    guard plan.precision == .bf16 else { return ir.load(vector, address) }
    let wide = ir.load(ir.vector(ir.f32, 2 * lanes), address)
    return ir.bitcast(roundToBF16(wide), vector)
  }

  /// Loads one unit; the second half of a pair is 0 beyond the last column.
  private func loadUnit(_ address: IRValue, column: IRValue, columns: IRValue) -> IRValue {
    guard plan.precision == .bf16 else { return ir.load(ir.f32, address) }
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

  /// Returns one unit of depth of `lanes` columns: row `row`, in bf16 paired with the next one.
  private func packedRow(
    _ source: IRValue, row: IRValue, column: IRValue, rows: IRValue, columns: IRValue
  ) -> IRValue {
    let first = loadColumns(source, row: row, column: column, columns: columns)
    guard plan.precision == .bf16 else { return first }
    let next = ir.add(row, ir.int(1))
    let exists = ir.compare(.less, next, rows)
    let second = loadColumns(
      source, row: ir.select(exists, next, row), column: column, columns: columns)
    let pairs = (0..<lanes).flatMap { [$0, lanes + $0] }
    let masked = ir.select(exists, second, ir.zero(vector))
    return ir.bitcast(ir.shuffle(roundToBF16(first), roundToBF16(masked), pairs), vector)
  }

  private func loadColumns(
    _ source: IRValue, row: IRValue, column: IRValue, columns: IRValue
  ) -> IRValue {
    let lane = ir.constantVector((0..<lanes).map { ir.int($0) })
    let mask = ir.compare(
      .less, ir.add(ir.splat(column, lanes), lane), ir.splat(columns, lanes))
    return ir.maskedLoad(vector, at(source, ir.add(ir.mul(row, columns), column)), mask)
  }
}
