package import MoTIR

/// The rules of what one kernel can execute: the only place that knows them.
///
/// A cluster is executed block by block: a kernel takes some rows through all of its nodes before
/// it takes the next ones. Hence:
/// 1. Every member works row by row, moves rows, or sums them up (`admits`).
/// 2. All members have the same number of rows, and inside the kernel the same order. Gather and dispatch are
///    entries: what they read is in another order, so that nobody inside may define it. Scatter is an
///    exit: nobody inside may read its result.
/// 3. A sum over rows is complete after the last block only: nobody inside may read it.
/// 4. Where members are matrix multiplications, no row of one is wider than `widest`: a block of what one
///    leaves to the next stays in cache.
/// 5. Members that read a plan read the same one: blocks do not cross its segments.
/// 6. Where rows are so few that reading the weights is all there is to a matrix multiplication (`hasFewRows`), it is
///    alone: all threads share its weights.
/// 7. No value leaves the cluster and comes back: kernels run one after the other.
package struct ClusterLegality {
  /// The columns of rows that may pass from one matrix multiplication to the next: a block of 64 of them
  /// in f32 is a mebibyte.
  static let widest = 4096

  /// The graph whose nodes are judged.
  private let graph: Graph

  private let hasFewRows: Bool

  /// Creates the judge of `graph`.
  package init(_ graph: Graph) {
    self.graph = graph
    hasFewRows = graph.hasFewRows
  }

  /// `true` iff `node` can be a member of a cluster at all.
  package func admits(_ node: Node) -> Bool {
    guard let first = node.operands.first, graph.type(of: first).isRows else { return false }
    if hasFewRows, node.op.traits.contains(.matmul) { return false }
    return node.op.isTokenwise || node.op.movesRows || node.op.sumsRows
  }

  /// Returns why `members` cannot be one cluster by rules 1 to 6, or `nil` if they can.
  package func objection(to members: [NodeID]) -> String? {
    var seen = Facts()
    for id in members {
      let node = graph[id]
      guard admits(node) else { return "\(node.op.mnemonic) does not work row by row" }
      if let objection = seen.add(node, in: graph) { return objection }
    }
    let inside = Set(members)
    for id in members {
      for operand in graph[id].operands {
        let source = graph.values[operand.index].definition
        guard inside.contains(source) else { continue }
        if graph[id].op.takesRows {
          return "\(graph[id].op.mnemonic) reads rows that the cluster computes"
        }
        let op = graph[source].op
        if op == .scatter || op.sumsRows {
          return "\(graph[id].op.mnemonic) reads a \(op.mnemonic) of the cluster"
        }
      }
    }
    return nil
  }

  /// Returns what is wrong with the clusters of the graph, rule 7 included.
  package func violations() -> [String] {
    var found: [String] = []
    for (number, members) in graph.clusters() {
      if let objection = objection(to: members) { found.append("cluster \(number): \(objection)") }
    }
    do { _ = try Condensation(graph) } catch { found.append("\(error)") }
    return found
  }

  /// What the members seen so far have in common.
  private struct Facts {
    var rows: ValueType?
    var plan: ValueID?
    var matmuls = 0
    var width = 0

    private func widestRow(of node: Node, in graph: Graph) -> Int {
      (node.operands + node.results).reduce(0) { widest, value in
        guard case .rows(_, _, _, let width) = graph.type(of: value) else { return widest }
        return max(widest, width)
      }
    }

    /// Adds a member; returns why it does not go with those before.
    mutating func add(_ node: Node, in graph: Graph) -> String? {
      // A width of 1 makes types of the same rows equal.
      let own = graph.type(of: node.op.takesRows ? node.results[0] : node.operands[0]).withWidth(1)
      if let rows, rows != own { return "\(own) and \(rows) are not the same rows" }
      rows = own
      if let next = graph.plan(of: node) {
        if let plan, plan != next { return "the members read two plans" }
        plan = next
      }
      if node.op.traits.contains(.matmul) {
        matmuls += 1
        width = max(width, widestRow(of: node, in: graph))
      }
      if matmuls > 1, width > ClusterLegality.widest {
        return "matrix multiplications of rows of \(width) share no cache"
      }
      return nil
    }
  }
}

extension Graph {
  /// `true` iff tokens are generated, and so few at a time that threads share columns and not rows.
  var hasFewRows: Bool {
    nodes.contains { node in
      guard case .cachedAttention = node.op, let first = node.operands.first,
        case .rows(_, _, let count, _) = type(of: first)
      else { return false }
      return count <= 32
    }
  }
}

extension Op {
  /// `true` iff the op puts rows into another order.
  var movesRows: Bool { takesRows || self == .scatter }

  /// `true` iff the op takes rows of another order from where they are.
  var takesRows: Bool { self == .gather || self == .dispatch }

  /// `true` iff the op adds up rows, block by block.
  var sumsRows: Bool { if case .columnSum = self { true } else { false } }
}
