package import MoTIR

/// How much routing a graph does: what a device would wait for, and how often rows are moved.
package struct RoutingCensus: Hashable, Sendable {
  /// Plans that are computed inside the graph.
  package private(set) var routes = 0
  /// Times that the host waits for the size of a segment.
  package private(set) var syncs = 0
  /// Moves of rows into grouped order.
  package private(set) var gathers = 0
  /// Moves of rows into sequence order.
  package private(set) var scatters = 0
  /// The gathers and scatters between attention and the rest: no order serves both.
  package private(set) var movesAtAttention = 0
  /// The scatters of the function's outputs, which callers want in sequence order.
  package private(set) var movesAtOutputs = 0

  /// The gathers and scatters that nothing asks for.
  package var movesElsewhere: Int { gathers + scatters - movesAtAttention - movesAtOutputs }

  /// Counts the routing of `graph`.
  package init(_ graph: Graph) {
    let users = graph.users()
    for node in graph.nodes {
      switch node.op {
      case .route: routes += 1
      case .sync: syncs += 1
      case .gather:
        gathers += 1
        if graph.definition(of: node.operands[0]).op.isAttention { movesAtAttention += 1 }
      case .scatter:
        scatters += 1
        let readers = users[node.results[0].index]
        if readers.contains(where: { !graph[$0].op.isAttention }) { break }
        if !readers.isEmpty {
          movesAtAttention += 1
        } else if graph.isOutput(node.results[0]) {
          movesAtOutputs += 1
        }
      default: break
      }
    }
  }
}

extension Op {
  /// `true` iff the op is attention or its gradient.
  fileprivate var isAttention: Bool {
    switch self {
    case .attention, .attentionGradient, .cachedAttention: true
    default: false
    }
  }
}
