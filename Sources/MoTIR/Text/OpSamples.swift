extension Op {
  /// One op of every kind, in the order of the documentation: what the parser knows and what
  /// docs/ir.md lists. A new op that is missing here has no text form.
  package static let samples: [Op] =
    sources + routing + experts + linears + channels + attentions
    + Unary.allCases.map(Op.unary) + Binary.allCases.map(Op.binary)
    + [.rowSum, .logSumExponentials, .sum] + tokens

  private static let groups = Groups([0, 1])

  private static let sources: [Op] = [.input("tokens"), .parameter("norm.weight"), .constant(0.5)]

  private static let routing: [Op] = [.route(segments: 2), .sync(segment: 0), .gather, .scatter]

  private static let experts: [Op] = [
    .routeExperts(ExpertRouting(experts: 4, rule: .capacity(1)), groups), .dispatch, .combine,
    .gates, .gatesGradient, .balance(hasCount: true),
  ]

  private static let linears: [Op] = [
    .linear(groups), .linearInputGradient(groups), .linearWeightGradient(groups),
  ]

  private static let channels: [Op] =
    Norm.Kind.allCases.map { .norm(Norm($0, heads: 2), groups) }
    + Norm.Kind.allCases.map { .normGradient(Norm($0, heads: 2), groups) }
    + [.channelMultiply(groups), .channelAdd(groups), .columnSum(groups, parts: 2)]

  private static let attentions: [Op] = {
    let attention = Attention(
      batch: 4, heads: 8, keyValueHeads: 2, hasDocuments: true, hasSegments: true)
    return [
      .rotary(Rotary(heads: 8, inverse: true)), .attention(attention),
      .attentionGradient(attention),
      .cachedAttention(CachedAttention(batch: 4, heads: 8, keyValueHeads: 2)),
    ]
  }()

  private static let tokens: [Op] = [
    .embed, .embedGradient(vocabulary: 1_282), .crossEntropy, .crossEntropyGradient,
    .tokenWeights([0..<258], hasCount: true), .headLoss, .headLossGradient,
  ]
}
