// What a layer can append to the graph. T tokens, D and N row widths, G groups of modalities.

extension LayerContext {
  // MARK: Linear maps, norms and channels

  /// Returns x Wᵀ, N wide, with the parameter `NAME.weight` [N, D], plus `NAME.bias` [N] if asked for.
  ///
  /// - Parameter name: `nil` for a layer of one map, whose parameter is `weight`.
  public mutating func linear(
    _ x: Rows, to width: Int, name: String? = nil, bias: Bool = false,
    initialization: Initialization = .normal(0.02), component: Component? = nil
  ) throws(Diagnostic) -> Rows {
    let prefix = name.map { "\($0)." } ?? ""
    let weight = try parameter(
      "\(prefix)weight", shape: [width, x.width], initialization: initialization,
      component: component)
    let result = try routed(x, weight) { .linear($0) }
    guard bias else { return result }
    return try shift(result, name: "\(prefix)bias", component: component)
  }

  /// Returns the normalised rows times the gain `NAME`, plus the shift `BIAS` if that is named.
  ///
  /// - Parameter heads: into how many parts each row is cut, each normalised by itself.
  public mutating func norm(
    _ kind: Norm.Kind, _ x: Rows, heads: Int = 1, epsilon: Double = 1e-5, name: String = "weight",
    bias: String? = nil, component: Component? = nil
  ) throws(Diagnostic) -> Rows {
    guard heads >= 1, x.width.isMultiple(of: heads) else {
      throw .indivisible(x.width, by: heads, "heads of a norm", at: location)
    }
    guard epsilon >= 0, epsilon.isFinite else { throw .badEpsilon(epsilon, at: location) }
    let gain = try parameter(
      name, shape: [x.width / heads], initialization: .ones, component: component)
    let norm = Norm(kind, heads: heads, epsilon: epsilon)
    let result = try routed(x, gain) { .norm(norm, $0) }
    guard let bias else { return result }
    return try shift(result, name: bias, component: component)
  }

  /// Returns the normalised rows without a gain.
  public mutating func normalize(
    _ kind: Norm.Kind, _ x: Rows, heads: Int = 1, epsilon: Double = 1e-5
  ) throws(Diagnostic) -> Rows {
    let norm = Norm(kind, heads: heads, epsilon: epsilon, hasGain: false)
    return try addRows(.norm(norm, nil), [x.value])
  }

  /// Returns x · c, with the parameter `name` [D] that starts at 1.
  public mutating func scale(
    _ x: Rows, name: String, component: Component? = nil
  ) throws(Diagnostic) -> Rows {
    let channels = try parameter(
      name, shape: [x.width], initialization: .ones, component: component)
    return try routed(x, channels) { .channelMultiply($0) }
  }

  /// Returns x + c, with the parameter `name` [D] that starts at 0.
  public mutating func shift(
    _ x: Rows, name: String, component: Component? = nil
  ) throws(Diagnostic) -> Rows {
    let channels = try parameter(
      name, shape: [x.width], initialization: .zeros, component: component)
    return try routed(x, channels) { .channelAdd($0) }
  }

  // MARK: Elementwise

  /// Returns f(x), element by element.
  public mutating func apply(_ function: Op.Unary, _ x: Rows) throws(Diagnostic) -> Rows {
    try addRows(.unary(function), [x.value])
  }

  /// Returns f(a, b), element by element; b may be one number a row.
  public mutating func apply(
    _ function: Op.Binary, _ a: Rows, _ b: Rows
  ) throws(Diagnostic) -> Rows {
    try addRows(.binary(function), [a.value, b.value])
  }

  /// Returns f(a, number), element by element.
  public mutating func apply(
    _ function: Op.Binary, _ a: Rows, _ number: Double
  ) throws(Diagnostic) -> Rows {
    let constant = try add(.constant(number), [], type: .scalar)
    return try addRows(.binary(function), [a.value, constant])
  }

  /// Returns a + b.
  public mutating func sum(_ a: Rows, _ b: Rows) throws(Diagnostic) -> Rows {
    try apply(.add, a, b)
  }

  /// Returns a · b, element by element; b may be one number a row.
  public mutating func product(_ a: Rows, _ b: Rows) throws(Diagnostic) -> Rows {
    try apply(.multiply, a, b)
  }

  /// Returns the sum of each row, 1 wide.
  public mutating func rowSum(_ x: Rows) throws(Diagnostic) -> Rows {
    try addRows(.rowSum, [x.value])
  }

  // MARK: Attention

  /// Returns `x`, cut into heads, with pairs of elements turned by the token's position.
  public mutating func rotate(
    _ x: Rows, heads: Int, base: Double = 10_000, layout: Rotary.Layout = .interleaved
  ) throws(Diagnostic) -> Rows {
    let rotary = Rotary(heads: heads, base: base, layout: layout)
    return try addRows(.rotary(rotary), [x.value, try input("positions")])
  }

  /// Returns the values `v` that each query of `q` finds among the keys `k` of its sequence.
  ///
  /// - Parameter documents: whether a query sees only keys of its own document.
  public mutating func attend(
    _ q: Rows, _ k: Rows, _ v: Rows, heads: Int, keyValueHeads: Int? = nil, causal: Bool = true,
    documents: Bool = false
  ) throws(Diagnostic) -> Rows {
    guard isWhole else { throw .attendsToSome(of: scope.part.count, at: location) }
    if let slots {
      guard causal else { throw .needsWholeSequence(at: location) }
      let attention = Op.CachedAttention(
        batch: batch, heads: heads, keyValueHeads: keyValueHeads ?? heads)
      return try attend(attention, q, k, v, slots: slots)
    }
    let hasSegments = model.modalities.contains { $0.attends == .withinSpan }
    var operands = [q.value, k.value, v.value]
    if documents { operands.append(try input("documents")) }
    if hasSegments { operands.append(try input("segments")) }
    let attention = Op.Attention(
      batch: batch, heads: heads, keyValueHeads: keyValueHeads ?? heads, causal: causal,
      hasDocuments: documents, hasSegments: hasSegments)
    return try addRows(.attention(attention), operands)
  }

  /// Returns what each query finds in the caches, once `k` and `v` are in them. There is one document: the sequence.
  private mutating func attend(
    _ attention: Op.CachedAttention, _ q: Rows, _ k: Rows, _ v: Rows, slots: Int
  ) throws(Diagnostic) -> Rows {
    let name = cacheName()
    let names = ["\(name).keys", "\(name).values"]
    let type = ValueType.tensor(.f32, [batch, slots, k.width])
    let caches = try names.map { name throws(Diagnostic) in try add(.input(name), [], type: type) }
    let places = [try input("slots"), try input("visible")]
    let results = try addAll(
      .cachedAttention(attention), [q.value, k.value, v.value] + caches + places)
    for (name, value) in zip(names, results.dropFirst()) { graph.output(value, as: name) }
    return rows(of: results[0])
  }
}
