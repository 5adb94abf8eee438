internal import LLVMKit
internal import MoTIR

// AdamW and the packed forms of the parameters. N and D are the rows and columns of a weight.
extension CodeGenerator {
  /// (gradients, partials, count): one f64 a chunk of fixed size, so that threads do not matter.
  func emitSquaredNorm(_ frame: KernelFrame) {
    let count = frame.arguments[2]
    let (from, to) = share(ceilDivide(count, Kernel.squaredNormChunk), frame)
    ir.loop(from: from, to: to) { chunk in
      let first = ir.mul(chunk, ir.int(Kernel.squaredNormChunk))
      // The region ends on a cache line, so whole vectors never pass its end.
      let last = ir.min(ir.add(first, ir.int(Kernel.squaredNormChunk)), count)
      let sums = ir.loop(from: first, to: last, by: lanes, carrying: [ir.zero(vector)]) {
        let x = ir.load(vector, at(frame.arguments[0], $0))
        return [ir.multiplyAdd(x, x, $1[0])]
      }
      let total = ir.floatExtend(ir.reduce(sums[0], ir.fadd), ir.f64)
      ir.store(total, ir.element(frame.arguments[1], chunk, ir.f64), align: 8)
    }
  }

  /// (partials, chunks): partials[0] becomes the factor of the gradients, or a negative number if the
  /// norm is not finite and nothing may be updated.
  func emitClip(_ frame: KernelFrame) {
    let (partials, chunks) = (frame.arguments[0], frame.arguments[1])
    onFirstThread(frame) {
      let total = ir.loop(from: ir.int(0), to: chunks, carrying: [ir.float(0, ir.f64)]) {
        [ir.fadd($1[0], ir.load(ir.f64, ir.element(partials, $0, ir.f64), align: 8))]
      }[0]
      let norm = ir.floatTruncate(ir.sqrt(total), ir.f32)
      ir.store(norm, bytes(frame.control, ir.int(Control.gradientNorm)))
      let isFinite = ir.fcompare(.less, norm, ir.float(.infinity))
      ir.store(
        ir.zeroExtend(ir.select(isFinite, ir.int(0, ir.i1), ir.int(1, ir.i1)), ir.i32),
        bytes(frame.control, ir.int(Control.refused)))
      let limit = setting(5, frame)
      let scale = ir.fdiv(limit, ir.fadd(norm, ir.float(1e-6)))
      // A limit of 0 means no clipping.
      let isClipped = ir.and(
        ir.fcompare(.greater, limit, ir.float(0)), ir.fcompare(.less, scale, ir.float(1)))
      let factor = ir.select(isClipped, scale, ir.float(1))
      ir.store(ir.select(isFinite, factor, ir.float(-1)), partials)
    }
  }

  private func setting(_ index: Int, _ frame: KernelFrame) -> IRValue {
    ir.load(ir.f32, bytes(frame.control, ir.int(Control.settings + 4 * index)))
  }

  /// (master, gradient, first, second, clip partials, count, decays)
  ///
  /// p ← p (1 − lr · decay) − lr / (1 − β₁ᵗ) · m / (sqrt(v / (1 − β₂ᵗ)) + ε)
  func emitAdamW(_ frame: KernelFrame) {
    let factor = ir.load(ir.f32, frame.arguments[4])
    let rate = setting(0, frame)
    let (beta1, beta2, epsilon) = (setting(1, frame), setting(2, frame), setting(3, frame))
    let decay = ir.select(
      ir.compare(.equal, frame.arguments[6], ir.int(0)), ir.float(0), setting(4, frame))
    let constants = [
      factor, beta1, ir.fsub(ir.float(1), beta1), beta2, ir.fsub(ir.float(1), beta2), epsilon,
      ir.fsub(ir.float(1), ir.fmul(rate, decay)), ir.fdiv(rate, setting(6, frame)),
      ir.fdiv(ir.float(1), setting(7, frame)),
    ].map { ir.splat($0, lanes) }
    let (from, to) = share(ceilDivide(frame.arguments[5], lanes), frame)
    ir.when(ir.fcompare(.greaterOrEqual, factor, ir.float(0))) {
      ir.loop(from: from, to: to) { index in
        let place = ir.mul(index, ir.int(lanes))
        let places = frame.arguments[..<4].map { at($0, place) }
        adamW(places, constants)
      }
    }
  }

  /// Buffers are padded to cache lines, so whole vectors may be used at their ends.
  private func adamW(_ places: [IRValue], _ c: [IRValue]) {
    let gradient = ir.fmul(ir.load(vector, places[1]), c[0])
    let first = ir.multiplyAdd(ir.load(vector, places[2]), c[1], ir.fmul(gradient, c[2]))
    let second = ir.multiplyAdd(
      ir.load(vector, places[3]), c[3], ir.fmul(ir.fmul(gradient, gradient), c[4]))
    let denominator = ir.fadd(ir.sqrt(ir.fmul(second, c[8])), c[5])
    let step = ir.fdiv(ir.fmul(first, c[7]), denominator)
    ir.store(ir.fsub(ir.fmul(ir.load(vector, places[0]), c[6]), step), places[0])
    ir.store(first, places[2])
    ir.store(second, places[3])
  }

  // MARK: Packed forms

  /// (master, packed, N, D, groups): panels `[N / columns][D][columns]`, rows beyond N zero.
  func emitPackForward(_ frame: KernelFrame) {
    let panel = plan.tile.columns
    let (master, packed) = (frame.arguments[0], frame.arguments[1])
    let (rows, columns, groups) = (frame.arguments[2], frame.arguments[3], frame.arguments[4])
    let panels = ceilDivide(rows, panel)
    let units = ceilDivide(columns, plan.precision.depth)
    let (from, to) = share(ir.mul(groups, panels), frame)
    ir.loop(from: from, to: to) { index in
      let group = ir.udiv(index, panels)
      let first = ir.mul(ir.urem(index, panels), ir.int(panel))
      let source = at(master, ir.mul(group, ir.mul(rows, columns)))
      let target = at(packed, ir.mul(index, ir.mul(units, ir.int(panel))))
      for part in stride(from: 0, to: panel, by: lanes) {
        packTransposed(
          source, rows: rows, columns: columns, from: ir.add(first, ir.int(part)),
          into: at(target, part))
      }
    }
  }

  /// Lays `lanes` rows of a matrix out as columns: unit u of row i goes to `target[u · panel + i]`.
  private func packTransposed(
    _ source: IRValue, rows: IRValue, columns: IRValue, from first: IRValue, into target: IRValue
  ) {
    let panel = plan.tile.columns
    let depth = plan.precision.depth
    let exists = (0..<lanes).map { ir.compare(.less, ir.add(first, ir.int($0)), rows) }
    let starts = (0..<lanes).map { lane in
      let row = ir.min(ir.add(first, ir.int(lane)), ir.sub(rows, ir.int(1)))
      return at(source, ir.mul(row, columns))
    }
    let step = lanes * depth
    let whole = ir.mul(ir.udiv(columns, ir.int(step)), ir.int(step))
    ir.loop(from: ir.int(0), to: whole, by: step) { column in
      let units = (0..<lanes).map { lane in
        ir.select(exists[lane], loadUnits(at(starts[lane], column)), ir.zero(vector))
      }
      for (offset, value) in transpose(units).enumerated() {
        let unit = ir.add(ir.udiv(column, ir.int(depth)), ir.int(offset))
        ir.store(value, at(target, ir.mul(unit, ir.int(panel))))
      }
    }
    ir.loop(from: whole, to: columns, by: depth) { column in
      for lane in 0..<lanes {
        let unit = loadUnit(at(starts[lane], column), column: column, columns: columns)
        let value = ir.select(exists[lane], unit, ir.float(0))
        let index = ir.add(ir.mul(ir.udiv(column, ir.int(depth)), ir.int(panel)), ir.int(lane))
        ir.store(value, at(target, index))
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

  /// (master, packed, N, D, groups): panels `[D / columns][N][columns]`, columns beyond D zero.
  func emitPackBackward(_ frame: KernelFrame) {
    let panel = plan.tile.columns
    let depth = plan.precision.depth
    let (master, packed) = (frame.arguments[0], frame.arguments[1])
    let (rows, columns, groups) = (frame.arguments[2], frame.arguments[3], frame.arguments[4])
    let panels = ceilDivide(columns, panel)
    let units = ceilDivide(rows, depth)
    let (from, to) = share(ir.mul(groups, panels), frame)
    ir.loop(from: from, to: to) { index in
      let source = at(master, ir.mul(ir.udiv(index, panels), ir.mul(rows, columns)))
      let first = ir.mul(ir.urem(index, panels), ir.int(panel))
      let target = at(packed, ir.mul(index, ir.mul(units, ir.int(panel))))
      ir.loop(from: ir.int(0), to: units) { unit in
        for part in stride(from: 0, to: panel, by: lanes) {
          let column = ir.add(first, ir.int(part))
          let row = ir.mul(unit, ir.int(depth))
          let value = packedRow(source, row: row, column: column, rows: rows, columns: columns)
          ir.store(value, at(target, ir.add(ir.mul(unit, ir.int(panel)), ir.int(part))))
        }
      }
    }
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
