/// Returns the function `gradients`: the outputs of `function` and, for every parameter of `module` that is not
/// frozen, in order, `grad.NAME`, the gradient of the output `loss`.
///
/// The reverse pass follows the forward nodes in the same graph; a value that no parameter reaches gets
/// no gradient node, and a parameter that the loss does not reach gets zeros. Fusion clusters are dropped.
///
/// - Throws: `Diagnostics` if there is no scalar output `loss`, if an output has a gradient's name, or if
///   an op between a parameter and the loss has no derivative.
package func differentiate(
  _ function: Function, in module: Module
) throws(Diagnostics) -> Function {
  do throws(Diagnostic) {
    guard let loss = function.graph.output("loss") else {
      throw Diagnostic("@\(function.name) has no output named loss, so it has no gradients")
    }
    guard function.graph.type(of: loss) == .scalar else {
      throw Diagnostic(
        "the loss of @\(function.name) is \(function.graph.type(of: loss)), and must be a scalar",
        at: function.graph.definition(of: loss).location, suggestion: "take its sum")
    }
    for output in function.graph.outputs {
      guard let name = output.gradientParameter, module.parameter(name) != nil else { continue }
      throw Diagnostic(
        "@\(function.name) has an output named \(quoted(output.name)), as the gradient of a parameter is",
        at: function.graph.definition(of: output.value).location,
        suggestion: "give the output another name")
    }
    let trained = module.parameters.filter { !$0.isFrozen }
    var pass = ReversePass(function.graph, frozen: module.parameters.filter(\.isFrozen).map(\.name))
    try pass.run(from: loss)
    for parameter in trained { try pass.output(parameter) }
    return Function(name: "gradients", graph: pass.graph)
  } catch {
    throw Diagnostics([error])
  }
}

/// The state of reverse-mode differentiation: the graph that grows, and the gradients found so far.
struct ReversePass {
  /// The forward graph with what has been appended to it.
  private(set) var graph: Graph
  /// The nodes of the forward graph.
  private let forward: [NodeID]
  /// For each value of the forward graph, whether a parameter reaches it that is not frozen.
  private let needed: [Bool]
  /// For each value of the forward graph, the gradient of the loss, as far as found.
  private var gradients: [ValueID?]
  /// The line of the node that is being differentiated; new nodes carry it.
  private var location: Location?

  /// Creates the state before the first rule; `frozen` parameters get no gradient.
  init(_ graph: Graph, frozen: [String] = []) {
    let frozen = Set(frozen)
    self.graph = graph
    forward = graph.nodeIDs
    for node in forward { self.graph.setCluster(nil, of: node) }
    var needed = [Bool](repeating: false, count: graph.values.count)
    for node in graph.nodes {
      let reached = if case .parameter(let name) = node.op { !frozen.contains(name) } else { false }
      let reaches = reached || node.operands.contains { needed[$0.index] }
      for result in node.results { needed[result.index] = reaches }
    }
    self.needed = needed
    gradients = [ValueID?](repeating: nil, count: graph.values.count)
  }

  /// Applies each node's rule, last node first, to the gradient 1 of `loss`.
  mutating func run(from loss: ValueID) throws(Diagnostic) {
    location = graph.definition(of: loss).location
    guard needs(loss) else { return }
    gradients[loss.index] = try emit(.constant(1), type: .scalar)
    for id in forward.reversed() {
      let node = graph[id]
      guard node.results.contains(where: { gradient(of: $0) != nil }),
        node.operands.contains(where: { needs($0) })
      else { continue }
      location = node.location
      try differentiate(node)
    }
  }

  /// `true` iff a parameter reaches the forward value `value`.
  func needs(_ value: ValueID) -> Bool { needed[value.index] }

  /// Returns the gradient of the forward value `value`, or `nil` if the loss does not depend on it.
  func gradient(of value: ValueID) -> ValueID? { gradients[value.index] }

  /// Returns the type of `value`.
  func type(of value: ValueID) -> ValueType { graph.type(of: value) }

  /// Appends a node and returns its results.
  mutating func emitAll(
    _ op: Op, _ operands: [ValueID], type: ValueType? = nil
  ) throws(Diagnostic) -> [ValueID] {
    do throws(TypingError) {
      return try graph.append(op, operands, type: type, at: location)
    } catch {
      throw Diagnostic("in a gradient: \(error)", at: location)
    }
  }

  /// Appends a node with one result and returns that.
  mutating func emit(
    _ op: Op, _ operands: [ValueID] = [], type: ValueType? = nil
  ) throws(Diagnostic) -> ValueID {
    try emitAll(op, operands, type: type)[0]
  }

  /// Adds `contribution` to the gradient of the forward value `value`.
  mutating func add(_ contribution: ValueID, to value: ValueID) throws(Diagnostic) {
    guard needs(value) else { return }
    if let sum = gradients[value.index] {
      gradients[value.index] = try emit(.binary(.add), [sum, contribution])
    } else {
      gradients[value.index] = contribution
    }
  }

  /// Appends the output `grad.NAME` of `parameter`: the sum over all nodes that stand for it.
  mutating func output(_ parameter: ParameterDeclaration) throws(Diagnostic) {
    let nodes = forward.map { graph[$0] }.filter { $0.op == .parameter(parameter.name) }
    location = nodes.first?.location
    let parts = nodes.compactMap { gradient(of: $0.results[0]) }
    var total = parts.first
    for part in parts.dropFirst() {
      if let sum = total { total = try emit(.binary(.add), [sum, part]) }
    }
    let value =
      if let total { total } else { try emit(.constant(0), type: parameter.type) }
    graph.output(value, as: Graph.Output.gradientPrefix + parameter.name)
  }
}
