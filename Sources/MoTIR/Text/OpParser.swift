// Mnemonics and attributes: the way back from `OpSyntax`.

extension Op {
  /// The ops by mnemonic, with attributes of no meaning. Parameters have no line of their own.
  private static let templates: [String: Op] = Dictionary(
    samples.map { ($0.mnemonic, $0) }, uniquingKeysWith: { first, _ in first }
  ).filter {
    if case .parameter = $0.value { false } else { true }
  }

  /// Returns an op with this mnemonic, whose attributes mean nothing, or `nil` if there is none.
  static func template(_ mnemonic: String) -> Op? { templates[mnemonic] }

  /// The labels that an operand of some op has.
  static let labels = Set(samples.flatMap(\.syntax.labels))

  /// All mnemonics of lines, sorted.
  static var mnemonics: [String] { templates.keys.sorted() }
}

extension Parser {
  /// Returns the template of the op whose mnemonic is `word`.
  func template(of word: Token) throws(Diagnostic) -> Op {
    if let template = Op.template(word.text) { return template }
    if word.text == "parameter" {
      throw error(
        "a parameter has no line of its own", at: word, help: "write @name where it is read")
    }
    throw error(
      "no op is called \(word.shown)", at: word,
      help: suggestion(for: word.text, among: Op.mnemonics))
  }

  /// Moves over the attributes of an op of `template`'s kind and returns the op.
  mutating func op(
    like template: Op, _ literal: Token?, _ labels: [Token], at word: Token
  ) throws(Diagnostic) -> Op {
    func has(_ label: String) -> Bool { labels.contains { $0.text == label } }
    if let literal, template.syntax.literal == nil {
      throw error("`\(template.mnemonic)` takes no \(literal.shown) here", at: literal)
    }
    switch template {
    case .input: return .input(try inputName(literal))
    case .parameter(let name): return .parameter(name)
    case .constant: return .constant(try constant(literal))
    case .route: return .route(segments: try attribute("into", in: 1...IRLimits.segments))
    case .sync: return .sync(segment: try attribute("segment"))
    case .gather, .scatter, .dispatch, .combine, .gates, .gatesGradient, .unary, .binary, .rowSum,
      .logSumExponentials, .sum, .embed, .crossEntropy,
      .crossEntropyGradient, .headLoss, .headLossGradient:
      return template
    case .routeExperts:
      guard let groups = try groups() else { throw expected("`groups […]`") }
      return .routeExperts(try expertRouting(), groups)
    case .balance: return .balance(hasCount: has("count"))
    case .linear: return .linear(try groups())
    case .linearInputGradient: return .linearInputGradient(try groups())
    case .linearWeightGradient: return .linearWeightGradient(try groups())
    case .channelMultiply: return .channelMultiply(try groups())
    case .channelAdd: return .channelAdd(try groups())
    case .norm(let norm, _):
      let groups = try groups()
      return .norm(try self.norm(norm.kind, hasGain: has("gain")), groups)
    case .normGradient(let norm, _):
      let groups = try groups()
      return .normGradient(try self.norm(norm.kind, hasGain: has("gain")), groups)
    case .columnSum:
      let groups = try groups()
      return .columnSum(groups, parts: try attribute("parts", otherwise: 1))
    case .rotary: return .rotary(try rotary())
    case .attention: return .attention(try attention(has("documents"), has("segments")))
    case .attentionGradient:
      return .attentionGradient(try attention(has("documents"), has("segments")))
    case .cachedAttention:
      return .cachedAttention(
        Op.CachedAttention(
          batch: try attribute("batch"), heads: try attribute("heads"),
          keyValueHeads: try attribute("key_value_heads")))
    case .embedGradient: return .embedGradient(vocabulary: try attribute("vocabulary"))
    case .tokenWeights:
      try expect("ranges")
      return .tokenWeights(
        try list("ranges", limit: IRLimits.segments) { (parser) throws(Diagnostic) in
          try parser.range("a range of token ids")
        }, hasCount: has("count"))
    }
  }

  // MARK: Literals

  private func inputName(_ literal: Token?) throws(Diagnostic) -> String {
    guard let literal, literal.kind == .string else {
      throw error("`input` wants the input's name, a string", at: literal)
    }
    return literal.text
  }

  private func constant(_ literal: Token?) throws(Diagnostic) -> Double {
    guard let literal, literal.kind == .number, let value = Double(literal.text), value.isFinite
    else { throw error("`constant` wants a finite number", at: literal) }
    return value
  }

  // MARK: Attributes

  /// Moves over `name INTEGER` and returns the integer.
  private mutating func attribute(
    _ name: String, in range: ClosedRange<Int> = 0...IRLimits.elements
  ) throws(Diagnostic) -> Int {
    try expect(name)
    return try integer("`\(name)`", in: range)
  }

  /// Moves over `name INTEGER` if it is there, and returns the integer or else `value`.
  private mutating func attribute(
    _ name: String, otherwise value: Int
  ) throws(Diagnostic) -> Int {
    isNext(name) ? try attribute(name) : value
  }

  /// Moves over `groups […]` if it is there, and returns the map.
  private mutating func groups() throws(Diagnostic) -> Groups? {
    guard try take("groups") else { return nil }
    return Groups(
      try list("segments", limit: IRLimits.segments) { (parser) throws(Diagnostic) in
        try parser.take("_")
          ? Groups.none : parser.integer("the number of a group", in: 0...IRLimits.segments - 1)
      })
  }

  private mutating func expertRouting() throws(Diagnostic) -> ExpertRouting {
    let experts = try attribute("experts", in: 1...IRLimits.segments)
    if try take("capacity") {
      return ExpertRouting(experts: experts, rule: .capacity(try number("`capacity`")))
    }
    guard isNext("top") else { throw expected("`capacity` or `top`") }
    return ExpertRouting(experts: experts, rule: .top(try attribute("top")))
  }

  private mutating func norm(_ kind: Norm.Kind, hasGain: Bool) throws(Diagnostic) -> Norm {
    let heads = try attribute("heads", otherwise: 1)
    try expect("epsilon")
    return Norm(kind, heads: heads, epsilon: try number("`epsilon`"), hasGain: hasGain)
  }

  private mutating func rotary() throws(Diagnostic) -> Rotary {
    let heads = try attribute("heads")
    try expect("base")
    let base = try number("`base`")
    try expect("layout")
    guard token.kind == .word, let layout = Rotary.Layout(rawValue: token.text) else {
      throw expected("`interleaved` or `half`")
    }
    try advance()
    return Rotary(heads: heads, base: base, layout: layout, inverse: try take("inverse"))
  }

  private mutating func attention(
    _ hasDocuments: Bool, _ hasSegments: Bool
  ) throws(Diagnostic) -> Op.Attention {
    let batch = try attribute("batch")
    let heads = try attribute("heads")
    let keyValueHeads = try attribute("key_value_heads")
    return Op.Attention(
      batch: batch, heads: heads, keyValueHeads: keyValueHeads, causal: try take("causal"),
      hasDocuments: hasDocuments, hasSegments: hasSegments)
  }
}
