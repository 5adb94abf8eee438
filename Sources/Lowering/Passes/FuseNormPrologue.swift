import MoTIR

extension Pass {
  /// Puts the norm that a linear map reads, or the gather, into the linear map's kernel.
  package static let fuseNormPrologue = Pass(
    "fuse-norm-prologue", "computes norms and gathers where a linear map packs its rows"
  ) { graph, _ in
    var growth = try ClusterGrowth(graph)
    for id in graph.nodeIDs where growth.isMatmul(id) {
      for member in growth.prologue(of: id)
      where growth.readers(of: member).contains(where: { reader in
        growth.cluster(of: id).contains(reader)
      }) {
        _ = growth.join(member, id)
      }
    }
    graph = growth.clustered()
  }
}

extension ClusterGrowth {
  /// Returns the nodes from a norm or a gather to the linear map `id`, the nearest first.
  ///
  /// A norm or gather is taken whoever else reads it: its result is stored then. Other nodes on the
  /// way are taken if they feed nothing but the linear map. A way that starts at neither is no
  /// prologue: what is behind another linear map is better off in that one's epilogue.
  fileprivate func prologue(of id: NodeID) -> [NodeID] {
    var found: Set<NodeID> = [id]
    var open = Set(producers(of: id))
    while let next = open.max() {
      open.remove(next)
      guard isFree(next), !isMatmul(next), samePass(next, id) else { continue }
      let op = graph[next].op
      guard op.isPrologue || feedsOnly(found, next) else { continue }
      found.insert(next)
      // Above a norm only its gather belongs to it; above a gather are rows in another order.
      for producer in producers(of: next) where !op.isPrologue || graph[producer].op.takesRows {
        open.insert(producer)
      }
    }
    var leading: Set<NodeID> = []
    for candidate in found.sorted() where candidate != id {
      if graph[candidate].op.isPrologue
        || producers(of: candidate).contains(where: leading.contains)
      {
        leading.insert(candidate)
      }
    }
    return leading.sorted(by: >)
  }
}

extension Op {
  /// `true` iff a way that starts here is worth being computed while rows are packed.
  fileprivate var isPrologue: Bool {
    if case .norm = self { true } else { takesRows }
  }
}
