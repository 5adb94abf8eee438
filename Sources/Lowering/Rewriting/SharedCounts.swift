package import MoTIR

/// The gradients of a loss that is a mean over the targets of several batches, of which each run does one.
package struct AccumulatedGradients {
  /// `gradients`, which takes the numbers of targets as inputs.
  package let function: Function
  /// The inputs, and of which rows each is the number.
  package let counts: [(name: String, rows: CountedRows)]

  /// Makes the gradients of the loss of `module`.
  ///
  /// - Throws: `Diagnostics` if it has no loss, or none that has gradients.
  package init(of module: Module) throws {
    guard let loss = module.function("loss") else {
      throw Diagnostics([
        Diagnostic("'\(module.name)' has no @loss, whose gradients could be added up")
      ])
    }
    var counts: [(name: String, rows: CountedRows)] = []
    var copy = GraphCopy(of: loss.graph)
    for id in loss.graph.nodeIDs {
      let node = loss.graph[id]
      guard case .tokenWeights(let ranges, false) = node.op,
        case .input(let source) = loss.graph.definition(of: node.operands[0]).op
      else {
        try copy.copy(id)
        continue
      }
      let name = "\(Module.countPrefix)\(counts.count)"
      counts.append((name, CountedRows(source, in: ranges)))
      let targets = copy[node.operands[0]]
      copy[node.results[0]] = try copy.withGraph { graph in
        let count = try graph.add(.input(name), [], type: .tensor(.i32, []), at: node.location)
        return try graph.add(
          .tokenWeights(ranges, hasCount: true), [targets, count], at: node.location)
      }
    }
    let counted = Function(name: "loss", graph: copy.finished())
    function = try differentiate(counted, in: module)
    self.counts = counts
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
