// What each op's results are, given its operands.
// T tokens, K segments, G groups, D row width, N output width, V vocabulary.

extension Op {
  /// `true` iff the result type is declared by the node and does not follow from its operands.
  public var needsDeclaredType: Bool {
    switch self {
    case .input, .parameter, .constant: true
    case .route, .sync, .gather, .scatter, .linear, .linearInputGradient, .linearWeightGradient,
      .norm, .normGradient, .channelMultiply, .channelAdd, .columnSum, .rotary, .attention,
      .attentionGradient, .unary, .binary, .rowSum, .sum, .embed, .embedGradient, .crossEntropy,
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
    case .unary: return try unary(types)
    case .binary: return try binary(types)
    case .rowSum: return [try types.single().withWidth(1)]
    case .sum:
      try types.count(1)
      try types.float(0)
      return [.scalar]
    case .embed: return try embed(types)
    case .embedGradient(let vocabulary): return try embedGradient(types, vocabulary)
    case .crossEntropy: return try crossEntropy(types, gradient: false)
    case .crossEntropyGradient: return try crossEntropy(types, gradient: true)
    case .tokenWeights(let ranges): return try tokenWeights(types, ranges)
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
      let (tokens, _) = try types.plan(0)
      guard case .rows(_, .grouped, tokens, _) = declared else {
        throw types.error("an input by plan has grouped rows, one a token, and not \(declared)")
      }
      return [declared]
    }
    try types.count(0)
    if case .parameter = self, case .tensor(.f32, _) = declared { return [declared] }
    if case .constant = self, declared.element == .f32 { return [declared] }
    if case .input = self, declared.order != .grouped { return [declared] }
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
    let (_, segments) = try types.plan(0)
    guard (0..<segments).contains(segment) else {
      throw types.error("segment \(segment) is outside 0..<\(segments)")
    }
    return [types[0]]
  }

  private func permute(
    _ types: OperandTypes, from: RowOrder, to: RowOrder
  ) throws(TypingError) -> [ValueType] {
    try types.count(2)
    let (tokens, _) = try types.plan(1)
    guard case .rows(_, from, tokens, _) = types[0] else {
      throw types.error("wants rows [\(from.rawValue)=\(tokens), …], and got \(types[0])")
    }
    return [types[0].reordered(to)]
  }

  // MARK: Linear maps

  private func linear(_ types: OperandTypes, _ groups: Groups?) throws(TypingError) -> [ValueType] {
    let last = try types.routed(groups)
    guard last >= 2 else { throw types.error("wants rows and at least one weight") }
    let width = try types.floatRows(0, groups)
    var results: [ValueType] = []
    for index in 1..<last {
      let shape = try types.weight(index, rank: 2, groups)
      guard shape[1] == width else {
        throw types.error(
          "the rows are \(width) wide, but weight \(index) is [\(shape[0]), \(shape[1])]"
        )
      }
      results.append(types[0].withWidth(shape[0]))
    }
    return results
  }

  private func linearInputGradient(
    _ types: OperandTypes, _ groups: Groups?
  ) throws(TypingError) -> [ValueType] {
    let last = try types.routed(groups)
    guard last >= 2, last.isMultiple(of: 2) else {
      throw types.error("wants pairs of output gradient and weight")
    }
    var input: Int?
    for index in stride(from: 0, to: last, by: 2) {
      let width = try types.floatRows(index, groups)
      try types.sameRows(0, index)
      let shape = try types.weight(index + 1, rank: 2, groups)
      guard shape[0] == width, shape[1] == input ?? shape[1] else {
        throw types.error("\(types[index]) does not fit weight \(types[index + 1])")
      }
      input = shape[1]
    }
    return [types[0].withWidth(input ?? 0)]
  }

  private func linearWeightGradient(
    _ types: OperandTypes, _ groups: Groups?
  ) throws(TypingError) -> [ValueType] {
    let last = try types.routed(groups)
    guard last >= 2 else { throw types.error("wants rows and at least one output gradient") }
    let width = try types.floatRows(0, groups)
    var results: [ValueType] = []
    for index in 1..<last {
      let output = try types.floatRows(index, groups)
      try types.sameRows(0, index)
      results.append(.tensor(.f32, (groups.map { [$0.count] } ?? []) + [output, width]))
    }
    return results
  }

  // MARK: Channels and norms

  private func norm(
    _ types: OperandTypes, _ norm: Norm, _ groups: Groups?, gradient: Bool
  ) throws(TypingError) -> [ValueType] {
    let last = try types.routed(groups)
    let first = gradient ? 2 : 1
    guard last == first + (norm.hasGain ? 1 : 0), norm.hasGain || groups == nil else {
      throw types.error("wants \(first) rows\(norm.hasGain ? " and a gain" : "")")
    }
    let width = try types.floatRows(0, groups)
    if gradient { try types.same(0, 1) }
    guard norm.heads >= 1, width.isMultiple(of: norm.heads), norm.epsilon >= 0 else {
      throw types.error("\(norm.heads) heads do not divide rows of width \(width)")
    }
    if norm.hasGain {
      let shape = try types.weight(first, rank: 1, groups)
      guard shape[0] == width / norm.heads else {
        throw types.error("a gain of \(shape[0]) for heads that are \(width / norm.heads) wide")
      }
    }
    return [types[0]]
  }

  private func channel(_ types: OperandTypes, _ groups: Groups?) throws(TypingError) -> [ValueType]
  {
    guard try types.routed(groups) == 2 else {
      throw types.error("wants rows and a channel vector")
    }
    let width = try types.floatRows(0, groups)
    let shape = try types.weight(1, rank: 1, groups)
    guard shape[0] > 0, width.isMultiple(of: shape[0]) else {
      throw types.error("\(shape[0]) channels do not divide rows of width \(width)")
    }
    return [types[0]]
  }

  private func columnSum(
    _ types: OperandTypes, _ groups: Groups?, _ parts: Int
  ) throws(TypingError) -> [ValueType] {
    guard try types.routed(groups) == 1 else { throw types.error("wants rows") }
    let width = try types.floatRows(0, groups)
    guard parts >= 1, width.isMultiple(of: parts) else {
      throw types.error("\(parts) parts do not divide rows of width \(width)")
    }
    return [.tensor(.f32, (groups.map { [$0.count] } ?? []) + [width / parts])]
  }

  // MARK: Attention

  private func rotary(_ types: OperandTypes, _ rotary: Rotary) throws(TypingError) -> [ValueType] {
    try types.count(2)
    let width = try types.floatRows(0, nil)
    try types.integerRows(1, like: 0)
    guard rotary.heads >= 1, width.isMultiple(of: 2 * rotary.heads), rotary.base > 0 else {
      throw types.error("\(rotary.heads) heads of even width do not divide rows of width \(width)")
    }
    return [types[0]]
  }

  private func attention(
    _ types: OperandTypes, _ attention: Attention
  ) throws(TypingError) -> [ValueType] {
    try attentionOperands(types, attention, rows: 3)
    return [types[0], types[0].withWidth(attention.heads)]
  }

  private func attentionGradient(
    _ types: OperandTypes, _ attention: Attention
  ) throws(TypingError) -> [ValueType] {
    try attentionOperands(types, attention, rows: 6)
    try types.same(0, 3)
    try types.same(0, 5)
    guard types[4] == types[0].withWidth(attention.heads) else {
      throw types.error("the log-sum-exp is \(types[4]), not one number a head")
    }
    return [types[0], types[1], types[2]]
  }

  private func attentionOperands(
    _ types: OperandTypes, _ attention: Attention, rows: Int
  ) throws(TypingError) {
    try types.count(rows + (attention.hasDocuments ? 1 : 0) + (attention.hasSegments ? 1 : 0))
    for index in 0..<3 {
      guard case .rows(.f32, .sequence, _, _) = types[index] else {
        throw types.error("wants rows in sequence order, and got \(types[index])")
      }
    }
    let query = try types.floatRows(0, nil)
    let key = try types.floatRows(1, nil)
    try types.same(1, 2)
    try types.sameRows(0, 1)
    let (heads, shared) = (attention.heads, attention.keyValueHeads)
    guard heads >= 1, shared >= 1, heads.isMultiple(of: shared) else {
      throw types.error("\(heads) heads are no multiple of \(shared) key/value heads")
    }
    guard query.isMultiple(of: heads), key.isMultiple(of: shared), query / heads == key / shared
    else {
      throw types.error(
        "queries \(query) wide in \(heads) heads do not match keys \(key) wide in \(shared) heads")
    }
    guard case .rows(_, _, let count, _) = types[0], attention.batch >= 1,
      count.isMultiple(of: attention.batch)
    else { throw types.error("\(types[0]) does not hold \(attention.batch) sequences") }
    for index in rows..<types.types.count { try types.integerRows(index, like: 0) }
  }

  // MARK: Elementwise

  private func unary(_ types: OperandTypes) throws(TypingError) -> [ValueType] {
    try types.count(1)
    try types.float(0)
    return [types[0]]
  }

  private func binary(_ types: OperandTypes) throws(TypingError) -> [ValueType] {
    try types.count(2)
    try types.float(0)
    try types.float(1)
    let (a, b) = (types[0], types[1])
    guard a == b || b == .scalar || (a.isRows && b == a.withWidth(1)) else {
      throw types.error("\(b) is neither \(a), one number a row nor a scalar")
    }
    return [a]
  }

  // MARK: Tokens and losses

  private func embed(_ types: OperandTypes) throws(TypingError) -> [ValueType] {
    try types.count(2)
    try types.integerRows(0)
    let shape = try types.weight(1, rank: 2, nil)
    return [types[0].withWidth(shape[1])]
  }

  private func embedGradient(
    _ types: OperandTypes, _ vocabulary: Int
  ) throws(TypingError) -> [ValueType] {
    try types.count(2)
    let width = try types.floatRows(1, nil)
    try types.integerRows(0, like: 1)
    guard vocabulary >= 1 else { throw types.error("a vocabulary of \(vocabulary) tokens") }
    return [.tensor(.f32, [vocabulary, width])]
  }

  private func crossEntropy(
    _ types: OperandTypes, gradient: Bool
  ) throws(TypingError) -> [ValueType] {
    try types.count(gradient ? 3 : 2)
    _ = try types.floatRows(0, nil)
    try types.integerRows(1, like: 0)
    let losses = types[0].withWidth(1)
    guard gradient else { return [losses] }
    guard types[2] == losses else { throw types.error("wants \(losses), and got \(types[2])") }
    return [types[0]]
  }

  private func tokenWeights(
    _ types: OperandTypes, _ ranges: [Range<Int>]
  ) throws(TypingError) -> [ValueType] {
    try types.count(1)
    try types.integerRows(0)
    guard !ranges.isEmpty, ranges.allSatisfy({ $0.lowerBound >= 0 }) else {
      throw types.error("wants ranges of token ids")
    }
    return [types[0].withWidth(1)]
  }

  private func headLoss(_ types: OperandTypes, gradient: Bool) throws(TypingError) -> [ValueType] {
    try types.count(gradient ? 4 : 3)
    let width = try types.floatRows(0, nil)
    let shape = try types.weight(1, rank: 2, nil)
    try types.integerRows(2, like: 0)
    guard shape[1] == width else {
      throw types.error("the rows are \(width) wide, but the head wants \(shape[1])")
    }
    let losses = types[0].withWidth(1)
    guard gradient else { return [losses] }
    guard types[3] == losses else { throw types.error("wants \(losses), and got \(types[3])") }
    return [losses, types[0], types[1]]
  }
}
