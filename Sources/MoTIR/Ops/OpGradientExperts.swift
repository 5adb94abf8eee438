// The derivatives of routing to experts. Who takes which token has none: gradients take the plan as it is.

extension ReversePass {
  /// y = rows that experts take, dx = the sum of each token's dy; or the other way round.
  mutating func dispatch(_ node: Node, back: Op) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    try add(emit(back, [dy, node.operands[1]]), to: node.operands[0])
  }

  /// y[r] = p[rows[r], e]; dp[rows[r], e] = dy[r].
  mutating func gates(_ node: Node) throws(Diagnostic) {
    try dispatch(node, back: .gatesGradient)
  }

  /// y = log Σ exp x; dx = exp(x − y) · dy.
  mutating func logSumExponentials(_ node: Node) throws(Diagnostic) {
    guard let dy = gradient(of: node.results[0]) else { return }
    let x = node.operands[0]
    let shifted = try emit(.binary(.subtract), [x, node.results[0]])
    let softmax = try emit(.unary(.exponential), [shifted])
    try add(emit(.binary(.multiply), [softmax, dy]), to: x)
  }
}
