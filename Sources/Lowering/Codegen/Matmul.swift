internal import LLVMKit
internal import MoTIR

/// The left matrix of a product: rows of units, read by broadcasting one unit at a time.
///
/// Distances are in units of 32 bits: see `OperandFormat`.
struct MatmulOperand {
  var base: IRValue
  /// Units from one row to the next; of rows in tiles, a sixteenth of what lies between two bands of tiles.
  let rowStride: Int
  /// Units from one depth step to the next.
  let depthStride: Int
  /// Units from one panel of `tile.columns` rows to the next, where rows are laid out in panels.
  var panelStride: Int?
  /// `true` iff rows are in tiles of the matrix unit.
  var isTiled = false
}

/// The right matrix of a product: panels of `tile.columns` columns, read by whole vectors.
struct MatmulPanels {
  var base: IRValue
  /// Units from one panel to the next.
  let panelStride: Int
  /// Units from one depth step of a panel to the next.
  let depthStride: Int
  /// Cache lines of the next panel that a full tile fetches in four depth steps: eight tiles of one line
  /// are a panel.
  var fetchedLines = 1
}

/// The result of a product, in f32.
struct MatmulResult {
  let base: IRValue
  /// f32 from one row to the next.
  let leading: Int
  /// `true` iff the product is added to what is there.
  var accumulates = false
  /// `true` iff it may be in no cache, and is fetched while it is computed.
  var isCold = false
}

/// Everything of a product that its code depends on: known strides become address displacements.
struct MatmulShape {
  /// `nil` iff the code takes it as an argument.
  let rowStride: Int?
  let depthStride: Int
  let rowPanelStride: Int?
  let isTiled: Bool
  let panelDepthStride: Int
  let fetchedLines: Int
  /// `nil` iff the code takes it as an argument.
  let leading: Int?
  var accumulates: Bool
  var fetchesResult: Bool
  let operands: OperandFormat
  /// `true` iff only the matrix unit can read the operands.
  let isOfUnitOnly: Bool

  /// Creates the shape of a product.
  ///
  /// The matrix unit takes distances between rows from registers: one function is enough for all of them.
  init(
    _ a: MatmulOperand, _ b: MatmulPanels, into c: MatmulResult, operands: OperandFormat
  ) {
    isOfUnitOnly = a.isTiled || operands.terms > 1
    rowStride = a.isTiled ? nil : a.rowStride
    depthStride = a.depthStride
    rowPanelStride = a.panelStride
    isTiled = a.isTiled
    panelDepthStride = b.depthStride
    fetchedLines = b.fetchedLines
    leading = isOfUnitOnly ? nil : c.leading
    accumulates = c.accumulates
    fetchesResult = c.isCold && a.isTiled
    self.operands = operands
  }

  /// A name that tells shapes apart.
  var name: String {
    let rows = rowStride.map { "\($0)_" } ?? ""
    return "a\(rows)\(isTiled ? "tiles" : "\(depthStride)")_b\(panelDepthStride)_f\(fetchedLines)"
      + "\(leading.map { "_c\($0)" } ?? "")\(accumulates ? "_add" : "")\(fetchesResult ? "_fetch" : "")"
      + "_\(operands.rawValue)"
  }
  /// As `name`, with what only the walk over tiles depends on.
  var walkName: String { name + (rowPanelStride.map { "_p\($0)" } ?? "") }
}

/// Distances between rows in the code of a product: constants, or arguments of the code.
struct MatmulStrides {
  /// Units from one row of A to the next.
  let row: IRValue
  /// f32 from one row of C to the next.
  let leading: IRValue
}

// The walk of all matrix products over their tiles: RegisterTile.swift has those of vectors, MatrixUnit.swift the
// matrix unit's.
extension CodeGenerator {
  /// Emits C[rows, panels · columns] (+)= A B.
  func multiply(
    _ a: MatmulOperand, _ b: MatmulPanels, into c: MatmulResult, rows: IRValue, panels: IRValue,
    depth: IRValue, operands: OperandFormat
  ) {
    let shape = MatmulShape(a, b, into: c, operands: operands)
    let strides = MatmulStrides(row: ir.int(a.rowStride), leading: ir.int(c.leading))
    let arguments = [a.base, b.base, c.base, ir.int(b.panelStride), rows, panels, depth]
    callProduct("multiply_\(shape.walkName)", shape, strides, arguments) { p, strides in
      multiplyBody(
        shape, strides, p[0], p[1], p[2], panelStride: p[3], rows: p[4], panels: p[5], depth: p[6])
    }
  }

  /// As above, in pieces of the depth where `piece` is given: all panels by one piece before the next.
  ///
  /// - Requires: rows are in tiles, if they are multiplied in pieces.
  func multiply(
    _ a: MatmulOperand, _ b: MatmulPanels, into c: MatmulResult, rows: IRValue, panels: IRValue,
    depth: Int, by piece: Int?, operands: OperandFormat
  ) {
    let piece = piece ?? depth
    for start in stride(from: 0, to: depth, by: piece) {
      var (left, right, result) = (a, b, c)
      if start > 0 {
        left.base = at(a.base, start * tileSide)
        right.base = at(b.base, start * b.depthStride)
        (result.accumulates, result.isCold) = (true, false)
      }
      multiply(
        left, right, into: result, rows: rows, panels: panels,
        depth: ir.int(min(piece, depth - start)), operands: operands)
    }
  }

  /// Returns how much of a depth of `depth` units to multiply before the rest, `nil` for all of it.
  ///
  /// Rows in tiles are read once a panel of columns. Where all of their depth is too much for the second cache, they
  /// would come from the third each time.
  func pieceOfDepth(_ depth: Int, rows: Int) -> Int? {
    let (most, band) = (depthInCache(rows: rows), operands.bandUnits)
    guard operands.isTiled, depth > most else { return nil }
    let count = (depth + most - 1) / most
    return (depth / band + count - 1) / count * band
  }

  /// As `callShared`, of code that depends on `shape`, too, and takes those strides that are not known.
  func callProduct(
    _ name: String, _ shape: MatmulShape, _ strides: MatmulStrides, _ arguments: [IRValue],
    _ body: ([IRValue], MatmulStrides) -> Void
  ) {
    let given =
      (shape.rowStride == nil ? [strides.row] : [])
      + (shape.leading == nil ? [strides.leading] : [])
    callShared(name, arguments + given) { p in
      var given = p[arguments.count...]
      let row = shape.rowStride.map { ir.int($0) } ?? given.removeFirst()
      let leading = shape.leading.map { ir.int($0) } ?? given.removeFirst()
      body(p, MatmulStrides(row: row, leading: leading))
    }
  }

  /// Panel by panel, then tile by tile: the panel stays in the first caches while the rows pass.
  private func multiplyBody(
    _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue, _ c: IRValue,
    panelStride: IRValue, rows: IRValue, panels: IRValue, depth: IRValue
  ) {
    ir.loop(from: ir.int(0), to: panels) { panel in
      let weights = at(b, ir.mul(panel, panelStride))
      let columns = at(c, ir.mul(panel, ir.int(plan.tile.columns)))
      let next = at(weights, panelStride)
      guard let rowPanel = shape.rowPanelStride else {
        return tiles(shape, strides, a, weights, columns, next: next, rows: rows, depth: depth)
      }
      let height = plan.tile.columns
      ir.loop(from: ir.int(0), to: rows, by: height) { first in
        let number = ir.udiv(first, ir.int(height))
        let steps = ir.mul(ir.int(height / plan.tile.rows), fetched(shape, depth))
        tiles(
          shape, strides, at(a, ir.mul(number, ir.int(rowPanel))), weights,
          at(columns, ir.mul(first, strides.leading)), next: at(next, ir.mul(number, steps)),
          rows: ir.min(ir.int(height), ir.sub(rows, first)), depth: depth)
      }
    }
  }

  /// Units of a cache line.
  var lineUnits: Int { 64 / 4 }

  /// Returns the units of depth of `rows` rows of an operand that the second cache holds beside the other one.
  func depthInCache(rows: Int) -> Int { target.operandBytes / (4 * rows) }

  /// Emits all tiles of one panel of columns. Each full one fetches its part of the next panel, which
  /// would come too slowly from memory by itself when there are few rows.
  private func tiles(
    _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue, _ c: IRValue,
    next: IRValue, rows: IRValue, depth: IRValue
  ) {
    let start = matrixTiles(shape, strides, a, b, c, next: next, rows: rows, depth: depth)
    guard !shape.isOfUnitOnly else { return }
    let full = plan.tile.rows
    let end = ir.sub(rows, ir.urem(ir.sub(rows, start), ir.int(full)))
    ir.loop(from: start, to: end, by: full) { row in
      let ahead = ir.mul(ir.udiv(row, ir.int(full)), fetched(shape, depth))
      tile(
        shape, strides, at(a, ir.mul(row, strides.row)), b,
        at(c, ir.mul(row, strides.leading)), next: at(next, ahead), depth: depth)
    }
    ir.loop(from: end, to: rows, by: lowTileRows) { row in
      lowTile(
        shape, strides, at(a, ir.mul(row, strides.row)), b,
        at(c, ir.mul(row, strides.leading)), rows: ir.sub(rows, row), depth: depth)
    }
  }

  /// Emits what the matrix unit does of a panel: bands of 32 and 16 rows, and of tiles what is left. Returns
  /// how many rows it did.
  private func matrixTiles(
    _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue, _ c: IRValue,
    next: IRValue, rows: IRValue, depth: IRValue
  ) -> IRValue {
    guard usesMatrixUnit, shape.operands != .f32, shape.depthStride == 1 else {
      precondition(!shape.isOfUnitOnly, "rows that only the matrix unit reads lie apart in depth")
      return ir.int(0)
    }
    var count = rows
    if !shape.isOfUnitOnly {
      let isWhole = ir.compare(.equal, ir.urem(depth, ir.int(tileSide)), ir.int(0))
      count = ir.select(isWhole, rows, ir.int(0))
    }
    var start = ir.int(0)
    for height in [2 * tileSide, tileSide] {
      let end = ir.add(
        start, ir.mul(ir.udiv(ir.sub(count, start), ir.int(height)), ir.int(height)))
      ir.loop(from: start, to: end, by: height) { row in
        let ahead = ir.mul(ir.udiv(row, ir.int(height)), ir.mul(depth, ir.int(8)))
        matrixTile(
          height, shape, strides, at(a, ir.mul(row, strides.row)), b,
          at(c, ir.mul(row, strides.leading)), next: at(next, ahead), depth: depth)
      }
      start = end
    }
    guard shape.isOfUnitOnly else { return start }
    ir.when(ir.compare(.less, start, rows)) {
      lowMatrixTile(
        shape, strides, at(a, ir.mul(start, strides.row)), b,
        at(c, ir.mul(start, strides.leading)), rows: ir.sub(rows, start), depth: depth)
    }
    return rows
  }
}
