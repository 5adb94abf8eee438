extension Op {
  /// Returns which of `count` operands (the plan not counted) are weights: the same array for all rows,
  /// or one a group.
  package func weightPositions(_ count: Int) -> [Int] {
    switch self {
    case .linear: Array(1..<max(1, count))
    case .linearInputGradient: Array(stride(from: 1, to: count, by: 2))
    case .norm(let norm, _): norm.hasGain ? [1] : []
    case .normGradient(let norm, _): norm.hasGain ? [2] : []
    case .channelMultiply, .channelAdd, .embed, .headLoss, .headLossGradient: [1]
    case .input, .parameter, .constant, .route, .sync, .gather, .scatter, .routeExperts, .dispatch,
      .combine, .gates, .gatesGradient, .balance, .logSumExponentials, .linearWeightGradient,
      .columnSum, .rotary, .attention, .attentionGradient, .cachedAttention, .unary, .binary,
      .rowSum, .sum,
      .embedGradient, .crossEntropy, .crossEntropyGradient, .tokenWeights:
      []
    }
  }
}
