/// How an op's attributes stand in IR text: what the printer writes and the verifier checks.
///
/// `mnemonic literal? operands (label operand)* attributes`. The parser's side, `Parser.op(like:)`,
/// reads the attributes in the order in which they are listed here.
struct OpSyntax {
  /// What stands right behind the mnemonic.
  enum Literal {
    /// A name: `input "tokens"`.
    case name(String)
    /// A number: `constant 0.5`.
    case number(Double)
  }

  /// An attribute behind the operands.
  enum Attribute {
    /// `heads 8`
    case integer(String, Int)
    /// `epsilon 1e-05`
    case number(String, Double)
    /// `layout half`
    case word(String, String)
    /// `causal`
    case flag(String)
    /// `groups [0, 1]`, and `groups [0, _]` where a segment has none
    case groups(Groups)
    /// `ranges [0..<258, 300..<310]`
    case ranges([Range<Int>])
  }

  /// What stands right behind the mnemonic.
  var literal: Literal?
  /// The labels of the last operands.
  var labels: [String] = []
  /// The attributes, in order. Those that have their default value are left out.
  var attributes: [Attribute] = []
}

extension OpSyntax.Literal {
  /// The literal as IR text.
  var text: String {
    switch self {
    case .name(let name): quoted(name)
    case .number(let number): number.description
    }
  }
}

extension OpSyntax.Attribute {
  /// The attribute as IR text.
  var text: String {
    switch self {
    case .integer(let name, let value): "\(name) \(value)"
    case .number(let name, let value): "\(name) \(value.description)"
    case .word(let name, let value): "\(name) \(value)"
    case .flag(let name): name
    case .groups(let groups): "groups \(groups.text)"
    case .ranges(let ranges): "ranges [\(ranges.map(rangeText).joined(separator: ", "))]"
    }
  }
}

extension Groups {
  /// The map as a list: `_` for a segment without a group.
  var text: String {
    let names = ofSegment.map { $0 == Groups.none ? "_" : String($0) }
    return "[\(names.joined(separator: ", "))]"
  }
}

/// Returns `range` as IR text.
func rangeText(_ range: Range<Int>) -> String { "\(range.lowerBound)..<\(range.upperBound)" }

extension Op {
  /// How the op's attributes stand in IR text.
  var syntax: OpSyntax {
    switch self {
    case .input(let name): OpSyntax(literal: .name(name), labels: ["by"])
    case .parameter(let name): OpSyntax(literal: .name(name))
    case .constant(let value): OpSyntax(literal: .number(value))
    case .route(let segments): OpSyntax(attributes: [.integer("into", segments)])
    case .sync(let segment): OpSyntax(attributes: [.integer("segment", segment)])
    case .gather, .scatter, .dispatch, .combine, .gates, .gatesGradient: OpSyntax(labels: ["by"])
    case .routeExperts(let routing, let groups): routed(groups, routing.attributes)
    case .balance(let hasCount): OpSyntax(labels: hasCount ? ["count"] : [])
    case .linear(let groups), .linearInputGradient(let groups), .linearWeightGradient(let groups),
      .channelMultiply(let groups), .channelAdd(let groups):
      routed(groups)
    case .norm(let norm, let groups), .normGradient(let norm, let groups):
      routed(
        groups, labels: norm.hasGain ? ["gain"] : [],
        (norm.heads == 1 ? [] : [.integer("heads", norm.heads)])
          + [.number("epsilon", norm.epsilon)])
    case .columnSum(let groups, let parts):
      routed(groups, parts == 1 ? [] : [.integer("parts", parts)])
    case .rotary(let rotary):
      OpSyntax(
        attributes: [
          .integer("heads", rotary.heads), .number("base", rotary.base),
          .word("layout", rotary.layout.rawValue),
        ] + (rotary.inverse ? [.flag("inverse")] : []))
    case .attention(let attention), .attentionGradient(let attention): attention.syntax
    case .cachedAttention(let attention):
      OpSyntax(
        labels: ["keys", "values", "slots", "visible"],
        attributes: [
          .integer("batch", attention.batch), .integer("heads", attention.heads),
          .integer("key_value_heads", attention.keyValueHeads),
        ])
    case .embedGradient(let vocabulary):
      OpSyntax(attributes: [.integer("vocabulary", vocabulary)])
    case .tokenWeights(let ranges, let hasCount):
      OpSyntax(labels: hasCount ? ["count"] : [], attributes: [.ranges(ranges)])
    case .unary, .binary, .rowSum, .logSumExponentials, .sum, .embed, .crossEntropy,
      .crossEntropyGradient, .headLoss,
      .headLossGradient:
      OpSyntax()
    }
  }

  private func routed(
    _ groups: Groups?, labels: [String] = [], _ attributes: [OpSyntax.Attribute] = []
  ) -> OpSyntax {
    guard let groups else { return OpSyntax(labels: labels, attributes: attributes) }
    return OpSyntax(
      labels: labels + ["by"], attributes: [.groups(groups)] + attributes)
  }
}

extension ExpertRouting {
  /// The attributes in IR text.
  fileprivate var attributes: [OpSyntax.Attribute] {
    switch rule {
    case .capacity(let capacity):
      [.integer("experts", experts), .number("capacity", capacity)]
    case .top(let count): [.integer("experts", experts), .integer("top", count)]
    }
  }
}

extension Op.Attention {
  /// How the attributes stand in IR text.
  fileprivate var syntax: OpSyntax {
    OpSyntax(
      labels: (hasDocuments ? ["documents"] : []) + (hasSegments ? ["segments"] : []),
      attributes: [
        .integer("batch", batch), .integer("heads", heads),
        .integer("key_value_heads", keyValueHeads),
      ] + (causal ? [.flag("causal")] : []))
  }
}
