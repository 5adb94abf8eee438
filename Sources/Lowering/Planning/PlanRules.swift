internal import MoTIR

// What kernels ask of a function beyond the rules of the graph. IR text may say more than kernels
// compute; what they cannot is refused here, before any of it is planned:
// 1. A function's name is a symbol, and not that of an entry that every plan has.
// 2. Outputs are of f32. An output `grad.PARAMETER` has its parameter's type and is of `gradients`.
// 3. Matrices of matmuls are parameters, one matrix or one a group.
// 4. Indices are bounded: they come from an input whose checked values are below what they index.
// 5. A cache is an input `cache.…` that one `attention.cached` reads; its new contents are the output of its name,
//    and nothing else. Its slots are the input `slots`, and what it sees is the input `visible`.
// 6. An input by plan takes the plan of the batch: the input or the route of `modality`.

/// Returns why `function` cannot be planned; nothing if it can.
func planViolations(of function: Function, in module: Module) -> [Diagnostic] {
  PlanRules(function: function, module: module).violations
}

private struct PlanRules {
  let function: Function
  let module: Module
  /// For each value, the nodes that read it.
  let users: [[NodeID]]
  var graph: Graph { function.graph }

  init(function: Function, module: Module) {
    self.function = function
    self.module = module
    users = function.graph.users()
  }

  var violations: [Diagnostic] {
    nameViolations + graph.outputs.flatMap(violations(of:)) + graph.nodes.flatMap(violations(of:))
  }

  // MARK: Names and outputs

  private var nameViolations: [Diagnostic] {
    let name = function.name
    if ["update", "pack", "accumulate"].contains(name) {
      return [
        Diagnostic(
          "a function is called `@\(name)`, as the entry that every compiled model has",
          suggestion: "give it another name")
      ]
    }
    if name.utf8.contains(0) {
      return [Diagnostic("a function's name holds a NUL", suggestion: "give it another name")]
    }
    return []
  }

  private func violations(of output: Graph.Output) -> [Diagnostic] {
    let type = graph.type(of: output.value)
    let place = graph.definition(of: output.value).location
    guard type.element == .f32 else {
      return [
        Diagnostic(
          "output \"\(output.name)\" of `@\(function.name)` is \(type), and outputs are f32",
          at: place, suggestion: "leave it out")
      ]
    }
    guard let parameter = output.gradientParameter.flatMap(module.parameter) else { return [] }
    if function.name != "gradients" {
      return [
        Diagnostic(
          "`@\(function.name)` returns \"\(output.name)\", which `@gradients` alone may", at: place,
          suggestion: "give the output another name")
      ]
    }
    if type != parameter.type {
      return [
        Diagnostic(
          "\"\(output.name)\" is \(type), and the parameter is \(parameter.type)", at: place,
          suggestion: "give the output another name")
      ]
    }
    return []
  }

  // MARK: Nodes

  private func violations(of node: Node) -> [Diagnostic] {
    switch node.op {
    case .linear, .linearInputGradient: matrixViolations(node)
    case .headLoss, .headLossGradient:
      matrixViolations(node)
        + indexViolations(
          node, node.operands[2], below: leadingDimension(node.operands[1]), allowsNegative: true)
    case .crossEntropy, .crossEntropyGradient:
      indexViolations(
        node, node.operands[1], below: graph.type(of: node.operands[0]).width ?? 0,
        allowsNegative: true)
    case .embed:
      indexViolations(
        node, node.operands[0], below: leadingDimension(node.operands[1]), allowsNegative: false)
    case .embedGradient(let vocabulary):
      indexViolations(node, node.operands[0], below: vocabulary, allowsNegative: false)
    case .rotary:
      indexViolations(
        node, node.operands[1], below: module.positionLimit,
        allowsNegative: false)
    case .input(let name) where name.hasPrefix(Module.cachePrefix):
      cacheReaderViolations(node, name)
    case .input: planViolations(node)
    case .parameter, .constant, .route, .sync, .gather, .scatter, .routeExperts, .dispatch,
      .combine,
      .gates, .gatesGradient, .balance, .logSumExponentials, .linearWeightGradient, .norm,
      .normGradient, .channelMultiply, .channelAdd, .columnSum, .attention, .attentionGradient,
      .unary, .binary, .rowSum, .sum, .tokenWeights:
      []
    case .cachedAttention:
      (0..<2).flatMap { cacheViolations(node, $0) } + slotViolations(node)
    }
  }

  private func leadingDimension(_ value: ValueID) -> Int {
    if case .tensor(_, let shape) = graph.type(of: value) { shape.first ?? 0 } else { 0 }
  }

  private func matrixViolations(_ node: Node) -> [Diagnostic] {
    let data = node.operands.count - (node.op.groups == nil ? 0 : 1)
    return node.op.weightPositions(data).compactMap { position in
      let value = node.operands[position]
      guard case .parameter(let name) = graph.definition(of: value).op else {
        return Diagnostic(
          "\(node.op.mnemonic) takes a \(graph.type(of: value)) that is computed as its weight; "
            + "matrices are parameters", at: node.location,
          suggestion: "make the weight a parameter of the module")
      }
      let declared = module.parameter(name)
      let isGrouped = node.op.groups != nil
      if declared?.shape.count == 2, declared?.isGrouped == isGrouped { return nil }
      return Diagnostic(
        "\(node.op.mnemonic) takes `@\(name)` as \(isGrouped ? "one matrix a group" : "one matrix"), "
          + "and it is declared as something else", at: node.location,
        suggestion: isGrouped
          ? "declare it as f32[out, in] by its modalities" : "declare it as f32[out, in]")
    }
  }

  // MARK: Caches

  /// Returns what is wrong with cache `index` of an attention: keys or values.
  private func cacheViolations(_ node: Node, _ index: Int) -> [Diagnostic] {
    let (cache, result) = (node.operands[3 + index], node.results[1 + index])
    guard case .input(let name) = graph.definition(of: cache).op else {
      return [
        Diagnostic(
          "\(node.op.mnemonic) goes on from a cache that is computed", at: node.location,
          suggestion: "take it from an input called cache.NAME")
      ]
    }
    let names = graph.outputs.filter { $0.value == result }.map(\.name)
    guard names == [name], users[result.index].isEmpty else {
      return [
        Diagnostic(
          "the cache \"\(name)\" changes in place: what it becomes is the output of its name, and "
            + "nothing else reads it", at: node.location,
          suggestion: "return it as \"\(name)\"")
      ]
    }
    return []
  }

  /// Returns an error for each operand whose numbers may be outside of a cache.
  private func slotViolations(_ node: Node) -> [Diagnostic] {
    zip(node.operands[5...], ["slots", "visible"]).compactMap { operand, name in
      if graph.definition(of: operand).op == .input(name) { return nil }
      return Diagnostic(
        "\(node.op.mnemonic) takes \"\(inputName(operand) ?? "?")\" as \(name), whose values may be "
          + "anything", at: node.location, suggestion: "take the input \"\(name)\"")
    }
  }

  /// Returns an error unless one attention, in one place, reads the cache that `node` is.
  private func cacheReaderViolations(_ node: Node, _ name: String) -> [Diagnostic] {
    let inputs = graph.nodes.filter { $0.op == node.op }
    let uses = inputs.flatMap { users[$0.results[0].index] }
    let isOutput = graph.outputs.contains { $0.value == node.results[0] }
    if !isOutput, uses.count == 1, case .cachedAttention = graph[uses[0]].op { return [] }
    return [
      Diagnostic(
        "the cache \"\(name)\" is read by other than one attention.cached", at: node.location,
        suggestion: "give every attention caches of its own")
    ]
  }

  // MARK: Indices and plans

  private func indexViolations(
    _ node: Node, _ index: ValueID, below count: Int, allowsNegative: Bool
  ) -> [Diagnostic] {
    let vocabulary = max(1, module.modalities.map(\.vocabulary.upperBound).max() ?? 1)
    let bound: Int?
    let name = inputName(index)
    switch name {
    case "tokens": bound = vocabulary
    case "positions": bound = module.positionLimit
    case "targets": bound = allowsNegative ? vocabulary : nil
    case "modality": bound = allowsNegative ? max(1, module.modalities.count) : nil
    default: bound = nil
    }
    if let bound, bound <= count { return [] }
    let values = bound.map { "are below \($0)" } ?? "may be anything"
    return [
      Diagnostic(
        "\(node.op.mnemonic) looks up one of \(count) by \"\(name ?? "?")\", whose values \(values)",
        at: node.location,
        suggestion: "look up by an input whose values are all below \(count)")
    ]
  }

  /// Returns the input whose rows, in any order, `value` holds.
  private func inputName(_ value: ValueID) -> String? {
    var value = value
    while true {
      let node = graph.definition(of: value)
      switch node.op {
      case .input(let name): return name
      case .gather, .scatter: value = node.operands[0]
      default: return nil
      }
    }
  }

  private func planViolations(_ node: Node) -> [Diagnostic] {
    guard var plan = node.operands.first else { return [] }
    while case .sync = graph.definition(of: plan).op {
      plan = graph.definition(of: plan).operands[0]
    }
    let source = graph.definition(of: plan)
    if case .input = source.op { return [] }
    if case .route = source.op,
      graph.definition(of: source.operands[0]).op == .input("modality"),
      graph.type(of: source.operands[0]).order == .sequence
    {
      return []
    }
    return [
      Diagnostic(
        "an input is taken by a plan that is not the batch's", at: node.location,
        suggestion: "take it by the input \"plan\" or by the route of \"modality\"")
    ]
  }
}
