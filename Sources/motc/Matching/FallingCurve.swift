/// The lowest validation loss of a run so far, with straight lines between validations.
///
/// Losses of validations go up and down, and a run reaches a loss once: where it is first as low.
struct FallingCurve {
  /// Where a validation stands, by axis; an axis that the metrics lack is missing.
  typealias Places = [CurvesPlot.Axis: Double]

  /// A validation.
  struct Point {
    /// The lowest loss of this validation and those before.
    let loss: Double
    let places: Places
  }

  /// The validations in their order.
  private(set) var points: [Point] = []

  /// The validations whose loss is lower than all before.
  var lows: [Point] {
    points.indices.filter { $0 == 0 || points[$0].loss < points[$0 - 1].loss }.map { points[$0] }
  }

  /// Adds the validation behind those before.
  mutating func add(_ loss: Double, at places: Places) {
    points.append(Point(loss: min(loss, points.last?.loss ?? loss), places: places))
  }

  /// Returns where the curve reaches `loss`, which the validation `index` is the first not to be above; `nil` if that
  /// is before the first validation.
  func places(of loss: Double, by index: Int) -> Places? {
    let end = points[index]
    if end.loss == loss { return end.places }
    guard index > 0 else { return nil }
    let start = points[index - 1]
    let share = (start.loss - loss) / (start.loss - end.loss)
    return start.places.merging(end.places) { $0 + share * ($1 - $0) }
      .filter { start.places[$0.key] != nil && end.places[$0.key] != nil }
  }
}
