// What must hold of a module's functions beyond their graphs: the invariants 5 to 10 of ModuleVerifier.swift.

extension ModuleVerifier {
  mutating func check(_ function: Function, _ places: SourcePlaces.Function?) {
    var verifier = GraphVerifier(function.graph, function: function.name, places: places)
    verifier.run()
    if verifier.diagnostics.isEmpty {
      expertRows = function.graph.expertRows
      for id in function.graph.nodeIDs {
        let node = function.graph[id]
        for violation in violations(of: node, in: function) + cacheViolations(node, function.graph)
        {
          verifier.report(violation.message, at: id, help: violation.suggestion)
        }
      }
    }
    diagnostics += verifier.diagnostics.prefix(max(0, IRLimits.errors - diagnostics.count))
  }

  /// Returns how `node` breaks rules 6 to 10.
  private func violations(of node: Node, in function: Function) -> [Diagnostic] {
    let (graph, tokens) = (function.graph, module.tokens(of: function.name))
    var found: [Diagnostic] = []
    for result in node.results {
      if let message = sizeViolation(graph.type(of: result), tokens: tokens) {
        found.append(Diagnostic(message))
      }
    }
    if case .parameter(let name) = node.op {
      found += violations(ofParameter: name, node, graph)
    } else if case .input(let name) = node.op {
      found += violations(ofInput: name, type: graph.type(of: node.results[0]), tokens: tokens)
    }
    return found + batchViolations(node.op) + groupViolations(of: node, in: graph)
  }

  /// Notes the type of a cache; returns an error if an other function knows it by another one.
  private mutating func cacheViolations(_ node: Node, _ graph: Graph) -> [Diagnostic] {
    guard case .input(let name) = node.op, name.hasPrefix(Module.cachePrefix) else { return [] }
    let type = graph.type(of: node.results[0])
    guard let other = caches.updateValue(type, forKey: name), other != type else { return [] }
    return [Diagnostic("\(quoted(name)) is \(type), and \(other) in another function")]
  }

  private func batchViolations(_ op: Op) -> [Diagnostic] {
    let batch: Int
    switch op {
    case .attention(let attention), .attentionGradient(let attention): batch = attention.batch
    case .cachedAttention(let attention): batch = attention.batch
    default: return []
    }
    if batch == module.batch { return [] }
    return [Diagnostic("its batch is \(batch), and the module's is \(module.batch)")]
  }

  private func sizeViolation(_ type: ValueType, tokens: Int) -> String? {
    switch type {
    case .tensor: return nil
    case .rows(_, .dispatched, let count, _):
      if expertRows.contains(count) { return nil }
      return "\(type) has \(count) rows, and no plan of experts has"
    case .rows(_, _, let count, _):
      if count == tokens { return nil }
      return "\(type) has \(count) rows, and the batch has \(tokens) tokens"
    case .plan(let plan):
      if plan.tokens == tokens, plan.experts != nil || plan.segments == module.modalities.count {
        return nil
      }
      return "\(type) is not of the batch's \(tokens) tokens and "
        + "\(module.modalities.count) modalities"
    }
  }

  private func violations(
    ofParameter name: String, _ node: Node, _ graph: Graph
  ) -> [Diagnostic] {
    guard let declared = types[name] else {
      return [Diagnostic("the module declares no parameter `@\(name)`")]
    }
    let found = graph.type(of: node.results[0])
    if found == declared { return [] }
    return [Diagnostic("`@\(name)` is \(found), and the module declares \(declared)")]
  }

  private func violations(ofInput name: String, type: ValueType, tokens: Int) -> [Diagnostic] {
    if name == "plan" {
      if type.isModalityPlan { return [] }
      return [Diagnostic("\"plan\" is \(type), and not a plan of modalities")]
    }
    if name.hasPrefix(Module.cachePrefix) { return violations(ofCache: name, type: type) }
    if name.hasPrefix(Module.countPrefix) {
      if type == .tensor(.i32, []) { return [] }
      return [Diagnostic("\(quoted(name)) is \(type), and not i32[]")]
    }
    if let width = module.continuousInputs[name] {
      if case .rows(.f32, _, _, width) = type { return [] }
      return [Diagnostic("\(quoted(name)) is \(type), and not f32[T=\(tokens), \(width)]")]
    }
    guard Module.inputs.contains(name) else {
      return [
        Diagnostic(
          "no input is called \(quoted(name))",
          suggestion: suggestion(for: name, among: Module.inputs + ["plan"])
            ?? "inputs are \((Module.inputs + ["plan"]).joined(separator: ", "))")
      ]
    }
    if case .rows(.i32, _, _, 1) = type { return [] }
    return [Diagnostic("\(quoted(name)) is \(type), and not i32[T=\(tokens), 1]")]
  }

  private func violations(ofCache name: String, type: ValueType) -> [Diagnostic] {
    guard let context = module.context else {
      return [Diagnostic("\(quoted(name)) is a cache, and the module has no `context`")]
    }
    if case .tensor(.f32, let shape) = type, shape.count == 3,
      shape[...1] == [module.batch, context]
    {
      return []
    }
    return [
      Diagnostic("\(quoted(name)) is \(type), and not f32[\(module.batch), \(context), width]")
    ]
  }

  /// Returns how `node` reads the parameter `name` of experts as something else.
  private func expertViolation(
    of node: Node, in graph: Graph, _ groups: Groups, _ name: String, _ experts: Int
  ) -> Diagnostic? {
    let count = module.parameter(name)?.tensorCount ?? 0
    if groups.ofSegment == Array(0..<count), let plan = node.operands.last,
      case .routeExperts(let routing, let map) = graph.definition(of: plan).op,
      routing.experts == experts, map.ofSegment == groupMaps[name] ?? map.ofSegment
    {
      return nil
    }
    return Diagnostic(
      "`@\(name)` has \(experts) experts, and is read by a plan of others",
      suggestion: "take the plan of a `route.experts` of its groups")
  }

  private func groupViolations(of node: Node, in graph: Graph) -> [Diagnostic] {
    guard let groups = node.op.groups else { return [] }
    return node.operands.compactMap { operand in
      guard case .parameter(let name) = graph.definition(of: operand).op else { return nil }
      if let experts = module.parameter(name)?.experts {
        return expertViolation(of: node, in: graph, groups, name, experts)
      }
      guard let declared = groupMaps[name], declared != groups.ofSegment else { return nil }
      return Diagnostic(
        "`groups` is \(groups.text), and the groups of `@\(name)` make it \(Groups(declared).text)")
    }
  }
}

extension Graph {
  /// The numbers of rows of the plans of experts.
  fileprivate var expertRows: Set<Int> {
    Set(
      values.compactMap { value in
        if case .plan(let plan) = value.type, plan.experts != nil { plan.rows } else { nil }
      })
  }
}
