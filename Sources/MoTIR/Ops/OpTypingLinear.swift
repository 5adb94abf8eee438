// Typing rules of linear maps, channels and norms.
// T tokens, K segments, G groups, D row width, N output width, V vocabulary.

extension Op {
  // MARK: Linear maps

  func linear(_ types: OperandTypes, _ groups: Groups?) throws(TypingError) -> [ValueType] {
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

  func linearInputGradient(
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

  func linearWeightGradient(
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

  func norm(
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

  func channel(_ types: OperandTypes, _ groups: Groups?) throws(TypingError) -> [ValueType] {
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

  func columnSum(
    _ types: OperandTypes, _ groups: Groups?, _ parts: Int
  ) throws(TypingError) -> [ValueType] {
    guard try types.routed(groups) == 1 else { throw types.error("wants rows") }
    let width = try types.floatRows(0, groups)
    guard parts >= 1, width.isMultiple(of: parts) else {
      throw types.error("\(parts) parts do not divide rows of width \(width)")
    }
    return [.tensor(.f32, (groups.map { [$0.count] } ?? []) + [width / parts])]
  }
}
