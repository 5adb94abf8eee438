package import MoTIR

extension Pass {
  /// All passes in the order in which they run; there is no other list of them.
  package static let all: [Pass] = [
    // First: from here on the graph has one plan, and everything below asks "is it the same plan?".
    .cacheRoutingPlan,
    // Before anything that compares or fuses: it takes away the gathers and scatters that stand
    // between nodes which belong together.
    .keepGrouped,
    // After residency, for it makes equal what differed by its gather only.
    .commonSubexpressions,
    // Before the fusions, which ask who else reads a value: a dead reader must not count.
    .deadCode,
    // Before the projections, which would join the head to other linear maps of the last norm.
    .fuseHeadLoss,
    // Before the clusters: one multi-weight linear map can have one prologue and one epilogue.
    .fuseProjections,
    // After common-subexpressions, which would undo it; before the clusters, which take the copies in.
    .recomputeCheapValues,
    // Clusters only from here on: annotations, no rewriting. Prologues come first, so that a norm
    // goes to the linear map that reads it and not to the one before.
    .fuseNormPrologue,
    // Then what stands behind the linear maps, up to the next prologue.
    .fuseEpilogues,
    // When the linear maps have what belongs to each, for it makes one kernel of several.
    .fuseMatmulChains,
    // What no linear map could take shares row kernels.
    .fuseRowChains,
  ]

  /// Returns the pass called `name`.
  ///
  /// - Throws: `Diagnostic`, with the nearest name, if there is none.
  package static func named(_ name: String) throws -> Pass {
    if let pass = all.first(where: { $0.name == name }) { return pass }
    throw unknownPass(name, among: all.map(\.name))
  }
}

/// Returns the error that no pass is called `name`, with the nearest of `known` or all of them.
func unknownPass(_ name: String, among known: [String]) -> Diagnostic {
  Diagnostic(
    "there is no pass called '\(name)'",
    suggestion: suggestion(for: name, among: known)
      ?? "the passes are \(known.joined(separator: ", "))")
}

/// The way of a graph through the passes.
package enum Pipeline {
  /// Returns what all passes but the disabled ones make of `graph`.
  ///
  /// - Parameter observe: called after each pass that ran, with its result.
  /// - Throws: `Diagnostic` if `disabled` names no pass.
  package static func optimize(
    _ graph: Graph, module: Module, disabling disabled: Set<String> = [],
    observe: ((Pass, Graph) -> Void)? = nil
  ) throws -> Graph {
    for name in disabled.sorted() { _ = try Pass.named(name) }
    return try run(
      Pass.all.filter { !disabled.contains($0.name) }, on: graph.withoutClusters(), module: module,
      observe: observe)
  }

  /// Returns what `passes` make of `graph`, in this order.
  ///
  /// - Parameter observe: called after each pass, with its result.
  package static func run(
    _ passes: [Pass], on graph: Graph, module: Module, observe: ((Pass, Graph) -> Void)? = nil
  ) throws -> Graph {
    var graph = graph
    for pass in passes {
      try pass.run(&graph, module)
      observe?(pass, graph)
    }
    return graph
  }
}

extension Graph {
  /// Returns this graph with every node alone: the fusions begin anew.
  func withoutClusters() -> Graph {
    var graph = self
    for id in nodeIDs where self[id].cluster != nil { graph.setCluster(nil, of: id) }
    return graph
  }
}
