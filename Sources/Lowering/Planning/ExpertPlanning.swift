internal import MoTIR

// Kernels of routing to experts. A linear map of their rows is planned as any other.
extension FunctionPlanner {
  /// The choice of experts.
  mutating func planRouteExperts(_ node: Node, _ routing: ExpertRouting, _ groups: Groups) {
    guard case .plan(let layout) = graph.type(of: node.results[0]) else { return }
    let shape = ExpertRoutingShape(routing: routing, groups: groups, layout: layout)
    call(
      .routeExperts(shape),
      node.operands.map { .buffer(buffer($0), .read) }
        + [.buffer(place(node.results[0]), .write)], nodes: [definition(node)])
  }

  /// What goes between tokens and the rows of experts, and has a kernel of its own.
  mutating func planExperts(_ node: Node) {
    let plans = (node.operands + node.results).compactMap { value in
      if case .plan(let layout) = graph.type(of: value) { layout } else { nil }
    }
    guard let layout = plans.first else { return }
    let kernel: Kernel
    switch node.op {
    case .combine: kernel = .combine(layout, width: shape(node.operands[0]).width)
    case .gates: kernel = .gates(layout)
    case .gatesGradient: kernel = .gatesGradient(layout)
    case .balance(let hasCount): kernel = .balance(layout, hasCount: hasCount)
    default: preconditionFailure("\(node.op.mnemonic) is not of experts")
    }
    call(
      kernel,
      node.operands.map { .buffer(buffer($0), .read) }
        + node.results.map { .buffer(place($0), .write) }, nodes: [definition(node)])
  }
}
