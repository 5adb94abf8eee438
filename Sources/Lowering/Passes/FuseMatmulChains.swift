import MoTIR

extension Pass {
  /// Puts a linear map into the kernel that computes the rows which it reads.
  package static let fuseMatmulChains = Pass(
    "fuse-matmul-chains", "takes rows from one linear map to the next while they are in cache"
  ) { graph, _ in
    var growth = try ClusterGrowth(graph)
    for id in graph.nodeIDs where growth.isMatmul(id) {
      for member in growth.cluster(of: id) {
        for producer in growth.producers(of: member)
        where growth.hasMatmul(producer) && !growth.cluster(of: id).contains(producer) {
          _ = growth.chain(id, to: producer)
        }
      }
    }
    graph = growth.clustered()
  }
}
