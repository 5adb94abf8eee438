/// The operand types of a node, with the checks that typing rules share.
struct OperandTypes {
  let op: Op
  let types: [ValueType]

  init(_ op: Op, _ types: [ValueType]) {
    self.op = op
    self.types = types
  }

  subscript(index: Int) -> ValueType { types[index] }

  /// Returns an error of this op.
  func error(_ message: String) -> TypingError { TypingError("\(op.mnemonic): \(message)") }

  /// Checks that there are `expected` operands.
  func count(_ expected: Int) throws(TypingError) {
    guard types.count == expected else {
      throw error("wants \(expected) operands, and got \(types.count)")
    }
  }

  /// Returns the type of the only operand, which has rows of f32.
  func single() throws(TypingError) -> ValueType {
    try count(1)
    _ = try floatRows(0, nil)
    return types[0]
  }

  /// Checks that operand `index` is of element type f32.
  func float(_ index: Int) throws(TypingError) {
    guard types[index].element == .f32 else { throw error("wants f32, and got \(types[index])") }
  }

  /// Returns the width of operand `index`, which has rows of f32, in the order of the plan if `groups` is given.
  func floatRows(_ index: Int, _ groups: Groups?) throws(TypingError) -> Int {
    guard index < types.count, case .rows(.f32, let order, let count, let width) = types[index]
    else {
      throw error("operand \(index + 1) is not rows of f32")
    }
    guard groups != nil, case .plan(let plan) = types[types.count - 1] else { return width }
    guard order == plan.order else {
      throw error(
        "wants rows [\(plan.order.rawValue)=\(count), \(width)], and got \(types[index])")
    }
    if plan.rows != count {
      throw error("the plan has \(plan.rows) rows, but \(types[index]) has \(count) rows")
    }
    return width
  }

  /// Checks that operand `index` is one i32 a row, with the rows of operand `reference`.
  func integerRows(_ index: Int, like reference: Int? = nil) throws(TypingError) {
    guard index < types.count, case .rows(.i32, _, _, 1) = types[index] else {
      throw error("operand \(index + 1) is not one i32 a row")
    }
    if let reference { try sameRows(reference, index) }
  }

  /// Checks that two operands have the same rows in the same order.
  func sameRows(_ a: Int, _ b: Int) throws(TypingError) {
    guard case .rows(_, let order, let count, _) = types[a],
      case .rows(_, order, count, _) = types[b]
    else { throw error("\(types[a]) and \(types[b]) do not have the same rows") }
  }

  /// Checks that two operands are of the same type.
  func same(_ a: Int, _ b: Int) throws(TypingError) {
    guard types[a] == types[b] else { throw error("\(types[a]) and \(types[b]) differ") }
  }

  /// Returns the layout of operand `index`, which is a plan.
  func plan(_ index: Int) throws(TypingError) -> PlanLayout {
    guard types.indices.contains(index), case .plan(let plan) = types[index] else {
      throw error("operand \(index + 1) is not a plan")
    }
    return plan
  }

  /// Returns the layout of operand `index`, which is a plan of modalities.
  func modalityPlan(_ index: Int) throws(TypingError) -> PlanLayout {
    let plan = try plan(index)
    guard plan.experts == nil else {
      throw error("operand \(index + 1) is a plan of experts, and not of modalities")
    }
    return plan
  }

  /// Returns the number of operands before the plan, which is the last one iff `groups` is given.
  func routed(_ groups: Groups?) throws(TypingError) -> Int {
    guard let groups else { return types.count }
    let segments = try plan(types.count - 1).segments
    guard groups.ofSegment.count == segments, groups.isSound else {
      throw error("the group map \(groups.text) does not fit a plan of \(segments) segments")
    }
    return types.count - 1
  }

  /// Returns the shape of one group's weight in operand `index`.
  func weight(_ index: Int, rank: Int, _ groups: Groups?) throws(TypingError) -> [Int] {
    guard index < types.count, case .tensor(.f32, let shape) = types[index],
      shape.count == rank + (groups == nil ? 0 : 1),
      groups.map({ shape[0] == $0.count }) ?? true
    else {
      let wanted = groups.map { "\($0.count) groups" } ?? "no groups"
      let found = index < types.count ? types[index].description : "missing"
      throw error("operand \(index + 1) is \(found), and no weight of rank \(rank) with \(wanted)")
    }
    return Array(shape.suffix(rank))
  }
}
