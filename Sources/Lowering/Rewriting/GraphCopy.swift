package import MoTIR

/// A graph under construction that stands for another one: it knows what became of each old value.
struct GraphCopy {
  /// The graph that is copied.
  let source: Graph
  /// The new graph so far.
  private(set) var graph = Graph()
  /// For each old value, the new value that stands for it.
  private var replacement: [ValueID?]

  /// Creates an empty copy of `source`.
  init(of source: Graph) {
    self.source = source
    replacement = [ValueID?](repeating: nil, count: source.values.count)
  }

  /// The new value that stands for `old`.
  ///
  /// - Requires: when read, that `old` was replaced before: passes emit definitions before uses.
  subscript(old: ValueID) -> ValueID {
    get {
      guard let new = replacement[old.index] else {
        preconditionFailure("a pass reads value \(old.index) before it defines it")
      }
      return new
    }
    set { replacement[old.index] = newValue }
  }

  /// Appends a copy of the old node `id`.
  mutating func copy(_ id: NodeID) throws {
    let node = source[id]
    let results = try graph.copy(node, of: source, operands: node.operands.map { self[$0] })
    for (old, new) in zip(node.results, results) { self[old] = new }
  }

  /// Appends a new node that reads what stands for the old `operands`, and returns its results.
  mutating func append(
    _ op: Op, _ operands: [ValueID], at location: Location?
  ) throws -> [ValueID] {
    try graph.append(op, operands.map { self[$0] }, at: location)
  }

  /// Changes the new graph directly.
  mutating func withGraph<Result>(_ body: (inout Graph) throws -> Result) rethrows -> Result {
    try body(&graph)
  }

  /// Returns the new graph with the old one's outputs.
  func finished() -> Graph {
    var result = graph
    for output in source.outputs { result.output(self[output.value], as: output.name) }
    return result
  }
}

extension Graph {
  /// What is emitted in place of a unit's nodes; it must define each value that others read.
  typealias Emission = (inout GraphCopy) throws -> Void

  /// Returns this graph in the order of `units`, with `emissions` in place of the units that have one.
  func contracted(_ units: Condensation, _ emissions: [Int: Emission]) throws -> Graph {
    var copy = GraphCopy(of: self)
    for unit in units.order {
      if let emission = emissions[unit] {
        try emission(&copy)
      } else {
        for id in units.members(of: unit) { try copy.copy(id) }
      }
    }
    return copy.finished()
  }

  /// `true` iff `value` is a result of the function.
  func isOutput(_ value: ValueID) -> Bool { outputs.contains { $0.value == value } }

  /// The plan that `node` reads, or `nil` if it reads none.
  package func plan(of node: Node) -> ValueID? {
    guard let last = node.operands.last, case .plan = type(of: last) else { return nil }
    return last
  }

  /// The operands of `node` without the plan.
  func operandsWithoutPlan(of node: Node) -> ArraySlice<ValueID> {
    plan(of: node) == nil ? node.operands[...] : node.operands.dropLast()
  }
}
