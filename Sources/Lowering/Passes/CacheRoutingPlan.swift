import MoTIR

extension Pass {
  /// Makes the routing plan an input, computed where the batch is made, and drops every sync on it.
  package static let cacheRoutingPlan = Pass(
    "cache-routing-plan",
    "computes one routing plan on the data path; no op has the host wait for sizes any more"
  ) { graph, module in
    let cached = graph.cachedPlans(segments: module.modalities.count)
    guard let first = cached.firstIndex(of: true) else { return }
    let type = graph.values[first].type
    let users = graph.users()
    var copy = GraphCopy(of: graph)
    let plan = try copy.withGraph { try $0.add(.input(planInput), [], type: type) }
    for id in graph.nodeIDs {
      let node = graph[id]
      if let result = node.results.first, cached[result.index] {
        copy[result] = plan
      } else if !graph.isModality(node) || graph.isNeeded(node.results[0], users, but: cached) {
        try copy.copy(id)
      }
    }
    graph = copy.finished()
  }

  /// The name of the input that holds the plan of a batch.
  package static let planInput = "plan"
}

extension Graph {
  /// `true` iff `node` is the input that holds the modality of each token.
  fileprivate func isModality(_ node: Node) -> Bool {
    node.op == .input("modality") && node.operands.isEmpty
  }

  /// Returns, for every value, whether it is the plan over all modalities of the input `modality`.
  ///
  /// A plan made from anything else is not known before the step starts, and keeps its syncs.
  fileprivate func cachedPlans(segments: Int) -> [Bool] {
    var cached = [Bool](repeating: false, count: values.count)
    for node in nodes {
      guard let result = node.results.first?.index else { continue }
      if node.op == .route(segments: segments) {
        cached[result] = isModality(definition(of: node.operands[0]))
      } else if case .sync = node.op {
        cached[result] = cached[node.operands[0].index]
      } else if node.op == .input(Pass.planInput), case .plan(let plan) = values[result].type,
        plan.experts == nil, plan.segments == segments
      {
        cached[result] = true
      }
    }
    return cached
  }

  /// `true` iff `value` is an output, or is read by a node whose result is not `cached`.
  fileprivate func isNeeded(_ value: ValueID, _ users: [[NodeID]], but cached: [Bool]) -> Bool {
    isOutput(value)
      || users[value.index].contains { !cached[self[$0].results[0].index] }
      || users[value.index].isEmpty
  }
}
