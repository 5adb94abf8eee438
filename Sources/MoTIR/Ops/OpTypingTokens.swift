// Typing rules of attention, elementwise ops, tokens and losses.
// T tokens, K segments, G groups, D row width, N output width, V vocabulary.

extension Op {
  // MARK: Attention

  func rotary(_ types: OperandTypes, _ rotary: Rotary) throws(TypingError) -> [ValueType] {
    try types.count(2)
    let width = try types.floatRows(0, nil)
    try types.integerRows(1, like: 0)
    guard rotary.heads >= 1, width.isMultiple(of: 2 * rotary.heads), rotary.base > 0 else {
      throw types.error("\(rotary.heads) heads of even width do not divide rows of width \(width)")
    }
    return [types[0]]
  }

  func attention(
    _ types: OperandTypes, _ attention: Attention
  ) throws(TypingError) -> [ValueType] {
    try attentionOperands(types, attention, rows: 3)
    return [types[0], types[0].withWidth(attention.heads)]
  }

  func attentionGradient(
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

  /// Heads, rows, and two caches of as many sequences; the caches keep their types.
  func cachedAttention(
    _ types: OperandTypes, _ attention: CachedAttention
  ) throws(TypingError) -> [ValueType] {
    try types.count(7)
    let (heads, shared) = (attention.heads, attention.keyValueHeads)
    let width = try attentionRows(types, batch: attention.batch, heads: heads, shared: shared)
    try types.same(3, 4)
    guard case .tensor(.f32, let shape) = types[3], shape.count == 3, shape[0] == attention.batch,
      shape[1] >= 1, shape[2] == width
    else {
      throw types.error("the caches are \(types[3]), and not f32[\(attention.batch), C, \(width)]")
    }
    for index in 5..<7 { try types.integerRows(index, like: 0) }
    return [types[0], types[3], types[4]]
  }

  func attentionOperands(
    _ types: OperandTypes, _ attention: Attention, rows: Int
  ) throws(TypingError) {
    try types.count(rows + (attention.hasDocuments ? 1 : 0) + (attention.hasSegments ? 1 : 0))
    _ = try attentionRows(
      types, batch: attention.batch, heads: attention.heads, shared: attention.keyValueHeads)
    for index in rows..<types.types.count { try types.integerRows(index, like: 0) }
  }

  /// Checks queries, keys and values of `batch` sequences and returns the width of a key.
  private func attentionRows(
    _ types: OperandTypes, batch: Int, heads: Int, shared: Int
  ) throws(TypingError) -> Int {
    for index in 0..<3 {
      guard case .rows(.f32, .sequence, _, _) = types[index] else {
        throw types.error("wants rows in sequence order, and got \(types[index])")
      }
    }
    let query = try types.floatRows(0, nil)
    let key = try types.floatRows(1, nil)
    try types.same(1, 2)
    try types.sameRows(0, 1)
    guard heads >= 1, shared >= 1, heads.isMultiple(of: shared) else {
      throw types.error("\(heads) heads are no multiple of \(shared) key/value heads")
    }
    guard query.isMultiple(of: heads), key.isMultiple(of: shared), query / heads == key / shared
    else {
      throw types.error(
        "queries \(query) wide in \(heads) heads do not match keys \(key) wide in \(shared) heads")
    }
    guard case .rows(_, _, let count, _) = types[0], batch >= 1, count.isMultiple(of: batch) else {
      throw types.error("\(types[0]) does not hold \(batch) sequences")
    }
    return key
  }

  // MARK: Elementwise

  func unary(_ types: OperandTypes) throws(TypingError) -> [ValueType] {
    try types.count(1)
    try types.float(0)
    return [types[0]]
  }

  func binary(_ types: OperandTypes) throws(TypingError) -> [ValueType] {
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

  func embed(_ types: OperandTypes) throws(TypingError) -> [ValueType] {
    try types.count(2)
    try types.integerRows(0)
    let shape = try types.weight(1, rank: 2, nil)
    return [types[0].withWidth(shape[1])]
  }

  func embedGradient(
    _ types: OperandTypes, _ vocabulary: Int
  ) throws(TypingError) -> [ValueType] {
    try types.count(2)
    let width = try types.floatRows(1, nil)
    try types.integerRows(0, like: 1)
    guard vocabulary >= 1 else { throw types.error("a vocabulary of \(vocabulary) tokens") }
    return [.tensor(.f32, [vocabulary, width])]
  }

  func crossEntropy(
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

  func tokenWeights(
    _ types: OperandTypes, _ ranges: [Range<Int>], hasCount: Bool
  ) throws(TypingError) -> [ValueType] {
    try types.count(hasCount ? 2 : 1)
    try types.integerRows(0)
    if hasCount, types[1] != .tensor(.i32, []) {
      throw types.error("wants a count i32[], and got \(types[1])")
    }
    guard !ranges.isEmpty, ranges.allSatisfy({ $0.lowerBound >= 0 }) else {
      throw types.error("wants ranges of token ids")
    }
    return [types[0].withWidth(1)]
  }

  func headLoss(_ types: OperandTypes, gradient: Bool) throws(TypingError) -> [ValueType] {
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
