internal import LLVMKit
internal import MoTIR

/// A matrix operand in memory: where it starts, and how far apart rows and depth steps are.
///
/// Distances are in 32-bit units: one f32, or two bf16 that are neighbours in depth.
struct MatmulOperand {
  let base: IRValue
  let rowStride: IRValue
  let depthStride: IRValue
}

// The one inner loop of all matrix products: a register tile C[rows, columns] += A[rows, depth] B[depth, columns].
//
// A is read by broadcasting one unit at a time, so any strides do; B by whole vectors, so the units of a
// depth step lie side by side. Accumulators are SSA values: the loop touches memory for operands only.
extension CodeGenerator {
  /// Emits C[rows, panels · columns] (+)= A B with B in panels of `tile.columns`.
  ///
  /// - Parameters:
  ///   - panelStride: units from one panel of B to the next.
  ///   - depthStride: units from one depth step of B to the next.
  ///   - leading: f32 from one row of C to the next.
  func multiply(
    _ a: MatmulOperand, _ b: IRValue, panelStride: IRValue, depthStride: IRValue, into c: IRValue,
    leading: IRValue, rows: IRValue, panels: IRValue, depth: IRValue, accumulate: IRValue,
    precision: Precision
  ) {
    let pointer = ir.pointer
    let name = "multiply_\(precision.rawValue)"
    let function = helper(name) {
      ir.define(
        name,
        [
          pointer, ir.i64, ir.i64, pointer, ir.i64, ir.i64, pointer, ir.i64, ir.i64, ir.i64, ir.i64,
          ir.i1,
        ], returns: ir.void, attributes: ["noinline"], target: target.functionAttributes
      ) { p in
        multiplyBody(
          MatmulOperand(base: p[0], rowStride: p[1], depthStride: p[2]), p[3], panelStride: p[4],
          depthStride: p[5], into: p[6], leading: p[7], rows: p[8], panels: p[9], depth: p[10],
          accumulate: p[11], precision: precision)
        ir.returnVoid()
      }
    }
    ir.call(
      function,
      [
        a.base, a.rowStride, a.depthStride, b, panelStride, depthStride, c, leading, rows, panels,
        depth, accumulate,
      ])
  }

  /// Panel by panel, then tile by tile: the panel stays in the first cache while the rows pass.
  private func multiplyBody(
    _ a: MatmulOperand, _ b: IRValue, panelStride: IRValue, depthStride: IRValue, into c: IRValue,
    leading: IRValue, rows: IRValue, panels: IRValue, depth: IRValue, accumulate: IRValue,
    precision: Precision
  ) {
    ir.loop(from: ir.int(0), to: panels) { panel in
      let weights = at(b, ir.mul(panel, panelStride))
      let columns = at(c, ir.mul(panel, ir.int(plan.tile.columns)))
      var start = ir.int(0)
      for height in tileHeights {
        let end = ir.add(
          start, ir.mul(ir.udiv(ir.sub(rows, start), ir.int(height)), ir.int(height)))
        ir.loop(from: start, to: end, by: height) { row in
          let operand = MatmulOperand(
            base: at(a.base, ir.mul(row, a.rowStride)), rowStride: a.rowStride,
            depthStride: a.depthStride)
          tile(
            height, operand, weights, depthStride: depthStride,
            into: at(columns, ir.mul(row, leading)), leading: leading, depth: depth,
            accumulate: accumulate, precision: precision)
        }
        start = end
      }
    }
  }

  /// The heights of tiles: the full one, then ever smaller ones for what is left of a block.
  private var tileHeights: [Int] {
    let full = plan.tile.rows
    return [full] + [4, 2, 1].filter { $0 < full }
  }

  /// Emits a call of the register tile of `height` rows.
  func tile(
    _ height: Int, _ a: MatmulOperand, _ b: IRValue, depthStride: IRValue, into c: IRValue,
    leading: IRValue, depth: IRValue, accumulate: IRValue, precision: Precision
  ) {
    let name = "tile_\(height)x\(plan.tile.columns)_\(precision.rawValue)"
    let function = helper(name) {
      ir.define(
        name,
        [ir.pointer, ir.i64, ir.i64, ir.pointer, ir.i64, ir.pointer, ir.i64, ir.i64, ir.i1],
        returns: ir.void, attributes: ["noinline"], target: target.functionAttributes
      ) { p in
        tileBody(
          height, MatmulOperand(base: p[0], rowStride: p[1], depthStride: p[2]), p[3],
          depthStride: p[4], into: p[5], leading: p[6], depth: p[7], accumulate: p[8],
          precision: precision)
        ir.returnVoid()
      }
    }
    ir.call(
      function,
      [a.base, a.rowStride, a.depthStride, b, depthStride, c, leading, depth, accumulate])
  }

  private func tileBody(
    _ height: Int, _ a: MatmulOperand, _ b: IRValue, depthStride: IRValue, into c: IRValue,
    leading: IRValue, depth: IRValue, accumulate: IRValue, precision: Precision
  ) {
    let vectors = plan.tile.vectors
    let rows = (0..<height).map { at(a.base, ir.mul(ir.int($0), a.rowStride)) }
    let places = (0..<height * vectors).map { index in
      at(c, ir.add(ir.mul(ir.int(index / vectors), leading), ir.int(index % vectors * lanes)))
    }
    let initial = ir.choose(accumulate) {
      places.map { ir.load(vector, $0) }
    } otherwise: {
      places.map { _ in ir.zero(vector) }
    }
    let carried = ir.loop(
      from: ir.int(0), to: depth, carrying: initial + [ir.int(0), ir.int(0)]
    ) { _, carried in
      let (inA, inB) = (carried[carried.count - 2], carried[carried.count - 1])
      let panel = at(b, inB)
      let wide = (0..<vectors).map { loadUnits(at(panel, $0 * lanes), precision) }
      var next: [IRValue] = []
      for row in 0..<height {
        let unit = broadcastUnit(at(rows[row], inA), precision)
        for vector in 0..<vectors {
          next.append(multiplyUnits(unit, wide[vector], carried[row * vectors + vector], precision))
        }
      }
      return next + [ir.add(inA, a.depthStride), ir.add(inB, depthStride)]
    }
    for (place, value) in zip(places, carried) { ir.store(value, place) }
  }

  // MARK: Units

  private func loadUnits(_ address: IRValue, _ precision: Precision) -> IRValue {
    precision == .f32
      ? ir.load(vector, address) : ir.load(ir.vector(ir.i32, lanes), address)
  }

  private func broadcastUnit(_ address: IRValue, _ precision: Precision) -> IRValue {
    ir.splat(ir.load(precision == .f32 ? ir.f32 : ir.i32, address), lanes)
  }

  /// a · b + c; of bf16 pairs: the sum of both products, added in f32.
  private func multiplyUnits(
    _ a: IRValue, _ b: IRValue, _ c: IRValue, _ precision: Precision
  ) -> IRValue {
    guard precision == .bf16 else { return ir.multiplyAdd(a, b, c) }
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
