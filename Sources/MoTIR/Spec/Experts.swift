/// Several feed-forward networks, of which a learned router gives each token to some.
///
/// Where the feed-forward is untied, every group of modalities has experts and a router of its own. Parameters:
/// `router`, and `expert.N.gate` (of gated activations), `expert.N.up`, `expert.N.down` of each expert.
public struct Experts: Layer {
  /// How tokens find their experts.
  public enum Routing: Hashable, Sendable {
    /// Each expert takes its best tokens: `capacity` experts a token on the average.
    ///
    /// The choice looks at all tokens of the batch, those that follow too. Where tokens are generated one by one,
    /// each takes its best experts, as many as the capacity rounded.
    case expertChoice(capacity: Double = 1)
    /// Each token takes its best experts, so many, and none is dropped.
    ///
    /// `balance` weighs the loss that keeps experts equally busy, `zLoss` the one that keeps the router's scores
    /// small; `normalized` divides what the experts of a token count by its sum.
    case topK(Int, balance: Double = 0.01, zLoss: Double = 0.001, normalized: Bool = true)
  }

  /// The layer's part in names of parameters.
  public var name: String { "feed_forward" }

  private let count: Int
  private let network: FeedForward
  private let routing: Routing

  /// Creates `count` networks with `hidden` inner channels each.
  public init(
    _ count: Int, hidden: Int, activation: FeedForward.Activation = .swiGLU,
    routing: Routing = .expertChoice()
  ) {
    self.count = count
    self.network = FeedForward(hidden: hidden, activation: activation)
    self.routing = routing
  }

  /// Appends Σ p_e expert_e(x) over the experts e of each token, with p = softmax(router x).
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    try check(in: context)
    let plan = try context.modalityPlan()
    let rows = try context.addRows(.gather, [x.value, plan])
    let (probabilities, experts) = try route(rows, by: plan, in: &context)
    let chosen = try context.addRows(.dispatch, [rows.value, experts])
    let outputs = try network.apply(chosen, in: &context) {
      x, width, name, scale, context throws(Diagnostic) in
      try context.expertLinear(
        x, to: width, name: "expert.\(name).weight", initialization: .normal(0.02 * scale),
        experts: count, by: experts)
    }
    let gates = try gates(probabilities, by: experts, in: &context)
    let weighted = try context.product(outputs, gates)
    let sum = try context.add(.combine, [weighted.value, experts])
    return try context.addRows(.scatter, [sum, plan])
  }

  /// Returns p of `rows`, which are grouped by `plan`, and the plan of who takes which of them.
  private func route(
    _ rows: Rows, by plan: ValueID, in context: inout LayerContext
  ) throws(Diagnostic) -> (probabilities: Rows, experts: ValueID) {
    let router = try context.expertParameter("router.weight", shape: [count, rows.width])
    let scores = try context.linear(rows, router, by: plan)
    let total = try context.addRows(.logSumExponentials, [scores.value])
    let shifted = try context.apply(.subtract, scores, total)
    let probabilities = try context.apply(.exponential, shifted)
    let groups = router.groups ?? Groups(context.model.modalities.map { _ in 0 })
    let experts = try context.add(
      .routeExperts(rule(in: context), groups), [probabilities.value, plan])
    if context.collectsLosses {
      try addLosses(probabilities, total, by: experts, to: &context)
    }
    return (probabilities, experts)
  }

  /// Returns what each expert's output is multiplied by.
  private func gates(
    _ probabilities: Rows, by experts: ValueID, in context: inout LayerContext
  ) throws(Diagnostic) -> Rows {
    let gates = try context.addRows(.gates, [probabilities.value, experts])
    guard case .topK(_, _, _, true) = routing else { return gates }
    let sums = try context.add(.combine, [gates.value, experts])
    return try context.apply(.divide, gates, try context.addRows(.dispatch, [sums, experts]))
  }

  /// Adds the losses that balance the router: E Σ_e f_e P_e, with f_e expert e's share of the rows and P_e its mean
  /// probability, and the mean of (log Σ exp scores)², both by group.
  private func addLosses(
    _ probabilities: Rows, _ total: Rows, by experts: ValueID, to context: inout LayerContext
  ) throws(Diagnostic) {
    guard case .topK(_, let balance, let zLoss, _) = routing, balance > 0 || zLoss > 0 else {
      return
    }
    let weights = try context.addAll(.balance(hasCount: false), [experts])
    let share = try context.add(.binary(.multiply), [probabilities.value, weights[0]])
    let square = try context.product(total, total)
    let mean = try context.add(.binary(.multiply), [square.value, weights[1]])
    try context.addLoss("balance", of: share, weight: balance)
    try context.addLoss("z", of: mean, weight: zLoss)
  }

  /// Returns the rule: where tokens come one by one, none that looks at others.
  private func rule(in context: LayerContext) -> ExpertRouting {
    let rule: ExpertRouting.Rule =
      switch routing {
      case .topK(let best, _, _, _): .top(best)
      case .expertChoice(let capacity) where context.slots != nil:
        .top(max(1, Int(min(capacity, Double(count)).rounded())))
      case .expertChoice(let capacity): .capacity(capacity)
      }
    return ExpertRouting(experts: count, rule: rule)
  }

  private func check(in context: LayerContext) throws(Diagnostic) {
    let groups = try context.groups(of: .feedForward)
    let most = IRLimits.segments / (groups?.count ?? 1)
    guard count >= 2, count <= most else {
      throw .badExperts(count, atMost: most, at: context.location)
    }
    switch routing {
    case .expertChoice(let capacity):
      guard capacity >= 0, capacity.isFinite else {
        throw .badCapacity(capacity, at: context.location)
      }
    case .topK(let best, let balance, let zLoss, _):
      guard (1...count).contains(best) else {
        throw .badTopK(best, experts: count, at: context.location)
      }
      for (weight, name) in [(balance, "balance"), (zLoss, "zLoss")]
      where !(weight >= 0 && weight.isFinite) {
        throw .badRouterWeight(weight, name, at: context.location)
      }
    }
  }
}
