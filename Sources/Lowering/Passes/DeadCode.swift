import MoTIR

extension Pass {
  /// Removes what contributes to no output and has no effect.
  package static let deadCode = Pass(
    "dead-code", "removes what no output needs; a sync has an effect and stays"
  ) { graph, _ in
    let needed = graph.neededNodes(for: graph.outputs.map(\.value), keepingEffects: true)
    graph = try graph.rebuilt { id, operands, result in
      needed[id.index] ? try result.copy(graph[id], of: graph, operands: operands) : nil
    }
  }
}

extension Graph {
  /// Returns, for every node, whether one of `roots` depends on it, or a node that must stay does.
  func neededNodes(for roots: [ValueID], keepingEffects: Bool) -> [Bool] {
    var needed = [Bool](repeating: false, count: nodes.count)
    for root in roots { needed[values[root.index].definition.index] = true }
    for id in nodeIDs.reversed() {
      let node = self[id]
      if keepingEffects, node.op.traits.contains(.effect) { needed[id.index] = true }
      guard needed[id.index] else { continue }
      for operand in node.operands { needed[values[operand.index].definition.index] = true }
    }
    return needed
  }
}
