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
  let base: IRValue
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
  /// `true` iff it is in no cache.
  var isCold = false
}

/// Everything of a product that its code depends on: known strides become address displacements.
struct MatmulShape: Hashable {
  let rowStride, depthStride: Int
  let rowPanelStride: Int?
  let isTiled: Bool
  let panelDepthStride: Int
  let fetchedLines: Int
  var leading: Int
  var accumulates: Bool
  var fetchesResult: Bool
  let operands: OperandFormat

  /// A name that tells shapes apart.
  var name: String {
    "a\(rowStride)_\(isTiled ? "tiles" : "\(depthStride)")_b\(panelDepthStride)_f\(fetchedLines)_c\(leading)"
      + "\(accumulates ? "_add" : "")\(fetchesResult ? "_fetch" : "")_\(operands.rawValue)"
  }
  /// As `name`, with what only the walk over tiles depends on.
  var walkName: String { name + (rowPanelStride.map { "_p\($0)" } ?? "") }
}

// The one inner loop of all matrix products: a register tile C[rows, columns] (+)= A[rows, depth] B[depth, columns].
//
// Accumulators are SSA values: the loop touches memory for operands only. Strides are constants, so that
// all rows of a tile are displacements from one pointer; with strides in registers, LLVM chains the rows'
// addresses through one addition after another, which takes as long as the arithmetic. Of low tiles, which are
// few and have at most four rows, one function is enough for all heights, and its rows are at distances in registers.
extension CodeGenerator {
  /// Emits C[rows, panels · columns] (+)= A B.
  func multiply(
    _ a: MatmulOperand, _ b: MatmulPanels, into c: MatmulResult, rows: IRValue, panels: IRValue,
    depth: IRValue, operands: OperandFormat
  ) {
    let shape = MatmulShape(
      rowStride: a.rowStride, depthStride: a.depthStride, rowPanelStride: a.panelStride,
      isTiled: a.isTiled, panelDepthStride: b.depthStride, fetchedLines: b.fetchedLines,
      leading: c.leading, accumulates: c.accumulates, fetchesResult: c.isCold && a.isTiled,
      operands: operands)
    let name = "multiply_\(shape.walkName)"
    let function = helper(name) {
      ir.define(
        name, [ir.pointer, ir.pointer, ir.pointer, ir.i64, ir.i64, ir.i64, ir.i64],
        returns: ir.void, attributes: ["noinline"], target: target.functionAttributes
      ) { p in
        multiplyBody(
          shape, p[0], p[1], p[2], panelStride: p[3], rows: p[4], panels: p[5], depth: p[6])
        ir.returnVoid()
      }
    }
    ir.call(function, [a.base, b.base, c.base, ir.int(b.panelStride), rows, panels, depth])
  }

  /// Panel by panel, then tile by tile: the panel stays in the first caches while the rows pass.
  private func multiplyBody(
    _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, panelStride: IRValue,
    rows: IRValue, panels: IRValue, depth: IRValue
  ) {
    ir.loop(from: ir.int(0), to: panels) { panel in
      let weights = at(b, ir.mul(panel, panelStride))
      let columns = at(c, ir.mul(panel, ir.int(plan.tile.columns)))
      let next = at(weights, panelStride)
      guard let rowPanel = shape.rowPanelStride else {
        return tiles(shape, a, weights, columns, next: next, rows: rows, depth: depth)
      }
      let height = plan.tile.columns
      ir.loop(from: ir.int(0), to: rows, by: height) { first in
        let number = ir.udiv(first, ir.int(height))
        let steps = ir.mul(ir.int(height / plan.tile.rows), fetched(shape, depth))
        tiles(
          shape, at(a, ir.mul(number, ir.int(rowPanel))), weights,
          at(columns, ir.mul(first, ir.int(shape.leading))), next: at(next, ir.mul(number, steps)),
          rows: ir.min(ir.int(height), ir.sub(rows, first)), depth: depth)
      }
    }
  }

  /// Returns the f32 that a full tile fetches of the next panel.
  private func fetched(_ shape: MatmulShape, _ depth: IRValue) -> IRValue {
    ir.mul(depth, ir.int(shape.fetchedLines * lineUnits / tileSteps))
  }

  /// Units of a cache line.
  var lineUnits: Int { 64 / 4 }

  /// Depth steps in a round of a full tile's loop: its own instructions cost a tenth of the arithmetic
  /// otherwise.
  private var tileSteps: Int { 4 }

  /// Returns the units of depth of `rows` rows of an operand that the second cache holds beside the other one.
  func depthInCache(rows: Int) -> Int { target.operandBytes / (4 * rows) }

  /// Emits all tiles of one panel of columns. Each full one fetches its part of the next panel, which
  /// would come too slowly from memory by itself when there are few rows.
  private func tiles(
    _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, next: IRValue, rows: IRValue,
    depth: IRValue
  ) {
    let start = matrixTiles(shape, a, b, c, next: next, rows: rows, depth: depth)
    guard !isOfUnitOnly(shape) else { return }
    let full = plan.tile.rows
    let end = ir.sub(rows, ir.urem(ir.sub(rows, start), ir.int(full)))
    ir.loop(from: start, to: end, by: full) { row in
      let ahead = ir.mul(ir.udiv(row, ir.int(full)), fetched(shape, depth))
      tile(
        shape, at(a, ir.mul(row, ir.int(shape.rowStride))), b,
        at(c, ir.mul(row, ir.int(shape.leading))), next: at(next, ahead), depth: depth)
    }
    ir.loop(from: end, to: rows, by: lowTileRows) { row in
      lowTile(
        shape, at(a, ir.mul(row, ir.int(shape.rowStride))), b,
        at(c, ir.mul(row, ir.int(shape.leading))), rows: ir.sub(rows, row), depth: depth)
    }
  }

  /// Emits what the matrix unit does of a panel: bands of 32 and 16 rows, and of tiles what is left. Returns
  /// how many rows it did.
  private func matrixTiles(
    _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, next: IRValue, rows: IRValue,
    depth: IRValue
  ) -> IRValue {
    guard usesMatrixUnit, shape.operands != .f32, shape.depthStride == 1 else {
      precondition(!isOfUnitOnly(shape), "rows that only the matrix unit reads lie apart in depth")
      return ir.int(0)
    }
    var count = rows
    if !isOfUnitOnly(shape) {
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
          height, shape, at(a, ir.mul(row, ir.int(shape.rowStride))), b,
          at(c, ir.mul(row, ir.int(shape.leading))), next: at(next, ahead), depth: depth)
      }
      start = end
    }
    guard isOfUnitOnly(shape) else { return start }
    ir.when(ir.compare(.less, start, rows)) {
      lowMatrixTile(
        shape, at(a, ir.mul(start, ir.int(shape.rowStride))), b,
        at(c, ir.mul(start, ir.int(shape.leading))), rows: ir.sub(rows, start), depth: depth)
    }
    return rows
  }

  /// `true` iff only the matrix unit can read the operands.
  private func isOfUnitOnly(_ shape: MatmulShape) -> Bool {
    shape.isTiled || shape.operands.terms > 1
  }

  /// Emits a call of the full register tile.
  private func tile(
    _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, next: IRValue, depth: IRValue
  ) {
    callTile("tile_\(plan.tile.rows)x\(plan.tile.columns)_\(shape.name)", [a, b, c, next, depth]) {
      p in tileBody(shape, p[0], p[1], p[2], next: p[3], depth: p[4])
    }
  }

  /// Emits a call of the tile `name` with (a, b, c, next panel, depth), whose `body` is emitted at its
  /// first call.
  func callTile(_ name: String, _ arguments: [IRValue], _ body: ([IRValue]) -> Void) {
    let function = helper(name) {
      ir.define(
        name, [ir.pointer, ir.pointer, ir.pointer, ir.pointer, ir.i64], returns: ir.void,
        attributes: ["noinline"], target: target.functionAttributes
      ) { p in
        body(p)
        ir.returnVoid()
      }
    }
    ir.call(function, arguments)
  }

  private func tileBody(
    _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, next: IRValue, depth: IRValue
  ) {
    let rows = (0..<plan.tile.rows).map { row in
      TileRow(left: ir.int(row * shape.rowStride), result: at(c, row * shape.leading))
    }
    var state = openTile(rows, shape) + [a, b]
    let whole = ir.mul(ir.udiv(depth, ir.int(tileSteps)), ir.int(tileSteps))
    for (from, to, steps) in [(ir.int(0), whole, tileSteps), (whole, depth, 1)] {
      state = ir.loop(from: from, to: to, by: steps, carrying: state) { step, carried in
        if steps == tileSteps {
          let place = fetched(shape, step)
          for line in 0..<shape.fetchedLines {
            ir.prefetch(at(next, ir.add(place, ir.int(line * lineUnits))))
          }
        }
        return depthSteps(steps, rows, shape, carried)
      }
    }
    closeTile(rows, state)
  }

  /// The most rows of a low tile: of fewer, fused multiply-adds wait for each other, and it takes as long.
  private var lowTileRows: Int { min(4, plan.tile.rows) }

  /// Emits a call of the tile of what is left below full ones, of its first `rows` rows if it has more.
  ///
  /// In place of rows that are not there it computes the last one again: one function does for all heights.
  private func lowTile(
    _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, rows: IRValue, depth: IRValue
  ) {
    let name = "low_tile_\(shape.name)"
    let function = helper(name) {
      ir.define(
        name, [ir.pointer, ir.pointer, ir.pointer, ir.i64, ir.i64], returns: ir.void,
        attributes: ["noinline"], target: target.functionAttributes
      ) { p in
        let rows = (0..<lowTileRows).map { number in
          let row = ir.min(ir.int(number), ir.sub(p[3], ir.int(1)))
          return TileRow(
            left: ir.mul(row, ir.int(shape.rowStride)),
            result: at(p[2], ir.mul(row, ir.int(shape.leading))))
        }
        let state = ir.loop(
          from: ir.int(0), to: p[4], carrying: openTile(rows, shape) + [p[0], p[1]]
        ) { _, carried in depthSteps(1, rows, shape, carried) }
        closeTile(rows, state)
        ir.returnVoid()
      }
    }
    ir.call(function, [a, b, c, rows, depth])
  }

  /// A row of a tile.
  private struct TileRow {
    /// The units from the first row of A to it.
    let left: IRValue
    /// Its address in C.
    let result: IRValue
  }

  private func openTile(_ rows: [TileRow], _ shape: MatmulShape) -> [IRValue] {
    rows.flatMap { row in
      (0..<plan.tile.vectors).map { number in
        shape.accumulates ? ir.load(vector, at(row.result, number * lanes)) : ir.zero(vector)
      }
    }
  }

  private func closeTile(_ rows: [TileRow], _ state: [IRValue]) {
    let vectors = plan.tile.vectors
    for (number, row) in rows.enumerated() {
      for offset in 0..<vectors {
        ir.store(state[number * vectors + offset], at(row.result, offset * lanes))
      }
    }
  }

  /// Emits `steps` depth steps of a tile: `state` holds the accumulators and the pointers into A and B.
  private func depthSteps(
    _ steps: Int, _ rows: [TileRow], _ shape: MatmulShape, _ state: [IRValue]
  ) -> [IRValue] {
    let vectors = plan.tile.vectors
    let (a, b) = (state[state.count - 2], state[state.count - 1])
    var sums = Array(state.dropLast(2))
    for step in 0..<steps {
      let wide = (0..<vectors).map {
        loadUnits(at(b, step * shape.panelDepthStride + $0 * lanes), shape.operands)
      }
      for (number, row) in rows.enumerated() {
        let unit = broadcastUnit(
          at(at(a, step * shape.depthStride), row.left), shape.operands)
        for offset in 0..<vectors {
          let index = number * vectors + offset
          sums[index] = multiplyUnits(unit, wide[offset], sums[index], shape.operands)
        }
      }
    }
    return sums + [at(a, steps * shape.depthStride), at(b, steps * shape.panelDepthStride)]
  }

  // MARK: Units

  private func loadUnits(_ address: IRValue, _ operands: OperandFormat) -> IRValue {
    operands == .f32
      ? ir.load(vector, address) : ir.load(ir.vector(ir.i32, lanes), address)
  }

  private func broadcastUnit(_ address: IRValue, _ operands: OperandFormat) -> IRValue {
    ir.splat(ir.load(operands == .f32 ? ir.f32 : ir.i32, address), lanes)
  }

  /// a · b + c; of bf16 pairs: the sum of both products, added in f32.
  private func multiplyUnits(
    _ a: IRValue, _ b: IRValue, _ c: IRValue, _ operands: OperandFormat
  ) -> IRValue {
    guard operands == .bf16 else { return ir.multiplyAdd(a, b, c) }
    if target.hasBF16DotProduct {
      let pairs = ir.vector(ir.bf16, 2 * lanes)
      return ir.intrinsic(
        "llvm.x86.avx512bf16.dpbf16ps.512", overloads: [],
        [c, ir.bitcast(a, pairs), ir.bitcast(b, pairs)])
    }
    let low = ir.multiplyAdd(lowHalf(a), lowHalf(b), c)
    return ir.multiplyAdd(highHalf(a), highHalf(b), low)
  }

  private func lowHalf(_ pair: IRValue) -> IRValue {
    ir.bitcast(ir.shiftLeft(pair, ir.int(16, pair.type)), vector)
  }

  private func highHalf(_ pair: IRValue) -> IRValue {
    ir.bitcast(ir.and(pair, ir.int(-65536, pair.type)), vector)
  }
}
