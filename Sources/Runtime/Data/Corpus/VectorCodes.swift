/// Vectors that stand for all that are near them: K codes of D elements, one for each cluster of k-means.
struct VectorCodes: Hashable, Sendable {
  /// Elements of a vector, D.
  let width: Int
  /// The codes. [K, D]
  private(set) var values: [Float]

  /// The number of codes, K.
  var count: Int { values.count / width }

  /// Creates codes of these values, `[K, width]`.
  init(width: Int, values: [Float]) {
    precondition(width > 0 && values.count.isMultiple(of: width), "codes are not whole vectors")
    self.width = width
    self.values = values
  }

  /// Returns code `index`.
  subscript(index: Int) -> ArraySlice<Float> { values[(index * width)..<((index + 1) * width)] }

  /// Returns the number of the nearest code for each of `vectors`, the lowest of those that are equally near.
  ///
  /// - Parameter vectors: `[N, D]`.
  func nearest(_ vectors: [Float]) -> [Int] {
    let total = vectors.count / width
    let squares = (0..<count).map { squaredNorm(self[$0]) }
    // As many at a time as keep the products in the second cache.
    let most = max(1, (1 << 18) / count)
    var found: [Int] = []
    found.reserveCapacity(total)
    for start in stride(from: 0, to: total, by: most) {
      let rows = min(most, total - start)
      let products = matrixProduct(
        vectors[(start * width)..<((start + rows) * width)], values, rows: rows, inner: width,
        transposed: true)
      for row in 0..<rows {
        found.append(Self.nearest(products[(row * count)..<((row + 1) * count)], squares))
      }
    }
    return found
  }

  /// Returns the number of the code that is nearest to a vector.
  ///
  /// - Parameters:
  ///   - products: the vector's with each code. [K]
  ///   - squares: |c|² of each code. [K]
  private static func nearest(_ products: ArraySlice<Float>, _ squares: [Float]) -> Int {
    // |c - x|² = |x|² + (|c|² - 2 c · x), of which the first is the same for all codes.
    var best = (code: 0, distance: Float.infinity)
    for (code, product) in products.enumerated() {
      let distance = squares[code] - 2 * product
      if distance < best.distance { best = (code, distance) }
    }
    return best.code
  }

  // MARK: Learning

  /// Returns `count` codes for `vectors`: k-means++, then at most `rounds` rounds of Lloyd's algorithm.
  ///
  /// Where there are fewer different vectors than codes, the last ones stand for none.
  ///
  /// - Parameters:
  ///   - vectors: `[N, width]`, at least one.
  ///   - seed: equal seeds give equal codes.
  static func learned(
    _ vectors: [Float], width: Int, count: Int, seed: UInt64, rounds: Int = 20
  ) -> VectorCodes {
    var codes = spread(vectors, width: width, count: count, seed: seed)
    for _ in 0..<rounds {
      let before = codes
      codes.moveToMeans(of: vectors)
      if codes == before { break }
    }
    return codes
  }

  /// Returns vectors far from each other: each is drawn with a chance that grows with its squared distance from
  /// those before it (k-means++).
  private static func spread(
    _ vectors: [Float], width: Int, count: Int, seed: UInt64
  ) -> VectorCodes {
    let total = vectors.count / width
    let random = CounterRandom(seed: seed, name: "codes")
    func vector(_ index: Int) -> ArraySlice<Float> {
      vectors[(index * width)..<((index + 1) * width)]
    }
    let squares = (0..<total).map { squaredNorm(vector($0)) }
    var chosen = random.integer(0, below: total)
    var values = Array(vector(chosen))
    var distances = [Float](repeating: .infinity, count: total)
    for number in 1..<max(1, count) {
      let products = matrixProduct(
        vectors[...], Array(vector(chosen)), rows: total, inner: width, transposed: true)
      for index in distances.indices {
        let distance = squares[index] + squares[chosen] - 2 * products[index]
        distances[index] = min(distances[index], max(0, distance))
      }
      // A vector that was chosen is no longer drawn, however its distance is rounded.
      distances[chosen] = 0
      guard let next = drawn(distances, random.uniform(number)) else {
        // All vectors are chosen: what is left repeats the last one, and no vector is nearest to it.
        values += repeatElement(vector(chosen), count: count - number).joined()
        break
      }
      chosen = next
      values += vector(chosen)
    }
    return VectorCodes(width: width, values: values)
  }

  /// Returns an index with a chance that grows with its share of the sum of `weights`; `nil` if all are 0.
  ///
  /// - Parameter place: where in the sum it lies, above 0 and at most 1.
  private static func drawn(_ weights: [Float], _ place: Double) -> Int? {
    var rest = place * weights.reduce(0.0) { $0 + Double($1) }
    let drawn = weights.firstIndex { weight in
      rest -= Double(weight)
      return rest <= 0 && weight > 0
    }
    return drawn ?? weights.lastIndex { $0 > 0 }
  }

  /// Moves each code to the mean of the vectors that it is nearest to; one that has none stays.
  private mutating func moveToMeans(of vectors: [Float]) {
    var sums = [Double](repeating: 0, count: values.count)
    var members = [Int](repeating: 0, count: count)
    for (index, code) in nearest(vectors).enumerated() {
      members[code] += 1
      for element in 0..<width {
        sums[code * width + element] += Double(vectors[index * width + element])
      }
    }
    for code in 0..<count where members[code] > 0 {
      for element in 0..<width {
        values[code * width + element] = Float(sums[code * width + element] / Double(members[code]))
      }
    }
  }
}

/// Returns the sum of the squares of `vector`'s elements.
private func squaredNorm(_ vector: ArraySlice<Float>) -> Float {
  vector.reduce(0) { $0 + $1 * $1 }
}
