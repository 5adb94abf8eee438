package import MoTIR

/// Builds graphs and the declarations of their parameters, op by op.
package struct GraphBuilder {
  /// How a routed op comes by its plan.
  package enum Routing: Sendable, CaseIterable {
    /// As the naive graph has it: each op with its own plan, syncs, gather and scatter.
    case naive
    /// All ops share one plan, and each has its own gather and scatter.
    case sharedPlan
    /// As `sharedPlan`, and the plan is an input.
    case planInput
  }

  /// The graph so far.
  package private(set) var graph = Graph()
  /// The parameters so far.
  package private(set) var parameters: [ParameterDeclaration] = []
  /// T
  package let tokens: Int
  /// The names of the modalities.
  package let modalities: [String]
  /// How routed ops come by their plans.
  package let routing: Routing
  private var inputs: [String: ValueID] = [:]
  private var plan: ValueID?

  /// Creates a builder of an empty graph.
  package init(tokens: Int, modalities: [String], routing: Routing = .naive) {
    self.tokens = tokens
    self.modalities = modalities
    self.routing = routing
  }

  /// Returns the type of `value`.
  package func type(of value: ValueID) -> ValueType { graph.type(of: value) }

  /// Returns the width of the rows `value`.
  package func width(of value: ValueID) -> Int { type(of: value).width ?? 0 }

  /// Returns the results of a new node.
  package mutating func append(
    _ op: Op, _ operands: [ValueID], type: ValueType? = nil
  ) throws(TypingError) -> [ValueID] {
    let line = Location(file: "test.swift-spec", line: graph.nodes.count + 1, column: 1)
    return try graph.append(op, operands, type: type, at: line)
  }

  /// Returns the result of a new node.
  package mutating func add(
    _ op: Op, _ operands: [ValueID] = [], type: ValueType? = nil
  ) throws(TypingError) -> ValueID {
    try append(op, operands, type: type)[0]
  }

  /// Makes `value` an output.
  package mutating func output(_ value: ValueID, as name: String) { graph.output(value, as: name) }

  /// Returns the input `name`, one integer a token.
  package mutating func input(_ name: String) throws(TypingError) -> ValueID {
    if let value = inputs[name] { return value }
    let type = ValueType.rows(.i32, .sequence, count: tokens, width: 1)
    let value = try add(.input(name), type: type)
    inputs[name] = value
    return value
  }

  /// Returns the input `name`, one integer a token, in the order of `plan`.
  package mutating func input(_ name: String, by plan: ValueID) throws(TypingError) -> ValueID {
    try add(.input(name), [plan], type: .rows(.i32, .grouped, count: tokens, width: 1))
  }

  /// Returns the new parameter `name`, with a first dimension of groups if `groups` is given.
  package mutating func parameter(
    _ name: String, _ shape: [Int], _ groups: Groups? = nil, experts: Int? = nil,
    component: String = "feed_forward",
    initialization: Initialization = .normal(0.3)
  ) throws(TypingError) -> ValueID {
    let declaration = ParameterDeclaration(
      name: name, shape: shape, groups: groups.map(names), experts: experts, component: component,
      initialization: initialization, decays: shape.count > 1)
    parameters.append(declaration)
    return try add(.parameter(name), type: declaration.type)
  }

  /// Returns the names of each group's modalities.
  private func names(of groups: Groups) -> [[String]] {
    (0..<groups.count).map { group in
      zip(modalities, groups.ofSegment).filter { $0.1 == group }.map(\.0)
    }
  }

  /// Returns the plan for the next routed op.
  package mutating func nextPlan() throws(TypingError) -> ValueID {
    if let plan { return plan }
    if routing == .planInput {
      let type = ValueType.plan(tokens: tokens, segments: modalities.count)
      let value = try add(.input("plan"), type: type)
      plan = value
      return value
    }
    var value = try add(.route(segments: modalities.count), [input("modality")])
    if routing == .sharedPlan {
      plan = value
    } else {
      for segment in modalities.indices { value = try add(.sync(segment: segment), [value]) }
    }
    return value
  }

  /// Returns the results of `op` on rows in sequence order, between a gather and scatters if it is routed.
  package mutating func apply(
    _ op: Op, _ x: ValueID, _ weights: [ValueID] = []
  ) throws(TypingError) -> [ValueID] {
    guard op.groups != nil else { return try append(op, [x] + weights) }
    let plan = try nextPlan()
    let grouped = try add(.gather, [x, plan])
    var results: [ValueID] = []
    for value in try append(op, [grouped] + weights + [plan]) {
      results.append(type(of: value).isRows ? try add(.scatter, [value, plan]) : value)
    }
    return results
  }
}
