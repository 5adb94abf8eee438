import MoTIR

/// Clusters under construction: which nodes may still join, and which should.
///
/// What may share a kernel says `ClusterLegality`; here is what pays. Forward and backward never
/// share one, although they often could: a value that only the backward pass reads would be computed
/// in the forward pass and kept until then.
struct ClusterGrowth {
  /// The graph whose nodes are clustered.
  let graph: Graph
  /// For each value, the nodes that read it.
  let users: [[NodeID]]
  /// The clusters so far, and all nodes that are alone.
  private(set) var units: Condensation
  /// The judge of what is possible.
  private let legality: ClusterLegality
  /// For each node, whether an output that is no gradient depends on it.
  private let isForward: [Bool]

  /// Begins with the clusters that `graph` has.
  init(_ graph: Graph) throws {
    self.graph = graph
    users = graph.users()
    units = try Condensation(graph)
    legality = ClusterLegality(graph)
    let results = graph.outputs.filter { $0.gradientParameter == nil }.map(\.value)
    isForward = graph.neededNodes(for: results, keepingEffects: false)
  }

  /// `true` iff `id` can be a member of a cluster.
  func admits(_ id: NodeID) -> Bool { legality.admits(graph[id]) }

  /// `true` iff `id` can be a member of a cluster, and is in none.
  func isFree(_ id: NodeID) -> Bool {
    admits(id) && units.members(of: units.unit(of: id)).count == 1
      && graph[id].cluster == nil
  }

  /// `true` iff `id` is the matrix multiplication of a cluster.
  func isMatmul(_ id: NodeID) -> Bool {
    graph[id].op.traits.contains(.matmul) && admits(id)
  }

  /// The cluster that `id` is in, with `id` itself.
  func cluster(of id: NodeID) -> [NodeID] { units.members(of: units.unit(of: id)) }

  /// `true` iff a matrix multiplication is in the cluster of `id`.
  func hasMatmul(_ id: NodeID) -> Bool { cluster(of: id).contains { isMatmul($0) } }

  /// `true` iff both nodes belong to the forward pass, or both to the backward pass.
  func samePass(_ a: NodeID, _ b: NodeID) -> Bool { isForward[a.index] == isForward[b.index] }

  /// The nodes that define the rows which `id` reads, each once.
  func producers(of id: NodeID) -> [NodeID] {
    let operands = graph[id].operands.filter { graph.type(of: $0).isRows }
    return Set(operands.map { graph.values[$0.index].definition }).sorted()
  }

  /// The nodes that read what `id` defines, each once.
  func readers(of id: NodeID) -> [NodeID] {
    Set(graph[id].results.flatMap { users[$0.index] }).sorted()
  }

  /// `true` iff every reader of `id` that a cluster of its pass could take is in `members`, or leads to
  /// no other cluster, and comes along.
  func feedsOnly(_ members: Set<NodeID>, _ id: NodeID) -> Bool {
    readers(of: id).allSatisfy {
      members.contains($0) || !admits($0) || !samePass(id, $0) || leadsOut($0, within: 3)
    }
  }

  /// `true` iff `id` is free and leads to nothing but sums over rows and weight gradients, in at most
  /// `steps` steps: no other cluster has a use for it.
  private func leadsOut(_ id: NodeID, within steps: Int) -> Bool {
    guard isFree(id), !isMatmul(id) else { return false }
    if graph[id].op.sumsRows { return true }
    guard steps > 0, !graph[id].results.contains(where: graph.isOutput) else { return false }
    let readers = readers(of: id)
    return !readers.isEmpty
      && readers.allSatisfy {
        graph[$0].op.isWeightGradient || leadsOut($0, within: steps - 1)
      }
  }

  /// Puts `id` into the cluster of `other` and returns `true`, or returns `false` if it cannot be or if
  /// both have a matrix multiplication.
  mutating func join(_ id: NodeID, _ other: NodeID) -> Bool {
    guard !hasMatmul(id) || !hasMatmul(other) else { return false }
    return chain(id, to: other)
  }

  /// Makes one cluster of that of `id` and that of `producer`, whose rows it reads, and returns `true`, or
  /// returns `false` if it cannot be.
  mutating func chain(_ id: NodeID, to producer: NodeID) -> Bool {
    let members = cluster(of: producer) + cluster(of: id)
    guard samePass(id, producer), legality.objection(to: members) == nil else { return false }
    return units.merge([units.unit(of: producer), units.unit(of: id)]) != nil
  }

  /// Puts the free nodes behind the cluster of `id` into it, and those behind them.
  ///
  /// - Returns: whether there were any.
  mutating func takeReaders(of id: NodeID) -> Bool {
    var open = cluster(of: id)[...]
    let before = open.count
    while let member = open.popFirst() {
      for reader in readers(of: member)
      where isFree(reader) && !isMatmul(reader) && join(reader, id) {
        open.append(reader)
      }
    }
    return cluster(of: id).count > before
  }

  /// Puts the free nodes before the cluster of `id` into it that feed nothing else.
  ///
  /// - Returns: whether there were any.
  mutating func takeFeeders(of id: NodeID) -> Bool {
    var open = cluster(of: id)
    let before = open.count
    while let member = open.popLast() {
      for producer in producers(of: member) where isFree(producer) && !isMatmul(producer) {
        guard feedsOnly(Set(cluster(of: id)), producer), join(producer, id) else { continue }
        open.append(producer)
      }
    }
    return cluster(of: id).count > before
  }

  /// Puts the free nodes into the cluster of `id` that read rows which it reads from memory, and that
  /// lead to no other cluster: the rows need not come from memory twice.
  ///
  /// - Returns: whether there were any.
  mutating func takeSiblings(of id: NodeID) -> Bool {
    let members = cluster(of: id)
    let rows = members.flatMap { graph[$0].operands }.filter {
      graph.type(of: $0).isRows && graph.type(of: $0).element == .f32
        && !members.contains(graph.values[$0.index].definition)
    }
    for reader in Set(rows.flatMap { users[$0.index] }).sorted() where leadsOut(reader, within: 3) {
      _ = join(reader, id)
    }
    return cluster(of: id).count > members.count
  }

  /// Returns the graph with its clusters, numbered by their first nodes.
  func clustered() -> Graph {
    var graph = graph
    var numbers: [Int: Int] = [:]
    for id in graph.nodeIDs {
      let unit = units.unit(of: id)
      guard units.members(of: unit).count > 1 else {
        graph.setCluster(nil, of: id)
        continue
      }
      let number = numbers[unit] ?? numbers.count
      numbers[unit] = number
      graph.setCluster(number, of: id)
    }
    return graph
  }
}

extension Op {
  /// `true` iff it is the gradient of a linear map's weights.
  fileprivate var isWeightGradient: Bool {
    if case .linearWeightGradient = self { true } else { false }
  }
}
