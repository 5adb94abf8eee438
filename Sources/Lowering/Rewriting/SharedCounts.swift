package import MoTIR

/// The gradients of a loss that is a mean over the targets of several batches, of which each run does one.
///
/// What experts add to the loss is no mean over targets: it becomes the mean over the batches.
package struct AccumulatedGradients {
  /// `gradients`, which takes numbers of targets and of batches as inputs.
  package let function: Function
  /// The inputs, and of which rows each is the number; without rows it is the number of batches.
  package let counts: [(name: String, rows: CountedRows?)]

  /// Makes the gradients of the loss of `module`.
  ///
  /// - Throws: `Diagnostics` if it has no loss, or none that has gradients.
  package init(of module: Module) throws {
    guard let loss = module.function("loss") else {
      throw Diagnostics([
        Diagnostic("'\(module.name)' has no @loss, whose gradients could be added up")
      ])
    }
    var counts: [(name: String, rows: CountedRows?)] = []
    var copy = GraphCopy(of: loss.graph)
    for id in loss.graph.nodeIDs {
      let node = loss.graph[id]
      guard let (counted, rows) = Self.counted(node, in: loss.graph) else {
        try copy.copy(id)
        continue
      }
      let name = "\(Module.countPrefix)\(counts.count)"
      counts.append((name, rows))
      let operand = copy[node.operands[0]]
      let results = try copy.withGraph { graph in
        let count = try graph.add(.input(name), [], type: .tensor(.i32, []), at: node.location)
        return try graph.append(counted, [operand, count], at: node.location)
      }
      for (old, new) in zip(node.results, results) { copy[old] = new }
    }
    let counted = Function(name: "loss", graph: copy.finished())
    function = try differentiate(counted, in: module)
    self.counts = counts
  }

  /// Returns the op in place of `node` that is told a number, and of which rows it is; `nil` for a node that needs
  /// none.
  private static func counted(_ node: Node, in graph: Graph) -> (op: Op, rows: CountedRows?)? {
    switch node.op {
    case .tokenWeights(let ranges, false):
      guard case .input(let source) = graph.definition(of: node.operands[0]).op else { return nil }
      return (.tokenWeights(ranges, hasCount: true), CountedRows(source, in: ranges))
    case .balance(false): return (.balance(hasCount: true), nil)
    default: return nil
    }
  }
}

extension Graph {
  /// `true` iff numbers of targets are among the inputs.
  var takesCounts: Bool {
    nodes.contains { node in
      if case .input(let name) = node.op { name.hasPrefix(Module.countPrefix) } else { false }
    }
  }
}
