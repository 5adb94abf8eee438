// What each op's results are, given its operands.
// T tokens, K segments, G groups, D row width, N output width, V vocabulary.

extension Op {
  /// `true` iff the result type is declared by the node and does not follow from its operands.
  public var needsDeclaredType: Bool {
    switch self {
    case .input, .parameter, .constant: true
    case .route, .sync, .gather, .scatter, .routeExperts, .dispatch, .combine, .gates,
      .gatesGradient, .balance, .linear, .linearInputGradient, .linearWeightGradient, .norm,
      .normGradient, .channelMultiply, .channelAdd, .columnSum, .rotary, .attention,
      .attentionGradient, .cachedAttention, .unary, .binary, .rowSum,
      .logSumExponentials, .sum, .embed, .embedGradient,
      .crossEntropy,
      .crossEntropyGradient, .tokenWeights, .headLoss, .headLossGradient:
      false
    }
  }

  /// Returns the result types of this op for operands of types `operands`.
  ///
  /// - Parameter declared: the type of a source op's result.
  /// - Throws: `TypingError` if the operands do not fit.
  public func resultTypes(
    _ operands: [ValueType], declared: ValueType? = nil
  ) throws(TypingError) -> [ValueType] {
    guard needsDeclaredType == (declared != nil) else {
      throw TypingError("\(mnemonic): a declared type is for sources only")
    }
    let types = OperandTypes(self, operands)
    switch self {
    case .input, .parameter, .constant: return try source(types, declared)
    case .route(let segments): return try route(types, segments)
    case .sync(let segment): return try sync(types, segment)
    case .gather: return try permute(types, from: .sequence, to: .grouped)
    case .scatter: return try permute(types, from: .grouped, to: .sequence)
    case .routeExperts(let routing, let groups): return try routeExperts(types, routing, groups)
    case .dispatch: return try dispatch(types, back: false)
    case .combine: return try dispatch(types, back: true)
    case .gates: return try gates(types, gradient: false)
    case .gatesGradient: return try gates(types, gradient: true)
    case .balance(let hasCount): return try balance(types, hasCount: hasCount)
    case .linear(let groups): return try linear(types, groups)
    case .linearInputGradient(let groups): return try linearInputGradient(types, groups)
    case .linearWeightGradient(let groups): return try linearWeightGradient(types, groups)
    case .norm(let norm, let groups): return try self.norm(types, norm, groups, gradient: false)
    case .normGradient(let norm, let groups):
      return try self.norm(types, norm, groups, gradient: true)
    case .channelMultiply(let groups), .channelAdd(let groups): return try channel(types, groups)
    case .columnSum(let groups, let parts): return try columnSum(types, groups, parts)
    case .rotary(let rotary): return try self.rotary(types, rotary)
    case .attention(let attention): return try self.attention(types, attention)
    case .attentionGradient(let attention): return try attentionGradient(types, attention)
    case .cachedAttention(let attention): return try cachedAttention(types, attention)
    case .unary: return try unary(types)
    case .binary: return try binary(types)
    case .rowSum, .logSumExponentials: return [try types.single().withWidth(1)]
    case .sum:
      try types.count(1)
      try types.float(0)
      return [.scalar]
    case .embed: return try embed(types)
    case .embedGradient(let vocabulary): return try embedGradient(types, vocabulary)
    case .crossEntropy: return try crossEntropy(types, gradient: false)
    case .crossEntropyGradient: return try crossEntropy(types, gradient: true)
    case .tokenWeights(let ranges, let hasCount):
      return try tokenWeights(types, ranges, hasCount: hasCount)
    case .headLoss: return try headLoss(types, gradient: false)
    case .headLossGradient: return try headLoss(types, gradient: true)
    }
  }

  // MARK: Sources and routing

  private func source(
    _ types: OperandTypes, _ declared: ValueType?
  ) throws(TypingError) -> [ValueType] {
    guard let declared else { return [] }
    if case .input = self, types.types.count == 1 {
      let tokens = try types.modalityPlan(0).tokens
      guard case .rows(_, .grouped, tokens, _) = declared else {
        throw types.error("an input by plan has grouped rows, one a token, and not \(declared)")
      }
      return [declared]
    }
    try types.count(0)
    if case .parameter = self, case .tensor(.f32, _) = declared { return [declared] }
    if case .constant = self, declared.element == .f32 { return [declared] }
    if case .input = self, declared.order == nil || declared.order == .sequence {
      return [declared]
    }
    throw types.error("cannot be of type \(declared)")
  }

  private func route(_ types: OperandTypes, _ segments: Int) throws(TypingError) -> [ValueType] {
    try types.count(1)
    guard segments >= 1, case .rows(.i32, .sequence, let count, 1) = types[0] else {
      throw types.error("wants i32[T=…, 1] and at least one segment, and got \(types[0])")
    }
    return [.plan(tokens: count, segments: segments)]
  }

  private func sync(_ types: OperandTypes, _ segment: Int) throws(TypingError) -> [ValueType] {
    try types.count(1)
    let segments = try types.modalityPlan(0).segments
    guard (0..<segments).contains(segment) else {
      throw types.error("segment \(segment) is outside 0..<\(segments)")
    }
    return [types[0]]
  }

  private func permute(
    _ types: OperandTypes, from: RowOrder, to: RowOrder
  ) throws(TypingError) -> [ValueType] {
    try types.count(2)
    let tokens = try types.modalityPlan(1).tokens
    guard case .rows(_, from, tokens, _) = types[0] else {
      throw types.error("wants rows [\(from.rawValue)=\(tokens), …], and got \(types[0])")
    }
    return [types[0].reordered(to)]
  }
}
