// What each op means: the elements of its results, given those of its operands.
// T tokens, K segments, G groups, D row width, N output width, V vocabulary.

extension Evaluation {
  /// Returns the elements of the node's results.
  ///
  /// - Throws: `Diagnostic` if an operand holds a number that has no meaning.
  func results() throws(Diagnostic) -> [ReferenceValue.Contents] {
    switch op {
    case .input(let name): try [input(name)]
    case .parameter(let name): try [parameter(name)]
    case .constant(let number): [constant(number)]
    case .route(let segments): [route(segments)]
    case .sync: [operands[0].contents]
    case .gather: [gather()]
    case .scatter: [scatter()]
    case .routeExperts(let routing, let groups): [routeExperts(routing, groups)]
    case .dispatch: [dispatch()]
    case .combine: [combine()]
    case .gates: [gates()]
    case .gatesGradient: [gatesGradient()]
    case .balance(let hasCount): balance(hasCount: hasCount)
    case .linear(let groups): linear(groups)
    case .linearInputGradient(let groups): [linearInputGradient(groups)]
    case .linearWeightGradient(let groups): linearWeightGradient(groups)
    case .norm(let norm, let groups): [self.norm(norm, groups)]
    case .normGradient(let norm, let groups): [normGradient(norm, groups)]
    case .channelMultiply(let groups): [channel(groups) { $0 * $1 }]
    case .channelAdd(let groups): [channel(groups) { $0 + $1 }]
    case .columnSum(let groups, let parts): [columnSum(groups, parts)]
    case .rotary(let rotary): try [self.rotary(rotary)]
    case .attention(let attention): self.attention(attention)
    case .attentionGradient(let attention): attentionGradient(attention)
    case .cachedAttention(let attention): try cachedAttention(attention)
    case .unary(let function): [unary(function)]
    case .binary(let function): [binary(function)]
    case .rowSum: [rowSum()]
    case .logSumExponentials: [logSumExponentials()]
    case .sum: [.numbers([numbers(0).reduce(0, +)])]
    case .embed: try [embed()]
    case .embedGradient(let vocabulary): try [embedGradient(vocabulary)]
    case .crossEntropy: try [crossEntropy()]
    case .crossEntropyGradient: try [crossEntropyGradient()]
    case .tokenWeights(let ranges, let hasCount): [tokenWeights(ranges, hasCount: hasCount)]
    case .headLoss: try [headLoss()]
    case .headLossGradient: try headLossGradient()
    }
  }
}
