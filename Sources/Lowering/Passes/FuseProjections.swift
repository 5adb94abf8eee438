import MoTIR

extension Pass {
  /// Joins linear maps of the same rows, the sums of their input gradients, and their weight gradients.
  package static let fuseProjections = Pass(
    "fuse-projections",
    "joins linear maps that read the same rows (Q, K, V; gate, up), and their gradients"
  ) { graph, _ in
    // y1 = x w1ᵀ, y2 = x w2ᵀ: x is read once. Then backward dx = dy1 w1 + dy2 w2 without a sum of
    // its own, and dw1 = dy1ᵀ x, dw2 = dy2ᵀ x with x read once.
    try graph.joinReaders { if case .linear = $0 { true } else { false } }
    try graph.joinInputGradients()
    try graph.joinReaders { if case .linearWeightGradient = $0 { true } else { false } }
  }
}

/// What the rows of linear maps that can be one have in common.
private struct Reading: Hashable {
  /// The op with its groups.
  let op: Op
  /// The rows that are read; `nil` for input gradients, which read several.
  let x: ValueID?
  /// The plan.
  let plan: ValueID?
}

extension Graph {
  // MARK: Linear maps and weight gradients: (x, a1…an, plan?) → b1…bn

  /// Joins the nodes of the kind `isJoined` that read the same x, by the same plan and groups.
  fileprivate mutating func joinReaders(where isJoined: (Op) -> Bool) throws {
    var units = try Condensation(self)
    var firstOf: [Reading: NodeID] = [:]
    var joined: [NodeID: [NodeID]] = [:]
    for id in nodeIDs where isJoined(self[id].op) && self[id].cluster == nil {
      let node = self[id]
      let reading = Reading(op: node.op, x: node.operands[0], plan: plan(of: node))
      guard let first = firstOf[reading] else {
        firstOf[reading] = id
        continue
      }
      guard units.merge([units.unit(of: first), units.unit(of: id)]) != nil else { continue }
      joined[first, default: [first]].append(id)
    }
    guard !joined.isEmpty else { return }
    var emissions: [Int: Emission] = [:]
    for (first, members) in joined { emissions[units.unit(of: first)] = joining(members) }
    self = try contracted(units, emissions)
  }

  /// Returns what emits `members` as one node: the same x and plan, all other operands in a row.
  private func joining(_ members: [NodeID]) -> Emission {
    { [self] copy in
      let first = self[members[0]]
      var operands = [first.operands[0]]
      for id in members { operands += operandsWithoutPlan(of: self[id]).dropFirst() }
      if let plan = plan(of: first) { operands.append(plan) }
      let results = try copy.append(first.op, operands, at: first.location)
      for (old, new) in zip(members.flatMap { self[$0].results }, results) { copy[old] = new }
    }
  }

  // MARK: Input gradients: dx = Σ dyi wi

  /// Joins the input gradients that only meet in a sum.
  fileprivate mutating func joinInputGradients() throws {
    let users = users()
    var units = try Condensation(self)
    var emissions: [Int: Emission] = [:]
    for id in nodeIDs where isAddition(self[id]) && !isInner(id, users) {
      let sum = GradientSum(id, in: self, users)
      let gradients = sum.joined.flatMap { $0 }
      guard !gradients.isEmpty else { continue }
      let members = (gradients + sum.additions).map { units.unit(of: $0) }
      guard let unit = units.merge(members) else { continue }
      emissions[unit] = sum.emission(from: self)
    }
    guard !emissions.isEmpty else { return }
    self = try contracted(units, emissions)
  }

  /// `true` iff `node` adds two values of the same type.
  fileprivate func isAddition(_ node: Node) -> Bool {
    node.op == .binary(.add) && node.cluster == nil
      && type(of: node.operands[0]) == type(of: node.operands[1])
  }

  /// `true` iff the result of `id` goes into one place, and that is an addition.
  fileprivate func isInner(_ id: NodeID, _ users: [[NodeID]]) -> Bool {
    let result = self[id].results[0]
    guard let user = users[result.index].first, users[result.index].count == 1 else { return false }
    let node = self[user]
    return isAddition(node) && node.operands[0] != node.operands[1] && !isOutput(result)
  }
}

/// A tree of additions, some of whose leaves are input gradients of linear maps.
private struct GradientSum {
  /// The additions, inner ones and the root.
  private(set) var additions: [NodeID] = []
  /// What is added, from left to right.
  private var leaves: [ValueID] = []
  /// The leaves that are input gradients, those that can be one together.
  private(set) var joined: [[NodeID]] = []
  /// The value of the whole sum.
  private let root: ValueID

  /// Takes apart the sum whose last addition is `id`.
  init(_ id: NodeID, in graph: Graph, _ users: [[NodeID]]) {
    root = graph[id].results[0]
    additions = [id]
    var open = Array(graph[id].operands.reversed())
    while let value = open.popLast() {
      let node = graph.values[value.index].definition
      if graph.isAddition(graph[node]), graph.isInner(node, users) {
        additions.append(node)
        open += graph[node].operands.reversed()
      } else {
        leaves.append(value)
      }
    }
    var kinds: [Reading: Int] = [:]
    for leaf in leaves {
      let id = graph.values[leaf.index].definition
      let node = graph[id]
      guard case .linearInputGradient = node.op, node.cluster == nil, graph.isInner(id, users)
      else { continue }
      let kind = Reading(op: node.op, x: nil, plan: graph.plan(of: node))
      if let known = kinds[kind] {
        joined[known].append(id)
      } else {
        kinds[kind] = joined.count
        joined.append([id])
      }
    }
    joined.removeAll { $0.count < 2 }
  }

  /// Returns what emits the sum with each kind of input gradients as one node.
  func emission(from graph: Graph) -> Graph.Emission {
    { copy in
      var summands: [ValueID] = []
      let absorbed = Set(joined.flatMap { $0 })
      for leaf in leaves where !absorbed.contains(graph.values[leaf.index].definition) {
        summands.append(copy[leaf])
      }
      for gradients in joined {
        let first = graph[gradients[0]]
        var operands = gradients.flatMap { graph.operandsWithoutPlan(of: graph[$0]) }
        if let plan = graph.plan(of: first) { operands.append(plan) }
        summands += try copy.append(first.op, operands, at: first.location)
      }
      let location = graph.definition(of: root).location
      copy[root] = try copy.withGraph { result in
        try summands.dropFirst().reduce(summands[0]) { sum, next in
          try result.add(.binary(.add), [sum, next], at: location)
        }
      }
    }
  }
}
