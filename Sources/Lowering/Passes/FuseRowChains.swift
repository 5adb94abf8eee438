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
    graph = growth.clustered()
  }
}
