internal import MoTIR

/// Plans the kernels of one function.
///
/// Shapes: T rows, D and N widths, K segments, V vocabulary.
struct FunctionPlanner {
  let graph: Graph
  let module: Module
  let outputs: Set<ValueID>
  /// `true` iff linear maps have kernels of their own.
  let hasFewRows: Bool
  let users: [[NodeID]]
  /// Whose rows are computed; `nil` where all are, as in the graph as built: there a fault is searched op by op.
  let demand: RowDemand?
  var builder: PlanBuilder
  var calls: [KernelCall] = []
  var inputs: [Binding] = []
  /// Where each value that leaves its kernel is kept.
  var storage: [ValueID: BufferID] = [:]
  /// Values that their kernels lay out for weight gradients.
  var outers: [ValueID: OuterOperand] = [:]

  init(graph: Graph, module: Module, builder: PlanBuilder) {
    self.graph = graph
    self.module = module
    self.builder = builder
    outputs = Set(graph.outputs.map(\.value))
    hasFewRows = graph.hasFewRows
    users = graph.users()
    demand = graph.nodes.contains { $0.cluster != nil } ? RowDemand(graph) : nil
  }

  /// Plans all of the function and returns the builder with the entry added.
  static func plan(_ function: Function, module: Module, into builder: PlanBuilder) -> PlanBuilder {
    var planner = FunctionPlanner(graph: function.graph, module: module, builder: builder)
    let blas = builder.plan.backend == .blas
    let units = orderedUnits(of: function.graph) { blas && $0.traits.contains(.matmul) }
    for unit in units { planner.plan(unit) }
    let outputs = planner.planOutputs()
    planner.builder.finish(
      Entry(name: function.name, calls: planner.calls, inputs: planner.inputs, outputs: outputs))
    return planner.builder
  }

  private mutating func plan(_ unit: Unit) {
    let node = graph[unit.nodes[0]]
    if unit.nodes.count > 1 { return planBlock(unit) }
    switch node.op {
    case .input: planInput(node)
    case .parameter, .constant: break
    case .route(let segments): planRoute(node, segments)
    case .sync: planSync(node)
    case .routeExperts(let routing, let groups): planRouteExperts(node, routing, groups)
    case .combine, .gates, .gatesGradient, .balance: planExperts(node)
    case .linear, .linearInputGradient:
      if builder.plan.backend == .blas {
        planBlas(node)
      } else if hasFewRows, case .linear = node.op {
        planFewRows(node)
      } else {
        planBlock(unit)
      }
    case .linearWeightGradient: planWeightGradient(node)
    case .gather, .scatter, .norm, .normGradient, .channelMultiply, .channelAdd, .columnSum,
      .rotary, .unary, .binary, .rowSum, .logSumExponentials, .embed, .crossEntropy,
      .crossEntropyGradient, .dispatch:
      planBlock(unit)
    case .attention(let attention): planAttention(node, attention, gradient: false)
    case .attentionGradient(let attention): planAttention(node, attention, gradient: true)
    case .cachedAttention(let attention): planCachedAttention(node, attention)
    case .sum: planSum(node)
    case .embedGradient(let vocabulary): planEmbedGradient(node, vocabulary)
    case .tokenWeights(let ranges, let hasCount):
      planTokenWeights(node, ranges, hasCount: hasCount)
    case .headLoss: planHeadLoss(node, gradient: false)
    case .headLossGradient: planHeadLoss(node, gradient: true)
    }
  }

  // MARK: Values and buffers

  /// Returns the buffer that holds `value`, which another kernel computed or which is a source.
  mutating func buffer(_ value: ValueID) -> BufferID {
    if let buffer = storage[value] { return buffer }
    switch graph.definition(of: value).op {
    case .parameter(let name): return builder.parameter(name).master
    case .constant: return fill(value)
    default: preconditionFailure("a value is read before it is computed")
    }
  }

  /// Returns the buffer that `value` is to be written to: a gradient's own place, or the arena.
  mutating func place(_ value: ValueID) -> BufferID {
    if let buffer = storage[value] { return buffer }
    let buffer = gradientPlace(of: value) ?? temporary(for: value)
    storage[value] = buffer
    return buffer
  }

  private func gradientPlace(of value: ValueID) -> BufferID? {
    let names = graph.outputs.lazy.filter { $0.value == value }.compactMap(\.gradientParameter)
    return names.first.flatMap(module.parameter).flatMap { builder.parameter($0.name).gradient }
  }

  private mutating func temporary(for value: ValueID) -> BufferID {
    let type = graph.type(of: value)
    return builder.addTemporary(bytes: type.bytes, label: "%\(value.index) : \(type)")
  }

  /// `true` iff a kernel other than the one of `nodes` reads rows of `value`, or the caller does.
  func leaves(_ value: ValueID, _ nodes: Set<NodeID>) -> Bool {
    outputs.contains(value)
      || users[value.index].contains { !nodes.contains($0) && outer(value, for: $0) == nil }
  }

  /// Appends a call.
  mutating func call(
    _ kernel: Kernel, _ arguments: [KernelArgument], flops: Double = 0, nodes: [NodeID]
  ) {
    let bytes = arguments.reduce(0.0) { sum, argument in
      guard case .buffer(let id, let access) = argument else { return sum }
      return sum + Double(builder.plan[id].bytes) * (access == .update ? 2 : 1)
    }
    calls.append(
      KernelCall(kernel: kernel, arguments: arguments, flops: flops, bytes: bytes, nodes: nodes))
  }

  /// Binds every output of the function to its buffer.
  private mutating func planOutputs() -> [Binding] {
    graph.outputs.filter { !$0.name.hasPrefix(Module.cachePrefix) }.map { output in
      var source = buffer(output.value)
      if let parameter = output.gradientParameter.flatMap(module.parameter),
        let gradient = builder.parameter(parameter.name).gradient
      {
        if gradient != source { copy(output.value, from: source, to: gradient) }
        source = gradient
      }
      return Binding(name: output.name, type: graph.type(of: output.value), buffer: source)
    }
  }

  // MARK: Sources and routing

  private mutating func planInput(_ node: Node) {
    guard case .input(let name) = node.op else { return }
    let type = graph.type(of: node.results[0])
    // A cache is the model's own: nobody fills it in.
    guard !name.hasPrefix(Module.cachePrefix) else { return }
    let full = node.operands.isEmpty ? name : "\(name) by plan"
    let buffer = builder.shared(.inputs, full, bytes: type.bytes)
    storage[node.results[0]] = buffer
    if !inputs.contains(where: { $0.name == full }) {
      inputs.append(Binding(name: full, type: type, buffer: buffer))
    }
  }

  private mutating func planRoute(_ node: Node, _ segments: Int) {
    guard case .rows(_, _, let rows, _) = graph.type(of: node.operands[0]) else { return }
    call(
      .route(rows: rows, segments: segments),
      [.buffer(buffer(node.operands[0]), .read), .buffer(place(node.results[0]), .write)],
      nodes: [definition(node)])
  }

  private mutating func planSync(_ node: Node) {
    let plan = buffer(node.operands[0])
    storage[node.results[0]] = plan
    call(.sync, [.buffer(plan, .update)], nodes: [definition(node)])
  }

  /// Returns the name of `node`.
  func definition(_ node: Node) -> NodeID { graph.values[node.results[0].index].definition }

  /// Returns the routing of a routed node, or `nil` for a tied one.
  func routing(_ node: Node) -> KernelRouting? {
    guard let groups = node.op.groups, let plan = node.operands.last,
      case .plan(let layout) = graph.type(of: plan)
    else { return nil }
    return KernelRouting(segments: layout.segments, groups: groups, experts: layout.experts)
  }

  /// Returns a routed node's plan as an argument.
  mutating func planArgument(_ node: Node) -> [KernelArgument] {
    graph.plan(of: node).map { [.buffer(buffer($0), .read)] } ?? []
  }

  /// Returns the operands of `node` without its plan.
  func data(_ node: Node) -> [ValueID] { Array(graph.operandsWithoutPlan(of: node)) }

  /// Returns rows and width of a value with a token axis.
  func shape(_ value: ValueID) -> (rows: Int, width: Int) {
    switch graph.type(of: value) {
    case .rows(_, _, let count, let width): (count, width)
    case .tensor(_, let shape): (shape.dropLast().reduce(1, *), shape.last ?? 1)
    case .plan: (0, 0)
    }
  }
}
