/// Where two runs reach the same validation losses, and what the one takes of the other's steps for them.
struct StepMatch {
  /// Two places of one loss.
  struct Pair {
    let loss: Double
    let base: FallingCurve.Places
    let other: FallingCurve.Places
  }

  /// Pairs that a line takes.
  static let fewest = 3

  /// The loss that is matched.
  let name: String
  /// A pair for each validation of the base run at which its loss is lower than before, where there is one.
  private(set) var pairs: [Pair] = []
  /// How many losses of the base run the other one does not come down to.
  private(set) var missed = 0
  /// How many losses the other run was below at its first validation.
  private(set) var early = 0

  /// Matches the loss `name` of two runs.
  ///
  /// - Complexity: O(n + m) for n and m validations.
  init(_ name: String, of base: FallingCurve, _ other: FallingCurve) {
    self.name = name
    var index = 0
    for low in base.lows {
      while index < other.points.count, other.points[index].loss > low.loss { index += 1 }
      if index == other.points.count {
        missed += 1
      } else if let places = other.places(of: low.loss, by: index) {
        pairs.append(Pair(loss: low.loss, base: low.places, other: places))
      } else {
        early += 1
      }
    }
  }

  /// Returns the pairs' places on `axis`, those of the base run first.
  func places(_ axis: CurvesPlot.Axis) -> [(base: Double, other: Double)] {
    pairs.compactMap { pair in
      guard let base = pair.base[axis], let other = pair.other[axis] else { return nil }
      return (base, other)
    }
  }

  /// Returns the slope of the line through the origin that fits the pairs by least squares: Σ b o / Σ b²; `nil` for
  /// fewer than three pairs.
  func share(_ axis: CurvesPlot.Axis) -> Double? {
    let places = places(axis)
    let squares = places.reduce(0) { $0 + $1.base * $1.base }
    guard places.count >= Self.fewest, squares > 0 else { return nil }
    return places.reduce(0) { $0 + $1.base * $1.other } / squares
  }

  /// Returns the slope of the last pair alone: what the lowest loss that both reach takes.
  func lastShare(_ axis: CurvesPlot.Axis) -> Double? {
    places(axis).last.flatMap { $0.base > 0 ? $0.other / $0.base : nil }
  }
}
