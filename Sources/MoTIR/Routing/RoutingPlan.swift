/// Where each token goes: the tokens sorted by segment, and the way back.
///
/// In a plan of modalities tokens of no segment come last, after `offsets[K]`, so that `rows` is a permutation.
/// `PlanLayout` says what a plan of experts is.
public struct RoutingPlan: Hashable, Sendable {
  /// Position → token. [R]
  public let rows: [Int32]
  /// Token → its positions. [T], or [T, E] by expert
  public let slots: [Int32]
  /// Segment k holds the positions `offsets[k]..<offsets[k + 1]`. [K + 1]
  public let offsets: [Int32]

  /// Creates a plan from its parts.
  package init(rows: [Int32], slots: [Int32], offsets: [Int32]) {
    self.rows = rows
    self.slots = slots
    self.offsets = offsets
  }

  /// Creates the plan of tokens with these modality ids; ids outside `0..<segments` are in no segment.
  ///
  /// - Complexity: O(T + K): a counting sort, stable inside a segment.
  public init(modality: [Int32], segments: Int) {
    var offsets = [Int32](repeating: 0, count: segments + 1)
    for id in modality where id >= 0 && id < segments { offsets[Int(id) + 1] += 1 }
    for segment in 0..<segments { offsets[segment + 1] += offsets[segment] }
    var next = offsets
    var rows = [Int32](repeating: 0, count: modality.count)
    var slots = rows
    for (token, id) in modality.enumerated() {
      let segment = id >= 0 && id < segments ? Int(id) : segments
      rows[Int(next[segment])] = Int32(token)
      slots[token] = next[segment]
      next[segment] += 1
    }
    self.rows = rows
    self.slots = slots
    self.offsets = offsets
  }

  /// The number of segments.
  public var segments: Int { offsets.count - 1 }

  /// Returns the positions of segment `segment`.
  public func range(of segment: Int) -> Range<Int> {
    Int(offsets[segment])..<Int(offsets[segment + 1])
  }
}
