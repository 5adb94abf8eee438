/// How a routing plan lies in memory, as i32: offsets (padded to whole cache lines), rows, slots.
public struct PlanLayout: Hashable, Sendable {
  /// Tokens of the plan.
  public let tokens: Int
  /// Segments of the plan.
  public let segments: Int

  /// Creates the layout of a plan of `tokens` tokens and `segments` segments.
  public init(tokens: Int, segments: Int) {
    self.tokens = tokens
    self.segments = segments
  }

  /// The index of `rows[0]`.
  public var rows: Int { (segments + 1 + 15) / 16 * 16 }
  /// The index of `slots[0]`.
  public var slots: Int { rows + tokens }
  /// The size in bytes.
  public var bytes: Int { (slots + tokens) * 4 }
}
