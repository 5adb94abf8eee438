import MoTIR

extension Pass {
  /// Joins head and cross-entropy, so that the logits of all tokens never exist at once.
  package static let fuseHeadLoss = Pass(
    "fuse-head-loss", "joins the head and the cross-entropy: the logits are never stored"
  ) { graph, _ in
    let users = graph.users()
    var units = try Condensation(graph)
    var emissions: [Int: Graph.Emission] = [:]
    for id in graph.nodeIDs {
      guard let head = HeadAndLoss(id, in: graph, users) else { continue }
      // One kernel gives losses and gradients: impossible where the gradient waits for the losses.
      guard let unit = units.merge(head.nodes.map { units.unit(of: $0) }) else { continue }
      emissions[unit] = head.emission(from: graph)
    }
    guard !emissions.isEmpty else { return }
    graph = try graph.contracted(units, emissions)
  }
}

/// A tied head whose logits only go into the cross-entropy and its gradient.
private struct HeadAndLoss {
  /// The rows that go into the head.
  private let x: ValueID
  /// The head's weight.
  private let weight: ValueID
  /// The linear map.
  private let head: NodeID
  /// The cross-entropies of the logits.
  private var losses: [NodeID] = []
  /// The gradient of the cross-entropy.
  private var gradient: NodeID?
  /// What the gradient of the logits goes into: the gradients of the head's input and weight.
  private var inputGradient: NodeID?
  private var weightGradient: NodeID?

  /// Recognises the head `id`, or returns `nil` if it is none or something else reads its logits.
  init?(_ id: NodeID, in graph: Graph, _ users: [[NodeID]]) {
    let node = graph[id]
    guard node.op == .linear(nil), node.operands.count == 2, node.cluster == nil else { return nil }
    (head, x, weight) = (id, node.operands[0], node.operands[1])
    let logits = node.results[0]
    guard !users[logits.index].isEmpty, !graph.isOutput(logits) else { return nil }
    for user in users[logits.index] {
      guard graph[user].cluster == nil, take(user, of: logits, in: graph) else { return nil }
    }
    guard let gradient else { return }
    let dlogits = graph[gradient].results[0]
    guard !graph.isOutput(dlogits) else { return nil }
    for user in users[dlogits.index] {
      guard graph[user].cluster == nil, take(user, ofGradient: dlogits, in: graph) else {
        return nil
      }
    }
    // The losses must have the gradient's targets, or one pass over the logits does not give both.
    let targets = graph[gradient].operands[1]
    guard losses.allSatisfy({ graph[$0].operands[1] == targets }) else { return nil }
  }

  /// Takes a reader of the logits in; returns `false` if it is of another kind.
  private mutating func take(_ user: NodeID, of logits: ValueID, in graph: Graph) -> Bool {
    let node = graph[user]
    switch node.op {
    case .crossEntropy: losses.append(user)
    case .crossEntropyGradient where gradient == nil && !node.operands.dropFirst().contains(logits):
      gradient = user
    default: return false
    }
    return node.operands[0] == logits
  }

  /// Takes a reader of the logits' gradient in; returns `false` if it is of another kind.
  private mutating func take(_ user: NodeID, ofGradient dlogits: ValueID, in graph: Graph) -> Bool {
    let node = graph[user]
    switch node.op {
    case .linearInputGradient(nil)
    where inputGradient == nil && node.operands == [dlogits, weight]:
      inputGradient = user
    case .linearWeightGradient(nil) where weightGradient == nil && node.operands == [x, dlogits]:
      weightGradient = user
    default: return false
    }
    return true
  }

  /// The nodes that become one.
  var nodes: [NodeID] {
    [head] + losses + [gradient, inputGradient, weightGradient].compactMap { $0 }
  }

  /// Returns what takes the nodes' place.
  func emission(from graph: Graph) -> Graph.Emission {
    { copy in
      let location = graph[head].location
      guard let gradient else {
        for loss in losses {
          let operands = [x, weight, graph[loss].operands[1]]
          copy[graph[loss].results[0]] = try copy.append(.headLoss, operands, at: location)[0]
        }
        return
      }
      let operands = [x, weight] + graph[gradient].operands.dropFirst()
      let results = try copy.append(.headLossGradient, operands, at: location)
      for loss in losses { copy[graph[loss].results[0]] = results[0] }
      if let inputGradient { copy[graph[inputGradient].results[0]] = results[1] }
      if let weightGradient { copy[graph[weightGradient].results[0]] = results[2] }
    }
  }
}
