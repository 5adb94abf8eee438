// The plan of experts: who takes which token. G groups, E experts of a group.

extension RoutingPlan {
  /// Creates the plan of tokens with these scores [T, E], group by group.
  ///
  /// Segment g · E + e holds the tokens, in order, that expert e of group g takes. Slot t · E + e is the row of token
  /// t there, or −1. Of equal scores the earlier token or expert wins; NaN is the worst.
  /// - Parameter groups: the tokens of each group, in order.
  init(scores: [Double], routing: ExpertRouting, groups: [[Int]], layout: PlanLayout) {
    let experts = routing.experts
    let keys = scores.map { $0.isNaN ? -Double.infinity : $0 }
    var offsets: [Int32] = [0]
    var rows: [Int32] = []
    var slots = [Int32](repeating: -1, count: layout.tokens * experts)
    for tokens in groups {
      for expert in 0..<experts {
        for token in Self.chosen(tokens, by: expert, keys, routing) {
          slots[token * experts + expert] = Int32(rows.count)
          rows.append(Int32(token))
        }
        offsets.append(Int32(rows.count))
      }
    }
    // What lies in no segment comes from any token.
    rows += [Int32](repeating: 0, count: layout.rows - rows.count)
    self.init(rows: rows, slots: slots, offsets: offsets)
  }

  /// Returns those of `tokens` that `expert` takes, in order.
  private static func chosen(
    _ tokens: [Int], by expert: Int, _ keys: [Double], _ routing: ExpertRouting
  ) -> [Int] {
    func key(_ token: Int, _ expert: Int) -> Double { keys[token * routing.experts + expert] }
    switch routing.rule {
    case .top(let count):
      return tokens.filter { token in
        (0..<routing.experts).count { other in
          key(token, other) > key(token, expert)
            || (other < expert && key(token, other) == key(token, expert))
        } < count
      }
    case .capacity(let capacity):
      let best = tokens.enumerated().sorted { a, b in
        let (left, right) = (key(a.element, expert), key(b.element, expert))
        return left > right || (left == right && a.offset < b.offset)
      }
      return best.prefix(routing.taken(of: tokens.count, capacity: capacity)).map(\.offset)
        .sorted().map { tokens[$0] }
    }
  }
}
