// The meaning of elementwise ops and row sums.

extension Op.Unary {
  /// Returns f(x).
  func callAsFunction(_ x: Double) -> Double {
    switch self {
    case .negate: -x
    case .exponential: Mathematics.exponential(x)
    case .logarithm: Mathematics.logarithm(x)
    case .squareRoot: x.squareRoot()
    case .reciprocalSquareRoot: 1 / x.squareRoot()
    case .sine: Mathematics.sine(x)
    case .cosine: Mathematics.cosine(x)
    case .sigmoid: Mathematics.sigmoid(x)
    case .tanh: Mathematics.hyperbolicTangent(x)
    case .silu: x * Mathematics.sigmoid(x)
    case .gelu: Mathematics.gelu(x)
    // Written so that a NaN stays one.
    case .relu: x < 0 ? 0 : x
    case .step: x > 0 ? 1 : 0
    }
  }
}

extension Op.Binary {
  /// Returns f(a, b).
  func callAsFunction(_ a: Double, _ b: Double) -> Double {
    switch self {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    }
  }
}

extension Evaluation {
  /// y = f(x)
  func unary(_ function: Op.Unary) -> ReferenceValue.Contents {
    .numbers(numbers(0).map { function($0) })
  }

  /// y = f(a, b); b is as large as a, one number a row, or a scalar.
  func binary(_ function: Op.Binary) -> ReferenceValue.Contents {
    let (a, b) = (numbers(0), numbers(1))
    let repeats =
      if operands[0].type == operands[1].type {
        1
      } else if operands[1].type == .scalar {
        max(1, a.count)
      } else {
        width(0)
      }
    return .numbers(a.indices.map { function(a[$0], b[$0 / repeats]) })
  }

  /// y[r] = Σ_j x[r, j]
  func rowSum() -> ReferenceValue.Contents {
    let (x, width) = (numbers(0), width(0))
    return .numbers((0..<rows(0)).map { x[($0 * width)..<(($0 + 1) * width)].reduce(0, +) })
  }
}
