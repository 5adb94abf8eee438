internal import MoTIR

/// The nodes that one kernel executes: a fusion cluster, or a node alone.
struct Unit {
  var nodes: [NodeID]
}

/// Returns the units of `graph` in an order in which every value is computed before it is read.
///
/// The order is that of the units' first nodes wherever dependences leave a choice.
/// - Parameter splitting: clusters with such a node are taken apart.
func orderedUnits(of graph: Graph, splitting: (Op) -> Bool) -> [Unit] {
  var broken: Set<Int> = []
  for node in graph.nodes {
    if let cluster = node.cluster, splitting(node.op) { broken.insert(cluster) }
  }
  var units: [Unit] = []
  var unitOfNode = [Int](repeating: 0, count: graph.nodes.count)
  var unitOfCluster: [Int: Int] = [:]
  for id in graph.nodeIDs {
    if let cluster = graph[id].cluster, !broken.contains(cluster) {
      let unit = unitOfCluster[cluster] ?? units.count
      if unit == units.count { units.append(Unit(nodes: [])) }
      unitOfCluster[cluster] = unit
      units[unit].nodes.append(id)
      unitOfNode[id.index] = unit
    } else {
      unitOfNode[id.index] = units.count
      units.append(Unit(nodes: [id]))
    }
  }
  return sorted(units, of: graph, unitOfNode: unitOfNode)
}

private func sorted(_ units: [Unit], of graph: Graph, unitOfNode: [Int]) -> [Unit] {
  var ordered: [Unit] = []
  var state = [UInt8](repeating: 0, count: units.count)  // 0 new, 1 open, 2 done
  for root in units.indices where state[root] == 0 {
    var stack = [root]
    while let unit = stack.last {
      if state[unit] == 2 {
        stack.removeLast()
        continue
      }
      state[unit] = 1
      var pending: [Int] = []
      for node in units[unit].nodes {
        for operand in graph[node].operands {
          let source = unitOfNode[graph.values[operand.index].definition.index]
          if source != unit, state[source] != 2, !pending.contains(source) {
            pending.append(source)
          }
        }
      }
      precondition(!pending.contains { state[$0] == 1 }, "fusion clusters depend on each other")
      if pending.isEmpty {
        state[unit] = 2
        ordered.append(units[unit])
        stack.removeLast()
      } else {
        stack += pending.sorted(by: >)
      }
    }
  }
  return ordered
}
