import MoTIR

extension Pass {
  /// Puts what is done with the rows of a linear map into its kernel.
  package static let fuseEpilogues = Pass(
    "fuse-epilogues",
    "applies norms, rotations, activations and residuals to a linear map's rows while they are hot"
  ) { graph, _ in
    var growth = try ClusterGrowth(graph)
    let linears = graph.nodeIDs.filter { growth.isMatmul($0) }
    for id in linears { _ = growth.takeReaders(of: id) }
    // Only when each has its own: what feeds one linear map may be the epilogue of another. What one
    // takes may free the way for the next, so this goes on until nothing moves.
    var hasGrown = true
    while hasGrown {
      hasGrown = false
      for id in linears {
        let feeders = growth.takeFeeders(of: id)
        let readers = growth.takeReaders(of: id)
        // What no other kernel needs, and weight gradients want, from rows that are read here anyway.
        let siblings = growth.takeSiblings(of: id)
        hasGrown = hasGrown || feeders || readers || siblings
      }
    }
    graph = growth.clustered()
  }
}
