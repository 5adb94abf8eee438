// The meaning of routing to experts.
// T tokens, R rows of the plan of experts, E experts of a group, D row width.

extension Evaluation {
  /// Returns the plan of the scores, group by group.
  func routeExperts(
    _ routing: ExpertRouting, _ groups: Groups
  ) -> ReferenceValue.Contents {
    guard case .plan(let layout) = types[0] else { return .numbers([]) }
    var tokens = [[Int]](repeating: [], count: groups.count)
    for block in blocks(groups) { tokens[block.group] += block.rows }
    return .plan(
      RoutingPlan(scores: numbers(0), routing: routing, groups: tokens, layout: layout))
  }

  /// y[r] = x[rows[r]]; 0 where r is in no segment.
  func dispatch() -> ReferenceValue.Contents {
    let (x, width) = (numbers(0), width(0))
    var y = zeros()
    for (row, token, _) in dispatched { copy(x, token, to: &y, row, width) }
    return .numbers(y)
  }

  /// y[t] = Σ x[r] over the rows of token t.
  func combine() -> ReferenceValue.Contents {
    let (x, width) = (numbers(0), width(0))
    var y = zeros()
    for (row, token, _) in dispatched {
      addScaled(1, x, row * width, to: &y, token * width, count: width)
    }
    return .numbers(y)
  }

  /// y[r] = p[rows[r], e], e being the expert of row r; 0 where r is in no segment.
  func gates() -> ReferenceValue.Contents {
    let (p, experts) = (numbers(0), width(0))
    var y = zeros()
    for (row, token, segment) in dispatched { y[row] = p[token * experts + segment % experts] }
    return .numbers(y)
  }

  /// dp[rows[r], e] = dy[r], 0 elsewhere.
  func gatesGradient() -> ReferenceValue.Contents {
    let (dy, experts) = (numbers(0), types[0].width ?? 1)
    var dp = zeros()
    for (row, token, segment) in dispatched { dp[token * experts + segment % experts] = dy[row] }
    return .numbers(dp)
  }

  /// With n tokens of a group of which some expert takes each, r rows there, and r_e of expert e's: E r_e / r / n for
  /// each expert, and 1 / n, both over the count if there is one; 0 for other tokens.
  func balance(hasCount: Bool) -> [ReferenceValue.Contents] {
    guard let plan = operands[0].plan, let experts = types[0].width else { return [] }
    var (weights, means) = (zeros(0), zeros(1))
    let batches = Double(max(1, hasCount ? Int(integers(1)[0]) : 1))
    for first in stride(from: 0, to: plan.segments, by: experts) {
      let rows = plan.offsets[first]..<plan.offsets[first + experts]
      let tokens = Set(rows.map { Int(plan.rows[Int($0)]) })
      for token in tokens {
        means[token] = 1 / Double(tokens.count) / batches
        for expert in 0..<experts {
          let share = Double(plan.range(of: first + expert).count) / Double(rows.count)
          weights[token * experts + expert] = means[token] * share * Double(experts)
        }
      }
    }
    return [.numbers(weights), .numbers(means)]
  }

  /// y[r] = log Σ_j exp x[r, j]
  func logSumExponentials() -> ReferenceValue.Contents {
    let (x, width) = (numbers(0), width(0))
    return .numbers(
      (0..<rows(0)).map { logSumExponentials(x[($0 * width)..<(($0 + 1) * width)]) })
  }

  /// The rows in segments of the plan that is the last operand, with their tokens and segments.
  private var dispatched: [(row: Int, token: Int, segment: Int)] {
    guard let plan = operands.last?.plan else { return [] }
    return (0..<plan.segments).flatMap { segment in
      plan.range(of: segment).map { ($0, Int(plan.rows[$0]), segment) }
    }
  }

  private func copy(
    _ x: [Double], _ from: Int, to y: inout [Double], _ row: Int, _ width: Int
  ) {
    for j in 0..<width { y[row * width + j] = x[from * width + j] }
  }
}
