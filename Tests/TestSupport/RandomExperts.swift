import MoTIR

/// A block of experts, drawn apart so that graphs without one are as they were.
extension RandomGraphMaker {
  /// Returns x with a random block of experts.
  mutating func experts(_ x: ValueID) throws(TypingError) -> ValueID {
    let count = random.integer(in: 2...4)
    let map = groups() ?? Groups([Int](repeating: 0, count: vocabulary.count))
    let rules = [
      ExpertRouting.Rule.top(1), .top(2), .capacity(1), .capacity(0.4), .capacity(1.7),
    ]
    let routing = ExpertRouting(experts: count, rule: random.pick(rules))
    let (name, plan) = (next("feed_forward"), try b.nextPlan())
    let rows = try b.add(.gather, [x, plan])
    let router = try b.parameter("\(name).router.weight", [count, width], map)
    let scores = try b.add(.linear(map), [rows, router, plan])
    let total = try b.add(.logSumExponentials, [scores])
    let probabilities = try b.unary(.exponential, b.binary(.subtract, scores, total))
    let experts = try b.add(.routeExperts(routing, map), [probabilities, plan])
    let taken = try b.add(.dispatch, [rows, experts])
    let y = try network(taken, name, map, count: count, by: experts)
    let weighted = try b.binary(.multiply, y, b.add(.gates, [probabilities, experts]))
    let sum = try b.add(.combine, [weighted, experts])
    return try b.add(.scatter, [b.binary(.add, rows, sum), plan])
  }

  /// Returns what experts make of their rows: routed and tied ops, some of them over all rows.
  private mutating func network(
    _ x: ValueID, _ name: String, _ map: Groups, count: Int, by plan: ValueID
  ) throws(TypingError) -> ValueID {
    let hidden = random.integer(in: 3...13)
    let own = Groups(Array(0..<(map.count * count)))
    var x = x
    if random.chance(0.4) {
      let gain = try b.parameter("\(name).expert.norm.weight", [width], map, experts: count)
      x = try b.add(.norm(Norm(.rms), own), [x, gain, plan])
    }
    let up = try b.parameter("\(name).expert.up.weight", [hidden, width], map, experts: count)
    var inner = try b.add(.linear(own), [x, up, plan])
    if random.chance(0.4) {
      let bias = try b.parameter("\(name).expert.up.bias", [hidden], map, experts: count)
      inner = try b.add(.channelAdd(own), [inner, bias, plan])
    }
    if random.chance(0.3) {
      inner = try b.add(.channelAdd(nil), [inner, b.parameter("\(name).shift", [hidden])])
    }
    let down = try b.parameter("\(name).expert.down.weight", [width, hidden], map, experts: count)
    return try b.add(.linear(own), [b.unary(random.pick([.silu, .gelu]), inner), down, plan])
  }
}
