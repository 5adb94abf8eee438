import MoTIR

/// The blocks that a random graph is made of: rows to rows of the same type.
extension RandomGraphMaker {
  /// Returns a random block of x.
  mutating func block(_ x: ValueID) throws(TypingError) -> ValueID {
    switch random.integer(in: 0...9) {
    case 0...2: try residual(x) { (maker, x) throws(TypingError) in try maker.attention(x) }
    case 3...5: try residual(x) { (maker, x) throws(TypingError) in try maker.feedForward(x) }
    case 6: try grouped(x)
    case 7: try channels(x)
    case 8: try elementwise(x)
    default: try reductions(x)
    }
  }

  /// Returns x + f(x), with a norm before, after, both or none.
  private mutating func residual(
    _ x: ValueID,
    _ f: (inout RandomGraphMaker, ValueID) throws(TypingError) -> ValueID
  ) throws(TypingError) -> ValueID {
    let (before, after) = random.pick([(true, false), (true, false), (false, true), (true, true)])
    var y = before ? try norm(x) : x
    y = try f(&self, y)
    if after { y = try norm(y) }
    return random.chance(0.9) ? try b.binary(.add, x, y) : y
  }

  private mutating func norm(_ x: ValueID) throws(TypingError) -> ValueID {
    let heads = random.chance(0.7) ? 1 : divisor(of: b.width(of: x))
    // A layer norm of one or two elements is constant but for ε.
    let kind = b.width(of: x) / heads < 3 ? Norm.Kind.rms : random.pick([.rms, .rms, .layer])
    if random.chance(0.15) {
      return try b.add(.norm(Norm(kind, heads: heads, hasGain: false), nil), [x])
    }
    return try b.norm(x, next("norm"), groups(), kind: kind, heads: heads)
  }

  private mutating func attention(_ x: ValueID) throws(TypingError) -> ValueID {
    let heads = random.integer(in: 1...4)
    let attention = Op.Attention(
      batch: batch, heads: heads, keyValueHeads: divisor(of: heads), causal: random.chance(0.8),
      hasDocuments: random.chance(0.3), hasSegments: random.chance(0.3))
    var layer = GraphBuilder.AttentionLayer(attention, headWidth: random.pick([2, 4, 6, 8]))
    layer.fused = random.chance(0.3)
    layer.bias = random.chance(0.3)
    layer.queryKeyNorm = random.pick([nil, .rms, .rms])
    layer.rotary = random.pick([nil, .interleaved, .half])
    return try b.attention(x, next("attention"), layer, groups())
  }

  private mutating func feedForward(_ x: ValueID) throws(TypingError) -> ValueID {
    let hidden = random.integer(in: 3...19)
    let name = next("feed_forward")
    let groups = groups()
    if random.chance(0.6) {
      let activation = random.pick([Op.Unary.silu, .silu, .gelu, .sigmoid])
      return try b.feedForward(x, name, hidden: hidden, activation: activation, groups)
    }
    let inner = try b.linear(x, "\(name).up", width: hidden, groups, bias: random.chance(0.5))
    let y = try b.unary(random.pick([.gelu, .relu, .tanh]), inner)
    return try b.linear(y, "\(name).down", width: width, groups, bias: random.chance(0.5))
  }

  /// Returns a chain of routed and tied ops that stays in grouped order.
  private mutating func grouped(_ x: ValueID) throws(TypingError) -> ValueID {
    let plan = try b.nextPlan()
    let groups = groups() ?? Groups([Int](repeating: 0, count: vocabulary.count))
    let (name, hidden) = (next("expert"), random.integer(in: 3...13))
    let rows = try b.add(.gather, [x, plan])
    let gain = try b.parameter("\(name).norm.weight", [width], groups, initialization: .ones)
    let first = try b.add(.norm(Norm(.rms), groups), [rows, gain, plan])
    let gate = try b.parameter("\(name).gate.weight", [hidden, width], groups)
    let up = try b.parameter("\(name).up.weight", [hidden, width], groups)
    let down = try b.parameter("\(name).down.weight", [width, hidden], groups)
    let inner = try b.append(.linear(groups), [first, gate, up, plan])
    let product = try b.binary(.multiply, b.unary(.silu, inner[0]), inner[1])
    let update = try b.add(.linear(groups), [product, down, plan])
    return try b.add(.scatter, [b.binary(.add, rows, update), plan])
  }

  /// Returns x scaled and shifted by channels.
  private mutating func channels(_ x: ValueID) throws(TypingError) -> ValueID {
    let name = next("channel")
    let (first, second) = (groups(), groups())
    let scale = try b.parameter(
      "\(name).scale", [divisor(of: width)], first, initialization: .ones)
    let shift = try b.parameter("\(name).shift", [divisor(of: width)], second)
    let y = try b.apply(.channelMultiply(first), x, [scale])[0]
    return try b.apply(.channelAdd(second), y, [shift])[0]
  }

  /// Returns a chain of functions that are smooth and of moderate size everywhere.
  private mutating func elementwise(_ x: ValueID) throws(TypingError) -> ValueID {
    let y = try b.unary(.tanh, x)
    let above = try b.binary(.add, b.binary(.multiply, y, y), 0.5)
    switch random.integer(in: 0...6) {
    case 0:
      return try b.binary(
        .multiply, b.unary(.exponential, b.unary(.negate, y)), b.unary(.cosine, y))
    case 1: return try b.binary(.add, x, b.unary(.logarithm, above))
    case 2: return try b.binary(.multiply, b.unary(.sine, x), b.unary(.squareRoot, above))
    case 3: return try b.binary(.multiply, x, b.unary(.reciprocalSquareRoot, above))
    case 4: return try b.binary(.divide, x, above)
    case 5: return try b.binary(.subtract, b.unary(.gelu, x), b.unary(.sigmoid, x))
    default: return try b.binary(.multiply, x, b.unary(.step, x))
    }
  }

  /// Returns x with something that is summed over rows, columns or everything.
  private mutating func reductions(_ x: ValueID) throws(TypingError) -> ValueID {
    let square = try b.binary(.multiply, x, x)
    switch random.integer(in: 0...3) {
    case 0:
      let length = try b.binary(.add, b.add(.rowSum, [square]), Double(width))
      return try b.binary(
        random.pick([.divide, .multiply]), x, b.unary(.reciprocalSquareRoot, length))
    case 1:
      let total = try b.binary(.add, b.add(.sum, [square]), 1)
      return try b.binary(.divide, x, b.unary(.squareRoot, total))
    case 2:
      // Each row sees the mean of its group, or of all rows.
      let groups = groups()
      let scaled = try b.binary(.multiply, x, 1 / Double(b.tokens))
      let mean = try b.apply(.columnSum(groups, parts: divisor(of: width)), scaled)[0]
      return try b.apply(.channelAdd(groups), x, [mean])[0]
    default:
      let mean = try b.binary(.multiply, b.add(.rowSum, [x]), 1 / Double(width))
      return try b.binary(.subtract, x, mean)
    }
  }
}
