/// The name of a value in a graph.
public struct ValueID: Hashable, Comparable, Sendable {
  /// The position in `Graph.values`.
  public let index: Int

  /// Creates the name of value `index`.
  package init(_ index: Int) { self.index = index }

  /// Compares by order of creation.
  public static func < (a: ValueID, b: ValueID) -> Bool { a.index < b.index }
}

/// The name of a node in a graph.
public struct NodeID: Hashable, Comparable, Sendable {
  /// The position in `Graph.nodes`.
  public let index: Int

  /// Creates the name of node `index`.
  package init(_ index: Int) { self.index = index }

  /// Compares by order of creation.
  public static func < (a: NodeID, b: NodeID) -> Bool { a.index < b.index }
}

/// One operation: an op, what it reads and what it defines.
public struct Node: Hashable, Sendable {
  /// What is done.
  public let op: Op
  /// What is read.
  public let operands: [ValueID]
  /// What is defined: consecutive values.
  public let results: [ValueID]
  /// The line of the spec that asked for it.
  public let location: Location?
  /// The fusion cluster: nodes with the same number are executed by one kernel. `nil`: alone.
  public var cluster: Int?
}

/// A value: its type and the node that defines it.
public struct Value: Hashable, Sendable {
  /// The type.
  public let type: ValueType
  /// The node that defines it.
  public let definition: NodeID
  /// Which of that node's results it is.
  public let result: Int
}

/// A function's body in SSA form: nodes in an order in which every value is defined before its use.
///
/// A graph is a value; passes build a new one (`rebuilt`) or mark fusion clusters in place.
public struct Graph: Hashable, Sendable {
  /// A named result of the function.
  public struct Output: Hashable, Sendable {
    /// The name under which callers ask for it, such as `loss`.
    public let name: String
    /// The value.
    public let value: ValueID

    /// What the names of gradients begin with; the parameter's name follows.
    package static let gradientPrefix = "grad."

    /// The name of the parameter whose gradient this is, or `nil` if it is something else.
    package var gradientParameter: String? {
      name.hasPrefix(Output.gradientPrefix)
        ? String(name.dropFirst(Output.gradientPrefix.count)) : nil
    }
  }

  /// The nodes, definitions before uses.
  public private(set) var nodes: [Node] = []
  /// All values, by their number.
  public private(set) var values: [Value] = []
  /// The function's results.
  public private(set) var outputs: [Output] = []

  /// Creates an empty graph.
  public init() {}

  /// Returns the type of `value`.
  public func type(of value: ValueID) -> ValueType { values[value.index].type }

  /// Returns the node that defines `value`.
  public func definition(of value: ValueID) -> Node { nodes[values[value.index].definition.index] }

  /// Returns the node called `id`.
  public subscript(id: NodeID) -> Node { nodes[id.index] }

  /// The names of all nodes, in order.
  public var nodeIDs: [NodeID] { nodes.indices.map(NodeID.init) }

  /// Appends a node and returns its results.
  ///
  /// - Parameter declared: the result type of the ops whose type does not follow from operands
  ///   (`Op.needsDeclaredType`); must be `nil` for all others.
  /// - Throws: `TypingError` if the operands do not fit the op.
  public mutating func append(
    _ op: Op, _ operands: [ValueID], type declared: ValueType? = nil, at location: Location? = nil,
    cluster: Int? = nil
  ) throws(TypingError) -> [ValueID] {
    let types = try op.resultTypes(operands.map { type(of: $0) }, declared: declared)
    let node = NodeID(nodes.count)
    let results = types.indices.map { ValueID(values.count + $0) }
    for (index, type) in types.enumerated() {
      values.append(Value(type: type, definition: node, result: index))
    }
    nodes.append(
      Node(op: op, operands: operands, results: results, location: location, cluster: cluster))
    return results
  }

  /// Appends a node with one result and returns that.
  ///
  /// - Throws: `TypingError` if the operands do not fit the op.
  public mutating func add(
    _ op: Op, _ operands: [ValueID], type declared: ValueType? = nil, at location: Location? = nil,
    cluster: Int? = nil
  ) throws(TypingError) -> ValueID {
    try append(op, operands, type: declared, at: location, cluster: cluster)[0]
  }

  /// Makes `value` a result of the function.
  public mutating func output(_ value: ValueID, as name: String) {
    outputs.append(Output(name: name, value: value))
  }

  /// Returns the value of the function's result `name`, or `nil` if it has none of that name.
  public func output(_ name: String) -> ValueID? { outputs.first { $0.name == name }?.value }

  /// Puts `node` into fusion cluster `cluster`.
  package mutating func setCluster(_ cluster: Int?, of node: NodeID) {
    nodes[node.index].cluster = cluster
  }

  /// Returns, for every value, the nodes that read it, in order and each once.
  public func users() -> [[NodeID]] {
    var users = [[NodeID]](repeating: [], count: values.count)
    for id in nodeIDs {
      for operand in self[id].operands where users[operand.index].last != id {
        users[operand.index].append(id)
      }
    }
    return users
  }

  /// Returns the declared type that `append` needs to copy `node`.
  package func declaredType(of node: Node) -> ValueType? {
    node.op.needsDeclaredType ? type(of: node.results[0]) : nil
  }

  /// Returns the graph that results from handing every node to `rewrite` in order.
  ///
  /// `rewrite` appends to the new graph what stands for the node, given its operands' new values, and
  /// returns the new values of its results (`nil` for a node that is dropped; nothing may read it then).
  package func rebuilt<E: Error>(
    _ rewrite: (NodeID, [ValueID], inout Graph) throws(E) -> [ValueID]?
  ) throws(E) -> Graph {
    var result = Graph()
    var replacement = [ValueID?](repeating: nil, count: values.count)
    for id in nodeIDs {
      let node = self[id]
      let operands = node.operands.compactMap { replacement[$0.index] }
      guard operands.count == node.operands.count else { continue }
      guard let results = try rewrite(id, operands, &result) else { continue }
      for (old, new) in zip(node.results, results) { replacement[old.index] = new }
    }
    for output in outputs {
      if let value = replacement[output.value.index] { result.output(value, as: output.name) }
    }
    return result
  }

  /// Appends a copy of `node` of `source` that reads `operands`, and returns its results.
  package mutating func copy(
    _ node: Node, of source: Graph, operands: [ValueID]
  ) throws(TypingError) -> [ValueID] {
    try append(
      node.op, operands, type: source.declaredType(of: node), at: node.location,
      cluster: node.cluster)
  }
}
