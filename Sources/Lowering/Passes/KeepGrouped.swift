import MoTIR

extension Pass {
  /// Keeps rows in grouped order from embedding to loss; gather and scatter stay at attention only.
  package static let keepGrouped = Pass(
    "keep-grouped",
    "keeps rows in grouped order throughout; gathers and scatters cancel but at attention"
  ) { graph, _ in
    guard let plan = graph.onlyPlan() else { return }
    var residency = GroupedResidency(graph, by: plan)
    try residency.run()
    graph = residency.graph
  }
}

extension Graph {
  /// The plan of modalities by which rows are grouped, if the graph has exactly one.
  ///
  /// Rows that are grouped by different plans do not cancel, and their types do not tell them apart.
  fileprivate func onlyPlan() -> ValueID? {
    var found: ValueID?
    for node in nodes {
      if case .sync = node.op { continue }
      guard let plan = plan(of: node), type(of: plan).isModalityPlan else { continue }
      if let found, found != plan { return nil }
      found = plan
    }
    return found
  }

  /// Returns the nodes that `value` depends on, in order.
  fileprivate func ancestors(of value: ValueID) -> [NodeID] {
    var found: Set<NodeID> = []
    var open = [values[value.index].definition]
    while let id = open.popLast() {
      guard found.insert(id).inserted else { continue }
      open += self[id].operands.map { values[$0.index].definition }
    }
    return found.sorted()
  }
}

/// The rebuilding of a graph in which every permutable op works on grouped rows.
///
/// The rows of an old value exist in up to two forms in the new graph, grouped and in sequence order.
/// The form that a reader wants is made on demand, and once. So gathers and scatters are not moved:
/// they vanish, and appear again where an op cannot do without.
private struct GroupedResidency {
  /// The new graph.
  private(set) var graph = Graph()
  /// The old graph.
  private let source: Graph
  /// The plan, as the old graph names it.
  private let plan: ValueID
  /// For each old value with rows, its grouped form.
  private var grouped: [ValueID?]
  /// For each old value, its form in sequence order, or its only form if it has no rows.
  private var plain: [ValueID?]
  /// For each old value, the one of which it is another form: itself, but for gather and scatter.
  private var origin: [ValueID]

  /// Prepares for `source`, whose rows are grouped by `plan`.
  init(_ source: Graph, by plan: ValueID) {
    self.source = source
    self.plan = plan
    grouped = [ValueID?](repeating: nil, count: source.values.count)
    plain = grouped
    origin = source.nodes.flatMap(\.results)
  }

  /// Walks the old graph once; the plan comes first, because all grouped inputs read it.
  mutating func run() throws {
    let first = source.ancestors(of: plan)
    let done = Set(first)
    for id in first + source.nodeIDs.filter({ !done.contains($0) }) { try visit(source[id]) }
    for output in source.outputs {
      let order = source.type(of: output.value).order
      graph.output(try form(of: output.value, in: order), as: output.name)
    }
  }

  /// Appends what stands for `node`, if anything must.
  private mutating func visit(_ node: Node) throws {
    switch node.op {
    case .input where source.type(of: node.results[0]).isRows,
      .constant where source.type(of: node.results[0]).isRows:
      break  // made in the order in which it is wanted, when it is
    case .gather, .scatter:
      origin[node.results[0].index] = origin[node.operands[0].index]
    case let op where op.traits.contains(.permutable): try copy(node, order: .grouped)
    default: try copy(node, order: nil)
    }
  }

  /// Appends a copy of `node` that reads rows in `order`, or in the order that each had.
  private mutating func copy(_ node: Node, order: RowOrder?) throws {
    var operands: [ValueID] = []
    for operand in node.operands {
      let own = source.type(of: operand).order
      operands.append(
        try form(of: operand, in: own == nil || own == .dispatched ? own : order ?? own))
    }
    let results = try graph.copy(node, of: source, operands: operands)
    for (old, new) in zip(node.results, results) {
      if graph.type(of: new).order == .grouped {
        grouped[old.index] = new
      } else {
        plain[old.index] = new
      }
    }
  }

  /// Returns the form of the old `value` with its rows in `order`, and makes it if there is none yet.
  private mutating func form(of value: ValueID, in order: RowOrder?) throws -> ValueID {
    let value = origin[value.index]
    if let form = order == .grouped ? grouped[value.index] : plain[value.index] { return form }
    let form = try make(value, in: order ?? .sequence)
    if order == .grouped { grouped[value.index] = form } else { plain[value.index] = form }
    return form
  }

  /// Appends the old `value` with its rows in `order`: a source in that order, or its other form moved.
  private mutating func make(_ value: ValueID, in order: RowOrder) throws -> ValueID {
    let node = source.definition(of: value)
    let type = source.type(of: value).reordered(order)
    switch node.op {
    case .input:
      let operands = order == .grouped ? [try form(of: plan, in: nil)] : []
      return try graph.add(node.op, operands, type: type, at: node.location)
    case .constant: return try graph.add(node.op, [], type: type, at: node.location)
    default:
      let other = try form(of: value, in: order == .grouped ? .sequence : .grouped)
      let op: Op = order == .grouped ? .gather : .scatter
      return try graph.add(op, [other, try form(of: plan, in: nil)], at: node.location)
    }
  }
}
