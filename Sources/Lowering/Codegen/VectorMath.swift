internal import LLVMKit

// Elementary functions on scalars and vectors of f32.
extension CodeGenerator {
  /// e^x: x = n ln 2 + r with |r| ≤ ln 2 / 2, a polynomial of degree 6 for e^r, scaled by 2^n.
  ///
  /// Relative error below 3e-7; 0 below −87.3, infinity above 88.73, NaN for NaN.
  func exp(_ x: IRValue) -> IRValue {
    let type = x.type
    func c(_ value: Double) -> IRValue { ir.float(value, type) }
    if hasScaling(type) {
      // Far above, the polynomial would be no number.
      let within = ir.select(ir.fcompare(.greater, x, c(90)), c(90), x)
      let whole = ir.intrinsic(
        "llvm.roundeven", overloads: [type], [ir.fmul(within, c(1.442_695_040_888_963_4))])
      let value = scale(exponentialOfRest(within, whole), by: whole)
      return ir.select(ir.fcompare(.less, x, c(-87.3)), c(0), value)
    }
    // Adding 1.5 · 2²³ leaves the rounded integer in the low bits, without a conversion that NaN traps.
    let magic = c(12_582_912)
    let shifted = ir.multiplyAdd(x, c(1.442_695_040_888_963_4), magic)
    let p = exponentialOfRest(x, ir.fsub(shifted, magic))
    let integer = type.lanes == 1 ? ir.i32 : ir.vector(ir.i32, type.lanes)
    let exponent = ir.sub(ir.bitcast(shifted, integer), ir.bitcast(magic, integer))
    // 2^n in two factors, so that n = 128 and n = −126 stay finite on the way.
    let half = ir.shiftRightArithmetic(exponent, ir.int(1, integer))
    let rest = ir.sub(exponent, half)
    let value = ir.fmul(ir.fmul(p, powerOfTwo(half, type)), powerOfTwo(rest, type))
    let small = ir.select(ir.fcompare(.less, x, c(-87.3)), c(0), value)
    return ir.select(ir.fcompare(.greater, x, c(88.72)), c(.infinity), small)
  }

  /// e^(x − n ln 2), at most ½ √2 to √2.
  private func exponentialOfRest(_ x: IRValue, _ whole: IRValue) -> IRValue {
    func c(_ value: Double) -> IRValue { ir.float(value, x.type) }
    var r = ir.multiplyAdd(whole, c(-0.693_145_751_953_125), x)
    r = ir.multiplyAdd(whole, c(-1.428_606_765_330_187e-6), r)
    var p = c(1.388_888_888_9e-3)
    for coefficient in [8.333_333_333e-3, 4.166_666_666_7e-2, 1.666_666_666_67e-1, 0.5, 1, 1] {
      p = ir.multiplyAdd(p, r, c(coefficient))
    }
    return p
  }

  private func powerOfTwo(_ exponent: IRValue, _ type: IRType) -> IRValue {
    let integer = exponent.type
    return ir.bitcast(
      ir.shiftLeft(ir.add(exponent, ir.int(127, integer)), ir.int(23, integer)), type)
  }

  /// 2^x: x = n + r with |r| ≤ ½, a polynomial of degree 5 for 2^r, scaled by 2^n.
  ///
  /// Relative error below 3e-7 for |x| ≤ 126, 0 far below, infinity far above, NaN for NaN and, on some
  /// targets, for infinities. 2⁰ is 1.
  func exp2(_ x: IRValue) -> IRValue {
    let type = x.type
    func c(_ value: Double) -> IRValue { ir.float(value, type) }
    // Beyond these the power is 0 or infinite, and its exponent would wrap around.
    let above = ir.fmax(c(-127), x)
    let within = ir.select(ir.fcompare(.greater, above, c(128)), c(128), above)
    let x = hasScaling(type) ? x : within
    let whole = ir.intrinsic("llvm.roundeven", overloads: [type], [x])
    let r = ir.fsub(x, whole)
    var p = c(1.326_472_718e-3)
    for coefficient in [
      9.671_512_641e-3, 5.550_733_743e-2, 2.402_224_209e-1, 6.931_469_776e-1, 1,
    ] {
      p = ir.multiplyAdd(p, r, c(coefficient))
    }
    guard !hasScaling(type) else { return scale(p, by: whole) }
    let integer = type.lanes == 1 ? ir.i32 : ir.vector(ir.i32, type.lanes)
    // Adding 1.5 · 2²³ leaves the integer in the low bits, without a conversion that NaN traps.
    let shifted = ir.bitcast(ir.fadd(whole, c(12_582_912)), integer)
    let exponent = ir.sub(shifted, ir.bitcast(c(12_582_912), integer))
    return ir.fmul(p, powerOfTwo(exponent, type))
  }

  /// `true` iff the target multiplies vectors of `type` by powers of two in one instruction.
  private func hasScaling(_ type: IRType) -> Bool { target.isX86 && type.lanes == 16 }

  /// x · 2^exponent
  private func scale(_ x: IRValue, by exponent: IRValue) -> IRValue {
    let (all, current) = (ir.int(-1, ir.i16), ir.int(4, ir.i32))
    return ir.intrinsic(
      "llvm.x86.avx512.mask.scalef.ps.512", overloads: [], [x, exponent, x, all, current])
  }

  /// 1 / (1 + e^−x)
  ///
  /// Relative error below 5e-7 above −87; some 1e-38 below.
  func sigmoid(_ x: IRValue) -> IRValue {
    let (one, most) = (ir.float(1, x.type), ir.float(88, x.type))
    // The reciprocal takes no infinity.
    let negative = ir.fneg(x)
    let within = ir.select(ir.fcompare(.greater, negative, most), most, negative)
    return quickReciprocal(ir.fadd(one, exp(within)))
  }

  /// tanh x = sign(x) (1 − t) / (1 + t) with t = e^(−2|x|)
  func tanh(_ x: IRValue) -> IRValue {
    let one = ir.float(1, x.type)
    let magnitude = ir.intrinsic("llvm.fabs", overloads: [x.type], [x])
    let t = exp(ir.fmul(magnitude, ir.float(-2, x.type)))
    let value = ir.fdiv(ir.fsub(one, t), ir.fadd(one, t))
    return ir.intrinsic("llvm.copysign", overloads: [x.type], [value, x])
  }

  /// The tanh form of the Gaussian error linear unit.
  func gelu(_ x: IRValue) -> IRValue {
    func c(_ value: Double) -> IRValue { ir.float(value, x.type) }
    let cubic = ir.multiplyAdd(ir.fmul(ir.fmul(x, x), x), c(0.044_715), x)
    let t = tanh(ir.fmul(cubic, c(0.797_884_560_802_865_4)))
    return ir.fmul(ir.fmul(c(0.5), x), ir.fadd(c(1), t))
  }

  /// sin x
  ///
  /// Error below 2e-7 for |x| ≤ 8192; beyond that some number from −1 to 1. NaN for NaN and infinities.
  func sine(_ x: IRValue) -> IRValue { turned(x, quadrants: 0) }

  /// cos x = sin(x + π/2), likewise.
  func cosine(_ x: IRValue) -> IRValue { turned(x, quadrants: 1) }

  /// sin(x + quadrants · π/2): x = n π/2 + r with |r| ≤ π/4, and a polynomial for sin r or cos r, as n has it.
  private func turned(_ x: IRValue, quadrants: Int) -> IRValue {
    let type = x.type
    let integer = type.lanes == 1 ? ir.i32 : ir.vector(ir.i32, type.lanes)
    func c(_ value: Double) -> IRValue { ir.float(value, type) }
    // Adding 1.5 · 2²³ leaves the rounded integer in the low bits, without a conversion that NaN traps.
    let magic = c(12_582_912)
    let shifted = ir.multiplyAdd(x, c(2 / Double.pi), magic)
    let n = ir.fsub(shifted, magic)
    // π/2 in three parts, of which the first two have few digits: their products with n are exact.
    var r = ir.multiplyAdd(n, c(-1.570_312_5), x)
    r = ir.multiplyAdd(n, c(-4.837_512_969_970_703e-4), r)
    r = ir.multiplyAdd(n, c(-7.549_789_954_891_882e-8), r)
    // Of a large x nothing is left that means anything, but it stays within bounds.
    r = ir.select(ir.fcompare(.greater, r, c(0.8)), c(0.8), r)
    r = ir.select(ir.fcompare(.less, r, c(-0.8)), c(-0.8), r)
    let quadrant = ir.add(ir.bitcast(shifted, integer), ir.int(quadrants, integer))
    func hasBit(_ bit: Int) -> IRValue {
      ir.compare(.notEqual, ir.and(quadrant, ir.int(bit, integer)), ir.int(0, integer))
    }
    let value = ir.select(hasBit(1), cosineOfRest(r), sineOfRest(r))
    return ir.select(hasBit(2), ir.fneg(value), value)
  }

  /// sin r for |r| ≤ 0.8.
  private func sineOfRest(_ r: IRValue) -> IRValue {
    func c(_ value: Double) -> IRValue { ir.float(value, r.type) }
    let square = ir.fmul(r, r)
    var p = ir.multiplyAdd(square, c(-1.951_529_589_1e-4), c(8.332_160_873_6e-3))
    p = ir.multiplyAdd(p, square, c(-1.666_666_546_11e-1))
    return ir.multiplyAdd(ir.fmul(p, square), r, r)
  }

  /// cos r for |r| ≤ 0.8.
  private func cosineOfRest(_ r: IRValue) -> IRValue {
    func c(_ value: Double) -> IRValue { ir.float(value, r.type) }
    let square = ir.fmul(r, r)
    var p = ir.multiplyAdd(square, c(2.443_315_711_809_948e-5), c(-1.388_731_625_493_765e-3))
    p = ir.multiplyAdd(p, square, c(4.166_664_568_298_827e-2))
    p = ir.multiplyAdd(p, square, c(-0.5))
    return ir.multiplyAdd(p, square, c(1))
  }

  /// log x: x = 2^n m with ½ √2 ≤ m < √2, a polynomial of degree 9 for log m.
  ///
  /// Relative error below 2e-7; −∞ for 0 and denormal numbers, NaN below 0.
  func log(_ x: IRValue) -> IRValue {
    let type = x.type
    let integer = type.lanes == 1 ? ir.i32 : ir.vector(ir.i32, type.lanes)
    func c(_ value: Double) -> IRValue { ir.float(value, type) }
    // The bits of ½ √2: the difference has n in its exponent.
    let offset = ir.int(0x3F35_04F3, integer)
    let bits = ir.sub(ir.bitcast(x, integer), offset)
    let exponent = ir.shiftRightArithmetic(bits, ir.int(23, integer))
    let mantissa = ir.add(ir.and(bits, ir.int(0x7F_FFFF, integer)), offset)
    let n = ir.signedToFloat(exponent, type)
    let r = ir.fsub(ir.bitcast(mantissa, type), c(1))
    var p = c(7.037_683_629_2e-2)
    for coefficient in [
      -1.151_461_031_0e-1, 1.167_699_874_0e-1, -1.242_014_084_6e-1, 1.424_932_278_7e-1,
      -1.666_805_766_5e-1, 2.000_071_476_5e-1, -2.499_999_399_3e-1, 3.333_333_117_4e-1,
    ] {
      p = ir.multiplyAdd(p, r, c(coefficient))
    }
    let square = ir.fmul(r, r)
    var low = ir.fmul(ir.fmul(p, r), square)
    low = ir.multiplyAdd(n, c(-2.121_944_40e-4), low)
    low = ir.multiplyAdd(square, c(-0.5), low)
    var value = ir.multiplyAdd(n, c(0.693_359_375), ir.fadd(r, low))
    value = ir.select(ir.fcompare(.less, x, c(.infinity)), value, x)
    let undefined = ir.select(ir.fcompare(.equal, x, c(0)), c(-.infinity), c(.nan))
    return ir.select(ir.fcompare(.greater, x, c(0)), value, undefined)
  }

  /// 1 / x for positive normal x: where the target has one, an estimate of 14 bits and a Newton step.
  ///
  /// Relative error below 2e-7. Division of a vector takes as long as a dozen multiplications.
  func quickReciprocal(_ x: IRValue) -> IRValue {
    guard hasEstimates(x.type) else { return ir.fdiv(ir.float(1, x.type), x) }
    let estimate = estimate("rcp14", x)
    let error = ir.multiplyAdd(ir.fneg(x), estimate, ir.float(1, x.type))
    return ir.multiplyAdd(estimate, error, estimate)
  }

  /// sqrt(x) for x ≥ 0, likewise; of less than 1e-37 the root of 1e-37, of infinity a large number.
  ///
  /// Relative error below 3e-7.
  func quickSquareRoot(_ x: IRValue) -> IRValue {
    guard hasEstimates(x.type) else { return ir.sqrt(x) }
    func c(_ value: Double) -> IRValue { ir.float(value, x.type) }
    let above = ir.fmax(c(1e-37), x)
    let within = ir.select(ir.fcompare(.greater, above, c(3.4e38)), c(3.4e38), above)
    let estimate = estimate("rsqrt14", within)
    let root = ir.fmul(within, estimate)
    // Half of 1 − x r²
    let error = ir.multiplyAdd(
      ir.fmul(ir.fneg(root), c(0.5)), estimate, c(0.5))
    return ir.multiplyAdd(root, error, root)
  }

  private func hasEstimates(_ type: IRType) -> Bool { target.isX86 && type.lanes == 16 }

  private func estimate(_ name: String, _ x: IRValue) -> IRValue {
    ir.intrinsic(
      "llvm.x86.avx512.\(name).ps.512", overloads: [],
      [x, ir.zero(x.type), ir.int(-1, ir.i16)])
  }

  /// 1 / sqrt(x)
  func reciprocalSquareRoot(_ x: IRValue) -> IRValue { ir.fdiv(ir.float(1, x.type), ir.sqrt(x)) }

  /// Returns the `lanes` rows of a square transposed: log₂ lanes rounds of perfect shuffles.
  func transpose(_ rows: [IRValue]) -> [IRValue] {
    var rows = rows
    let count = rows.count
    let low = (0..<count / 2).flatMap { [$0, count + $0] }
    let high = (count / 2..<count).flatMap { [$0, count + $0] }
    var step = 1
    while step < count {
      var next: [IRValue] = []
      for index in 0..<count / 2 {
        let (a, b) = (rows[index], rows[index + count / 2])
        next.append(ir.shuffle(a, b, low))
        next.append(ir.shuffle(a, b, high))
      }
      rows = next
      step *= 2
    }
    return rows
  }
}
