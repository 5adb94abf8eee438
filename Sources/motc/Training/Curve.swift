/// Points of a curve, thinned as they come: however many there are, a few hundred means stay.
struct Curve {
  /// Points that are drawn, at most.
  private static let limit = 200

  /// A mean of points that follow each other.
  private struct Bucket {
    var x: Double
    var y: Double
    var count: Double
  }

  private var buckets: [Bucket] = []
  /// How many points a bucket takes.
  private(set) var size = 1

  /// The means.
  var points: [(x: Double, y: Double)] { buckets.map { ($0.x, $0.y) } }

  /// Adds a point behind those before.
  mutating func add(_ x: Double, _ y: Double) {
    guard let last = buckets.last, last.count < Double(size) else {
      if buckets.count == Self.limit { halve() }
      return buckets.append(Bucket(x: x, y: y, count: 1))
    }
    buckets[buckets.count - 1] = Self.mean(last, Bucket(x: x, y: y, count: 1))
  }

  /// Joins the points two by two.
  private mutating func halve() {
    buckets = stride(from: 0, to: buckets.count, by: 2).map { index in
      Self.mean(buckets[index], buckets[index + 1])
    }
    size *= 2
  }

  private static func mean(_ a: Bucket, _ b: Bucket) -> Bucket {
    let share = b.count / (a.count + b.count)
    // Differences could overflow.
    return Bucket(
      x: a.x * (1 - share) + b.x * share, y: a.y * (1 - share) + b.y * share,
      count: a.count + b.count)
  }
}
