// The derivative of each op, as a graph: dx is the gradient of the loss by x.
// T tokens, K segments, G groups, D row width, N output width, V vocabulary.

extension ReversePass {
  /// Adds to the gradients of the operands of `node`, given those of its results.
  ///
  /// - Throws: `Diagnostic` if the op has no derivative.
  mutating func differentiate(_ node: Node) throws(Diagnostic) {
    switch node.op {
    case .input, .parameter, .constant, .route, .sync, .tokenWeights, .routeExperts, .balance:
      return
    case .gather: try permute(node, back: .scatter)
    case .scatter: try permute(node, back: .gather)
    case .dispatch: try dispatch(node, back: .combine)
    case .combine: try dispatch(node, back: .dispatch)
    case .gates: try gates(node)
    case .logSumExponentials: try logSumExponentials(node)
    case .linear(let groups): try linear(node, groups)
    case .norm(let norm, let groups): try self.norm(node, norm, groups)
    case .channelMultiply(let groups): try channelMultiply(node, groups)
    case .channelAdd(let groups): try channelAdd(node, groups)
    case .columnSum(let groups, _): try columnSum(node, groups)
    case .rotary(let rotary): try self.rotary(node, rotary)
    case .attention(let attention): try self.attention(node, attention)
    case .unary(let function): try unary(node, function)
    case .binary(let function): try binary(node, function)
    case .rowSum, .sum: try sum(node)
    case .embed: try embed(node)
    case .crossEntropy: try crossEntropy(node)
    case .headLoss: try headLoss(node)
    case .cachedAttention:
      throw Diagnostic(
        "attention.cached has no derivative: it is for generation", at: node.location,
        suggestion: "differentiate a loss that attends by `attention`")
    case .linearInputGradient, .linearWeightGradient, .normGradient, .attentionGradient,
      .embedGradient, .crossEntropyGradient, .headLossGradient, .gatesGradient:
      throw Diagnostic(
        "\(node.op.mnemonic) is a gradient already, and has no derivative", at: node.location,
        suggestion: "differentiate the loss once only")
    }
  }

  /// y = x permuted by the plan; dx = dy permuted back.
  private mutating func permute(_ node: Node, back: Op) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    try add(emit(back, [dy, node.operands[1]]), to: node.operands[0])
  }

  /// yᵢ = x wᵢᵀ; dx = Σ dyᵢ wᵢ, dwᵢ = dyᵢᵀ x.
  private mutating func linear(_ node: Node, _ groups: Groups?) throws(Diagnostic) {
    let x = node.operands[0]
    let plan = plan(of: node, groups)
    var (pairs, weights, outputs): ([ValueID], [ValueID], [ValueID]) = ([], [], [])
    for (index, result) in node.results.enumerated() {
      guard let dy = gradient(of: result) else { continue }
      let weight = node.operands[index + 1]
      pairs += [dy, weight]
      guard needs(weight) else { continue }
      weights.append(weight)
      outputs.append(dy)
    }
    if needs(x) { try add(emit(.linearInputGradient(groups), pairs + plan), to: x) }
    guard !weights.isEmpty else { return }
    let gradients = try emitAll(.linearWeightGradient(groups), [x] + outputs + plan)
    for (weight, gradient) in zip(weights, gradients) { try add(gradient, to: weight) }
  }

  /// y = x̂ · gain; dx by the norm's own gradient op, dgain = Σ dy · x̂ over the rows and heads.
  ///
  /// x̂ of a row of no segment is not 0, but the column sum leaves that row out.
  private mutating func norm(
    _ node: Node, _ norm: Norm, _ groups: Groups?
  ) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let x = node.operands[0]
    let rest = Array(node.operands.dropFirst())
    if needs(x) { try add(emit(.normGradient(norm, groups), [x, dy] + rest), to: x) }
    guard norm.hasGain, needs(node.operands[1]) else { return }
    let bare = Norm(norm.kind, heads: norm.heads, epsilon: norm.epsilon, hasGain: false)
    let hat = try emit(.norm(bare, nil), [x])
    let product = try emit(.binary(.multiply), [dy, hat])
    let plan = plan(of: node, groups)
    try add(
      emit(.columnSum(groups, parts: norm.heads), [product] + plan), to: node.operands[1])
  }

  /// y = x · c; dx = dy · c, dc = Σ dy · x over the rows and repeats.
  private mutating func channelMultiply(_ node: Node, _ groups: Groups?) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let (x, c) = (node.operands[0], node.operands[1])
    let plan = plan(of: node, groups)
    if needs(x) { try add(emit(.channelMultiply(groups), [dy, c] + plan), to: x) }
    guard needs(c) else { return }
    let product = try emit(.binary(.multiply), [dy, x])
    try add(emit(.columnSum(groups, parts: repeats(node)), [product] + plan), to: c)
  }

  /// y = x + c; dx = dy, dc = Σ dy over the rows and repeats.
  ///
  /// A row without a group has y = 0, so its dx is 0: dy times 1, routed, unless x is 0 there anyway.
  private mutating func channelAdd(_ node: Node, _ groups: Groups?) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let (x, c) = (node.operands[0], node.operands[1])
    let plan = plan(of: node, groups)
    if needs(x) {
      if let groups, let routing = plan.first, !ignoresUnrouted(x, groups, by: routing) {
        let ones = try emit(.constant(1), type: type(of: c))
        try add(emit(.channelMultiply(groups), [dy, ones, routing]), to: x)
      } else {
        try add(dy, to: x)
      }
    }
    guard needs(c) else { return }
    try add(emit(.columnSum(groups, parts: repeats(node)), [dy] + plan), to: c)
  }

  /// c = Σ x over the rows and repeats; dx = 0 + dc.
  private mutating func columnSum(_ node: Node, _ groups: Groups?) throws(Diagnostic) {
    guard let dc = gradient(of: node.results[0]) else { return }
    let x = node.operands[0]
    let zeros = try emit(.constant(0), type: type(of: x))
    try add(emit(.channelAdd(groups), [zeros, dc] + plan(of: node, groups)), to: x)
  }

  /// y = x turned; dx = dy turned back.
  private mutating func rotary(_ node: Node, _ rotary: Rotary) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let back = Rotary(
      heads: rotary.heads, base: rotary.base, layout: rotary.layout, inverse: !rotary.inverse)
    try add(emit(.rotary(back), [dy, node.operands[1]]), to: node.operands[0])
  }

  /// (o, lse) = attention(q, k, v, …); dq, dk, dv by attention's own gradient op.
  private mutating func attention(_ node: Node, _ attention: Op.Attention) throws(Diagnostic) {
    let (output, total) = (node.results[0], node.results[1])
    guard gradient(of: total) == nil else {
      throw Diagnostic(
        "attention: its log-sum-exp has no derivative", at: node.location,
        suggestion: "let the loss depend on the output rows only")
    }
    guard let dy = gradient(of: output) else { return }
    let operands =
      Array(node.operands[..<3]) + [output, total, dy] + Array(node.operands[3...])
    let gradients = try emitAll(.attentionGradient(attention), operands)
    for (operand, gradient) in zip(node.operands, gradients) { try add(gradient, to: operand) }
  }

  /// y = rows of the table; dtable = Σ dy over the rows of each token.
  private mutating func embed(_ node: Node) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]),
      case .tensor(_, let shape) = type(of: node.operands[1])
    else { return }
    let rule = Op.embedGradient(vocabulary: shape[0])
    try add(emit(rule, [node.operands[0], dy]), to: node.operands[1])
  }

  /// loss = −log softmax(x)[target]; dx = (softmax(x) − onehot(target)) · dloss.
  private mutating func crossEntropy(_ node: Node) throws(Diagnostic) {
    guard let dloss = gradient(of: node.results[0]) else { return }
    try add(emit(.crossEntropyGradient, node.operands + [dloss]), to: node.operands[0])
  }

  /// loss = crossEntropy(x wᵀ); dx and dw by the loss's own gradient op.
  private mutating func headLoss(_ node: Node) throws(Diagnostic) {
    guard let dloss = gradient(of: node.results[0]) else { return }
    let results = try emitAll(.headLossGradient, node.operands + [dloss])
    try add(results[1], to: node.operands[0])
    try add(results[2], to: node.operands[1])
  }

  // MARK: Helpers

  /// Returns the plan of `node` as a list, which is empty for a tied node.
  private func plan(of node: Node, _ groups: Groups?) -> [ValueID] {
    groups == nil ? [] : Array(node.operands.suffix(1))
  }

  /// Returns how often a channel op's second operand repeats over a row.
  private func repeats(_ node: Node) -> Int {
    guard let width = type(of: node.operands[0]).width,
      case .tensor(_, let shape) = type(of: node.operands[1]), let channels = shape.last
    else { return 1 }
    return width / channels
  }

  /// `true` iff `rows` come from an op that gives 0 at the rows of `plan` that have none of `groups`, whatever
  /// their gradient there.
  private func ignoresUnrouted(_ rows: ValueID, _ groups: Groups, by plan: ValueID) -> Bool {
    let node = graph.definition(of: rows)
    switch node.op {
    case .gather, .scatter: return ignoresUnrouted(node.operands[0], groups, by: plan)
    default:
      guard let its = node.op.groups, let own = node.operands.last else { return false }
      return origin(of: own) == origin(of: plan)
        && zip(its.ofSegment, groups.ofSegment).allSatisfy {
          $0 == Groups.none || $1 != Groups.none
        }
    }
  }

  /// Returns what a plan is made from: the node without its place, so that equal plans compare equal.
  private func origin(of plan: ValueID) -> [AnyHashable] {
    let node = graph.definition(of: plan)
    if case .sync = node.op { return origin(of: node.operands[0]) }
    return [node.op, node.operands]
  }
}
