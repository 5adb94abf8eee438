// The derivatives of elementwise ops and of sums.

extension ReversePass {
  /// y = f(x); dx = dy · f′(x).
  mutating func unary(_ node: Node, _ function: Op.Unary) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let (x, y) = (node.operands[0], node.results[0])
    let dx: ValueID
    switch function {
    // −1
    case .negate: dx = try emit(.unary(.negate), [dy])
    // y
    case .exponential: dx = try multiply(dy, y)
    // 1 / x
    case .logarithm: dx = try emit(.binary(.divide), [dy, x])
    // 1 / (2 y)
    case .squareRoot: dx = try scale(emit(.binary(.divide), [dy, y]), by: 0.5)
    // −y / (2 x)
    case .reciprocalSquareRoot:
      dx = try scale(emit(.binary(.divide), [multiply(dy, y), x]), by: -0.5)
    // cos x
    case .sine: dx = try multiply(dy, emit(.unary(.cosine), [x]))
    // −sin x
    case .cosine:
      dx = try emit(.unary(.negate), [multiply(dy, emit(.unary(.sine), [x]))])
    // y (1 − y)
    case .sigmoid: dx = try multiply(dy, multiply(y, complement(y)))
    // 1 − y²
    case .tanh: dx = try multiply(dy, complement(multiply(y, y)))
    case .silu: dx = try multiply(dy, siluSlope(x, y))
    case .gelu: dx = try multiply(dy, geluSlope(x))
    // 1 where x > 0, else 0
    case .relu: dx = try multiply(dy, emit(.unary(.step), [x]))
    // 0: no contribution
    case .step: return
    }
    try add(dx, to: x)
  }

  /// Returns s + y (1 − s), with s = sigmoid(x) and y = x s.
  private mutating func siluSlope(_ x: ValueID, _ y: ValueID) throws(Diagnostic) -> ValueID {
    let s = try emit(.unary(.sigmoid), [x])
    return try plus(s, multiply(y, complement(s)))
  }

  /// Returns (1 + t) / 2 + x/2 (1 − t²) u′, with t = tanh(u), u = √(2/π) (x + a x³) and
  /// u′ = √(2/π) (1 + 3 a x²).
  private mutating func geluSlope(_ x: ValueID) throws(Diagnostic) -> ValueID {
    let (c, a) = (Mathematics.geluScale, Mathematics.geluCubic)
    let square = try multiply(x, x)
    let u = try multiply(x, shift(scale(square, by: c * a), by: c))
    let t = try emit(.unary(.tanh), [u])
    let slope = try shift(scale(square, by: 3 * c * a), by: c)
    let half = try scale(multiply(x, multiply(complement(multiply(t, t)), slope)), by: 0.5)
    return try plus(scale(shift(t, by: 1), by: 0.5), half)
  }

  /// y = f(a, b), b repeated to the size of a; da = dy · ∂f/∂a, db = dy · ∂f/∂b summed over the repeats.
  mutating func binary(_ node: Node, _ function: Op.Binary) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let (a, b) = (node.operands[0], node.operands[1])
    if needs(a) {
      switch function {
      case .add, .subtract: try add(dy, to: a)
      case .multiply: try add(multiply(dy, b), to: a)
      case .divide: try add(emit(.binary(.divide), [dy, b]), to: a)
      }
    }
    guard needs(b) else { return }
    switch function {
    case .add: try add(reduced(dy, to: b), to: b)
    case .subtract: try add(emit(.unary(.negate), [reduced(dy, to: b)]), to: b)
    case .multiply: try add(reduced(multiply(dy, a), to: b), to: b)
    // −y / b
    case .divide:
      let total = try reduced(multiply(dy, node.results[0]), to: b)
      try add(emit(.unary(.negate), [emit(.binary(.divide), [total, b])]), to: b)
    }
  }

  /// y = Σ x over a row or over everything; dx = 1 · dy.
  mutating func sum(_ node: Node) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let x = node.operands[0]
    let ones = try emit(.constant(1), type: type(of: x))
    try add(multiply(ones, dy), to: x)
  }

  /// Returns `x` summed to the type of `operand`, which a binary op repeated to the type of `x`.
  private mutating func reduced(
    _ x: ValueID, to operand: ValueID
  ) throws(Diagnostic) -> ValueID {
    if type(of: x) == type(of: operand) { return x }
    return try emit(type(of: operand) == .scalar ? .sum : .rowSum, [x])
  }

  /// Returns a · b.
  private mutating func multiply(_ a: ValueID, _ b: ValueID) throws(Diagnostic) -> ValueID {
    try emit(.binary(.multiply), [a, b])
  }

  /// Returns a + b.
  private mutating func plus(_ a: ValueID, _ b: ValueID) throws(Diagnostic) -> ValueID {
    try emit(.binary(.add), [a, b])
  }

  /// Returns x · number.
  private mutating func scale(_ x: ValueID, by number: Double) throws(Diagnostic) -> ValueID {
    try multiply(x, emit(.constant(number), type: .scalar))
  }

  /// Returns x + number.
  private mutating func shift(_ x: ValueID, by number: Double) throws(Diagnostic) -> ValueID {
    try plus(x, emit(.constant(number), type: .scalar))
  }

  /// Returns 1 − x.
  private mutating func complement(_ x: ValueID) throws(Diagnostic) -> ValueID {
    try shift(emit(.unary(.negate), [x]), by: 1)
  }
}
