/// The sizes of a routing plan, and how it lies in memory, as i32: offsets (padded to whole cache lines), rows, slots.
///
/// A plan of modalities has all tokens, each once. A plan of experts has those that some expert takes, once for each
/// expert that does: how many is known when it is made, and `rows` is the most.
public struct PlanLayout: Hashable, Sendable {
  /// The rows that the plan has room for; those after `offsets[segments]` are in no segment.
  public let rows: Int
  /// Segments of the plan.
  public let segments: Int
  /// Tokens that the rows come from.
  public let tokens: Int
  /// The experts of a group, whose segments are neighbours; `nil` for a plan of modalities.
  public let experts: Int?

  /// Creates the layout of a plan of modalities: `tokens` tokens over `segments` segments.
  public init(tokens: Int, segments: Int) {
    self.init(rows: tokens, segments: segments, tokens: tokens, experts: nil)
  }

  /// Creates the layout of any plan.
  public init(rows: Int, segments: Int, tokens: Int, experts: Int?) {
    self.rows = rows
    self.segments = segments
    self.tokens = tokens
    self.experts = experts
  }

  /// The order of rows that are routed by the plan.
  public var order: RowOrder { experts == nil ? .grouped : .dispatched }
  /// Where in memory rows of tokens go: a place for each expert, or one.
  public var slotsOfToken: Int { experts ?? 1 }
  /// The index of `rows[0]`.
  public var firstRow: Int { (segments + 1 + 15) / 16 * 16 }
  /// The index of `slots[0]`.
  public var firstSlot: Int { firstRow + rows }
  /// The size in bytes.
  public var bytes: Int { (firstSlot + tokens * slotsOfToken) * 4 }
}
