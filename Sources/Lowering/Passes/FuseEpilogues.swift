import MoTIR

extension Pass {
  /// Puts what is done with the rows of a linear map into its kernel.
  package static let fuseEpilogues = Pass(
    "fuse-epilogues",
    "applies norms, rotations, activations and residuals to a linear map's rows while they are hot"
  ) { graph, _ in
    var growth = try ClusterGrowth(graph)
    let linears = graph.nodeIDs.filter { growth.isMatmul($0) }
    for id in linears { growth.takeReaders(of: id) }
    // Only when each has its own: what feeds one linear map may be the epilogue of another.
    for id in linears where growth.takeFeeders(of: id) { growth.takeReaders(of: id) }
    graph = growth.clustered()
  }
}
