package import MoTIR

/// The parts of a transformer, tied where `groups` is `nil` and untied otherwise.
extension GraphBuilder {
  /// Returns f(x).
  package mutating func unary(_ f: Op.Unary, _ x: ValueID) throws(TypingError) -> ValueID {
    try add(.unary(f), [x])
  }

  /// Returns f(a, b).
  package mutating func binary(
    _ f: Op.Binary, _ a: ValueID, _ b: ValueID
  ) throws(TypingError) -> ValueID {
    try add(.binary(f), [a, b])
  }

  /// Returns f(a, number).
  package mutating func binary(
    _ f: Op.Binary, _ a: ValueID, _ number: Double
  ) throws(TypingError) -> ValueID {
    try binary(f, a, add(.constant(number), type: .scalar))
  }

  /// Returns the linear maps of x with the new weights `names`, as one op.
  package mutating func linear(
    _ x: ValueID, _ names: [String], widths: [Int], _ groups: Groups?
  ) throws(TypingError) -> [ValueID] {
    var weights: [ValueID] = []
    for (name, outputs) in zip(names, widths) {
      weights.append(try parameter("\(name).weight", [outputs, width(of: x)], groups))
    }
    return try apply(.linear(groups), x, weights)
  }

  /// Returns the linear map of x with the new weight `name`, and a new bias if `bias` is set.
  package mutating func linear(
    _ x: ValueID, _ name: String, width: Int, _ groups: Groups?, bias: Bool = false
  ) throws(TypingError) -> ValueID {
    let y = try linear(x, [name], widths: [width], groups)[0]
    guard bias else { return y }
    let b = try parameter("\(name).bias", [width], groups)
    return try apply(.channelAdd(groups), y, [b])[0]
  }

  /// Returns the norm of x with the new gain `name`.
  package mutating func norm(
    _ x: ValueID, _ name: String, _ groups: Groups?, kind: Norm.Kind = .rms, heads: Int = 1
  ) throws(TypingError) -> ValueID {
    let gain = try parameter(
      "\(name).weight", [width(of: x) / heads], groups, component: "norm", initialization: .ones)
    return try apply(.norm(Norm(kind, heads: heads), groups), x, [gain])[0]
  }

  /// What an attention layer is made of.
  package struct AttentionLayer: Sendable {
    /// The attention itself.
    package var attention: Op.Attention
    /// The width of a head.
    package var headWidth: Int
    /// `true` iff queries, keys and values come from one op.
    package var fused = false
    /// `true` iff the projections have biases, where they come from ops of their own.
    package var bias = false
    /// The norm of queries and keys, if any.
    package var queryKeyNorm: Norm.Kind?
    /// The layout of the rotary embedding, if any.
    package var rotary: Rotary.Layout?

    /// Creates a plain layer.
    package init(_ attention: Op.Attention, headWidth: Int) {
      self.attention = attention
      self.headWidth = headWidth
    }
  }

  /// Returns the attention layer `name` of x.
  package mutating func attention(
    _ x: ValueID, _ name: String, _ layer: AttentionLayer, _ groups: Groups?
  ) throws(TypingError) -> ValueID {
    var rows = try queriesKeysValues(x, name, layer, groups)
    if layer.attention.hasDocuments { rows.append(try input("documents")) }
    if layer.attention.hasSegments { rows.append(try input("segments")) }
    let output = try append(.attention(layer.attention), rows)[0]
    return try linear(output, "\(name).o", width: width(of: x), groups)
  }

  /// Returns an attention layer's queries, keys and values.
  private mutating func queriesKeysValues(
    _ x: ValueID, _ name: String, _ layer: AttentionLayer, _ groups: Groups?
  ) throws(TypingError) -> [ValueID] {
    let counts = [
      layer.attention.heads, layer.attention.keyValueHeads, layer.attention.keyValueHeads,
    ]
    let names = ["q", "k", "v"].map { "\(name).\($0)" }
    let widths = counts.map { $0 * layer.headWidth }
    var rows: [ValueID] = []
    if layer.fused {
      rows = try linear(x, names, widths: widths, groups)
    } else {
      for (name, width) in zip(names, widths) {
        rows.append(try linear(x, name, width: width, groups, bias: layer.bias))
      }
    }
    for index in 0..<2 {
      if let kind = layer.queryKeyNorm {
        rows[index] = try norm(
          rows[index], "\(names[index])_norm", groups, kind: kind, heads: counts[index])
      }
      if let layout = layer.rotary {
        let rotary = Rotary(heads: counts[index], layout: layout)
        rows[index] = try add(.rotary(rotary), [rows[index], input("positions")])
      }
    }
    return rows
  }

  /// Returns the gated feed-forward layer `name` of x.
  package mutating func feedForward(
    _ x: ValueID, _ name: String, hidden: Int, activation: Op.Unary = .silu, _ groups: Groups?
  ) throws(TypingError) -> ValueID {
    let gate = try linear(x, "\(name).gate", width: hidden, groups)
    let up = try linear(x, "\(name).up", width: hidden, groups)
    let product = try binary(.multiply, unary(activation, gate), up)
    return try linear(product, "\(name).down", width: width(of: x), groups)
  }

  /// Returns the mean of `losses` over the targets that lie in `ranges`.
  package mutating func mean(
    _ losses: ValueID, _ targets: ValueID, over ranges: [Range<Int>]
  ) throws(TypingError) -> ValueID {
    let weights = try add(.tokenWeights(ranges, hasCount: false), [targets])
    return try add(.sum, [binary(.multiply, losses, weights)])
  }
}
