internal import LLVMKit
internal import MoTIR

// The one inner loop of all matrix products: a register tile C[rows, columns] (+)= A[rows, depth] B[depth, columns].
//
// Accumulators are SSA values: the loop touches memory for operands only. Strides are constants, so that
// all rows of a tile are displacements from one pointer; with strides in registers, LLVM chains the rows'
// addresses through one addition after another, which takes as long as the arithmetic. Of low tiles, which are
// few and have at most four rows, one function is enough for all heights, and its rows are at distances in registers.
extension CodeGenerator {
  /// Emits a call of the full register tile.
  func tile(
    _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue, _ c: IRValue,
    next: IRValue, depth: IRValue
  ) {
    let name = "tile_\(plan.tile.rows)x\(plan.tile.columns)_\(shape.name)"
    callProduct(name, shape, strides, [a, b, c, next, depth]) { p, strides in
      tileBody(shape, strides, p[0], p[1], p[2], next: p[3], depth: p[4])
    }
  }

  private func tileBody(
    _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue, _ c: IRValue,
    next: IRValue, depth: IRValue
  ) {
    let rows = (0..<plan.tile.rows).map { row in
      TileRow(
        left: ir.mul(ir.int(row), strides.row), result: at(c, ir.mul(ir.int(row), strides.leading)))
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

  /// Returns the f32 that a full tile fetches of the next panel.
  func fetched(_ shape: MatmulShape, _ depth: IRValue) -> IRValue {
    ir.mul(depth, ir.int(shape.fetchedLines * lineUnits / tileSteps))
  }

  /// Depth steps in a round of a full tile's loop: its own instructions cost a tenth of the arithmetic
  /// otherwise.
  private var tileSteps: Int { 4 }

  /// The most rows of a low tile: of fewer, fused multiply-adds wait for each other, and it takes as long.
  var lowTileRows: Int { min(4, plan.tile.rows) }

  /// Emits a call of the tile of what is left below full ones, of its first `rows` rows if it has more.
  ///
  /// In place of rows that are not there it computes the last one again: one function does for all heights.
  func lowTile(
    _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue, _ c: IRValue,
    rows: IRValue, depth: IRValue
  ) {
    callProduct("low_tile_\(shape.name)", shape, strides, [a, b, c, rows, depth]) { p, strides in
      let rows = (0..<lowTileRows).map { number in
        let row = ir.min(ir.int(number), ir.sub(p[3], ir.int(1)))
        return TileRow(
          left: ir.mul(row, strides.row),
          result: at(p[2], ir.mul(row, strides.leading)))
      }
      let state = ir.loop(
        from: ir.int(0), to: p[4], carrying: openTile(rows, shape) + [p[0], p[1]]
      ) { _, carried in depthSteps(1, rows, shape, carried) }
      closeTile(rows, state)
    }
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

  func loadUnits(_ address: IRValue, _ operands: OperandFormat) -> IRValue {
    operands == .f32
      ? ir.load(vector, address) : ir.load(ir.vector(ir.i32, lanes), address)
  }

  func broadcastUnit(_ address: IRValue, _ operands: OperandFormat) -> IRValue {
    ir.splat(ir.load(operands == .f32 ? ir.f32 : ir.i32, address), lanes)
  }

  /// a · b + c; of bf16 pairs: the sum of both products, added in f32.
  func multiplyUnits(
    _ a: IRValue, _ b: IRValue, _ c: IRValue, _ operands: OperandFormat
  ) -> IRValue {
    guard operands.isRounded else { return ir.multiplyAdd(a, b, c) }
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
