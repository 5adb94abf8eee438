import MoTIR

extension Pass {
  /// Joins the row-wise nodes that stand behind no linear map with their neighbours.
  package static let fuseRowChains = Pass(
    "fuse-row-chains", "joins neighbouring row-wise nodes that no linear map took"
  ) { graph, _ in
    var growth = try ClusterGrowth(graph)
    for id in graph.nodeIDs where growth.isFree(id) && !growth.isMatmul(id) {
      // The nearest producer first: further ones then join the same chain, or stay apart.
      for producer in growth.producers(of: id).reversed() where !growth.hasMatmul(producer) {
        _ = growth.join(id, producer)
      }
    }
    // Neighbours also are those that read the same rows: they need not come from memory twice.
    for id in graph.nodeIDs where growth.isRowKernel(id) {
      for sibling in growth.siblings(of: id) where growth.isRowKernel(sibling) {
        _ = growth.join(sibling, id)
      }
    }
    graph = growth.clustered()
  }
}

extension ClusterGrowth {
  /// `true` iff `id` is row-wise and shares its kernel with row-wise nodes only, if at all.
  fileprivate func isRowKernel(_ id: NodeID) -> Bool { admits(id) && !hasMatmul(id) }

  /// The later nodes that read floating-point rows which `id` reads too, each once.
  fileprivate func siblings(of id: NodeID) -> [NodeID] {
    let rows = graph[id].operands.filter {
      graph.type(of: $0).isRows && graph.type(of: $0).element == .f32
    }
    return Set(rows.flatMap { users[$0.index] }).filter { $0 > id }.sorted()
  }
}
