/// How the tokens of a group find their experts. T tokens, G groups, E experts of a group, n tokens of one group.
public struct ExpertRouting: Hashable, Sendable {
  /// Who chooses.
  public enum Rule: Hashable, Sendable {
    /// Each expert takes its ⌈capacity · n / E⌉ best tokens, at most all of them.
    case capacity(Double)
    /// Each token takes its best experts, so many.
    case top(Int)
  }

  /// E
  public let experts: Int
  /// Who chooses.
  public let rule: Rule

  /// Creates a routing.
  public init(experts: Int, rule: Rule) {
    self.experts = experts
    self.rule = rule
  }

  /// Returns how many of `count` tokens an expert takes that chooses; of equal arithmetic in compiled code.
  func taken(of count: Int, capacity: Double) -> Int {
    let share = min(capacity * Double(count) / Double(experts), Double(count))
    return Int(share.rounded(.up))
  }

  /// Returns the layout of the plan of `tokens` tokens in `groups` groups.
  ///
  /// Every group may round up what its experts take.
  /// - Requires: the routing is sound, and `tokens` and `experts` within the limits of the IR.
  func layout(tokens: Int, groups: Int) -> PlanLayout {
    let taken =
      switch rule {
      case .top(let count): tokens * count
      case .capacity(let capacity):
        experts * min(tokens, taken(of: tokens, capacity: capacity) + (groups > 1 ? groups : 0))
      }
    return PlanLayout(
      rows: max(1, taken), segments: groups * experts, tokens: tokens, experts: experts)
  }
}
