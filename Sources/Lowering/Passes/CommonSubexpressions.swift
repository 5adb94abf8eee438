import MoTIR

extension Pass {
  /// Computes once what the graph says several times.
  package static let commonSubexpressions = Pass(
    "common-subexpressions", "computes equal expressions once"
  ) { graph, _ in
    var seen: [Expression: [ValueID]] = [:]
    graph = try graph.rebuilt { id, operands, result in
      let node = graph[id]
      guard !node.op.traits.contains(.effect) else {
        return try result.copy(node, of: graph, operands: operands)
      }
      let expression = Expression(node, operands, in: result, type: graph.declaredType(of: node))
      if let known = seen[expression] { return known }
      let results = try result.copy(node, of: graph, operands: operands)
      seen[expression] = results
      return results
    }
  }
}

/// What two nodes must have in common to be the same computation.
private struct Expression: Hashable {
  /// The op with its attributes.
  let op: Op
  /// The bits of a constant: 0 and −0 are equal and not the same.
  let bits: UInt64?
  /// The operands, in order of creation where the op does not care for their order.
  let operands: [ValueID]
  /// The declared type of a source.
  let type: ValueType?
  /// The kernel: a value moved into another one would have to be stored.
  let cluster: Int?

  /// Creates the expression of `node`, whose operands are `operands` of `graph`.
  init(_ node: Node, _ operands: [ValueID], in graph: Graph, type: ValueType?) {
    op = node.op
    bits = if case .constant(let value) = node.op { value.bitPattern } else { nil }
    self.operands =
      node.op.isCommutative && graph.type(of: operands[0]) == graph.type(of: operands[1])
      ? operands.sorted() : operands
    self.type = type
    cluster = node.cluster
  }
}

extension Op {
  /// `true` iff exchanging two operands of the same type changes nothing.
  fileprivate var isCommutative: Bool { self == .binary(.add) || self == .binary(.multiply) }
}
