// Typing rules of routing to experts.
// T tokens, R rows of the plan of experts, E experts of a group, D row width.

extension Op {
  /// (scores [T, E] in grouped order, plan of modalities) → plan of experts
  func routeExperts(
    _ types: OperandTypes, _ routing: ExpertRouting, _ groups: Groups
  ) throws(TypingError) -> [ValueType] {
    guard try types.routed(groups) == 1 else { throw types.error("wants scores and a plan") }
    let plan = try types.modalityPlan(1)
    let experts = routing.experts
    guard (1...IRLimits.segments).contains(experts),
      groups.count * experts <= IRLimits.segments, (1...IRLimits.tokens).contains(plan.tokens)
    else {
      throw types.error(
        "\(groups.count) groups of \(experts) experts, and 1 to \(IRLimits.segments) in all are allowed"
      )
    }
    guard try types.floatRows(0, groups) == experts else {
      throw types.error("\(types[0]) has no score for each of \(experts) experts")
    }
    switch routing.rule {
    case .top(let count):
      guard (1...experts).contains(count) else {
        throw types.error("each token takes \(count) of \(experts) experts")
      }
    case .capacity(let capacity):
      guard capacity >= 0, capacity.isFinite else {
        throw types.error("a capacity of \(capacity)")
      }
    }
    return [.plan(routing.layout(tokens: plan.tokens, groups: groups.count))]
  }

  /// (rows [T, D], plan) → [R, D], or back.
  func dispatch(_ types: OperandTypes, back: Bool) throws(TypingError) -> [ValueType] {
    let plan = try types.experts()
    guard case .rows(.f32, let order, let count, let width) = types[0],
      order == (back ? .dispatched : .grouped), count == (back ? plan.rows : plan.tokens)
    else {
      let wanted = back ? "E=\(plan.rows)" : "R=\(plan.tokens)"
      throw types.error("wants f32[\(wanted), …], and got \(types[0])")
    }
    let rows = back ? plan.tokens : plan.rows
    return [.rows(.f32, back ? .grouped : .dispatched, count: rows, width: width)]
  }

  /// (probabilities [T, E], plan) → [R, 1], or back.
  func gates(_ types: OperandTypes, gradient: Bool) throws(TypingError) -> [ValueType] {
    let plan = try types.experts()
    let gates = ValueType.rows(.f32, .dispatched, count: plan.rows, width: 1)
    let wanted = gradient ? gates : plan.probabilities
    guard types[0] == wanted else { throw types.error("wants \(wanted), and got \(types[0])") }
    return [gradient ? plan.probabilities : gates]
  }

  /// (plan, count?) → [T, E], [T, 1]
  func balance(_ types: OperandTypes, hasCount: Bool) throws(TypingError) -> [ValueType] {
    try types.count(hasCount ? 2 : 1)
    guard case .plan(let plan) = types[0], plan.experts != nil else {
      throw types.error("operand 1 is no plan of experts")
    }
    if hasCount, types[1] != .tensor(.i32, []) {
      throw types.error("wants a count i32[], and got \(types[1])")
    }
    return [plan.probabilities, plan.probabilities.withWidth(1)]
  }
}

extension PlanLayout {
  /// The type of a number for each token and expert.
  fileprivate var probabilities: ValueType {
    .rows(.f32, .grouped, count: tokens, width: experts ?? 0)
  }
}

extension OperandTypes {
  /// Returns the plan of experts, which is the second of two operands.
  fileprivate func experts() throws(TypingError) -> PlanLayout {
    try count(2)
    let plan = try plan(1)
    guard plan.experts != nil else { throw error("operand 2 is no plan of experts") }
    return plan
  }
}
