internal import LLVMKit

// Elementary functions on scalars and vectors of f32.
extension CodeGenerator {
  /// e^x: x = n ln 2 + r with |r| ≤ ln 2 / 2, a polynomial of degree 6 for e^r, scaled by 2^n.
  ///
  /// Relative error below 3e-7; 0 below −87.3, infinity above 88.7, NaN for NaN.
  func exp(_ x: IRValue) -> IRValue {
    let type = x.type
    func c(_ value: Double) -> IRValue { ir.float(value, type) }
    // Adding 1.5 · 2²³ leaves the rounded integer in the low bits, without a conversion that NaN traps.
    let magic = c(12_582_912)
    let shifted = ir.multiplyAdd(x, c(1.442_695_040_888_963_4), magic)
    let whole = ir.fsub(shifted, magic)
    var r = ir.multiplyAdd(whole, c(-0.693_145_751_953_125), x)
    r = ir.multiplyAdd(whole, c(-1.428_606_765_330_187e-6), r)
    var p = c(1.388_888_888_9e-3)
    for coefficient in [8.333_333_333e-3, 4.166_666_666_7e-2, 1.666_666_666_67e-1, 0.5, 1, 1] {
      p = ir.multiplyAdd(p, r, c(coefficient))
    }
    let integer = type.lanes == 1 ? ir.i32 : ir.vector(ir.i32, type.lanes)
    let exponent = ir.sub(ir.bitcast(shifted, integer), ir.bitcast(magic, integer))
    // 2^n in two factors, so that n = 128 and n = −126 stay finite on the way.
    let half = ir.shiftRightArithmetic(exponent, ir.int(1, integer))
    let rest = ir.sub(exponent, half)
    let value = ir.fmul(ir.fmul(p, powerOfTwo(half, type)), powerOfTwo(rest, type))
    let small = ir.select(ir.fcompare(.less, x, c(-87.3)), c(0), value)
    return ir.select(ir.fcompare(.greater, x, c(88.72)), c(.infinity), small)
  }

  private func powerOfTwo(_ exponent: IRValue, _ type: IRType) -> IRValue {
    let integer = exponent.type
    return ir.bitcast(
      ir.shiftLeft(ir.add(exponent, ir.int(127, integer)), ir.int(23, integer)), type)
  }

  /// 1 / (1 + e^−x)
  func sigmoid(_ x: IRValue) -> IRValue {
    let one = ir.float(1, x.type)
    return ir.fdiv(one, ir.fadd(one, exp(ir.fneg(x))))
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

  /// log x, lane by lane through the C library.
  func log(_ x: IRValue) -> IRValue { ir.intrinsic("llvm.log", overloads: [x.type], [x]) }

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
