internal import COpenBLAS

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
  func nearest(_ vectors: [Float]) -> [Int] { search(vectors).map(\.code) }

  /// Returns the nearest code of each vector, and the squared distance from it.
  private func search(_ vectors: [Float]) -> [(code: Int, distance: Float)] {
    let total = vectors.count / width
    let squares = (0..<count).map { squaredNorm(self[$0]) }
    // As many at a time as keep the products in the second cache.
    let most = max(1, (1 << 18) / count)
    var products = [Float](repeating: 0, count: min(most, total) * count)
    var found: [(code: Int, distance: Float)] = []
    found.reserveCapacity(total)
    for start in stride(from: 0, to: total, by: most) {
      let rows = min(most, total - start)
      vectors.withUnsafeBufferPointer { source in
        multiply(
          UnsafeBufferPointer(rebasing: source[(start * width)..<((start + rows) * width)]),
          rows: rows, into: &products)
      }
      for row in 0..<rows {
        // |c - x|² = |x|² + (|c|² - 2 c · x), of which the first is the same for all codes.
        var best = (code: 0, distance: Float.infinity)
        for code in 0..<count {
          let distance = squares[code] - 2 * products[row * count + code]
          if distance < best.distance { best = (code, distance) }
        }
        let vector = vectors[((start + row) * width)..<((start + row + 1) * width)]
        found.append((best.code, max(0, best.distance + squaredNorm(vector))))
      }
    }
    return found
  }

  /// products[n, k] = vectors[n] · codes[k]
  private func multiply(
    _ vectors: UnsafeBufferPointer<Float>, rows: Int, into products: inout [Float]
  ) {
    // One thread: the order of sums, and with it the nearest code, does not depend on their number.
    openblas_set_num_threads(1)
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows), blasint(count), blasint(width), 1,
      vectors.baseAddress, blasint(width), values, blasint(width), 0, &products, blasint(count))
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
    var chosen = random.integer(0, below: total)
    var values = Array(vector(chosen))
    var distances = [Float](repeating: .infinity, count: total)
    for number in 1..<max(1, count) {
      let last = VectorCodes(width: width, values: Array(vector(chosen)))
      var sum = 0.0
      for (index, found) in last.search(vectors).enumerated() {
        distances[index] = min(distances[index], found.distance)
        sum += Double(distances[index])
      }
      guard sum > 0 else {
        // All vectors are chosen: what is left repeats the last one, and no vector is nearest to it.
        values += repeatElement(vector(chosen), count: count - number).joined()
        break
      }
      var rest = random.uniform(number) * sum
      chosen =
        distances.firstIndex { distance in
          rest -= Double(distance)
          return rest <= 0 && distance > 0
        } ?? chosen
      values += vector(chosen)
    }
    return VectorCodes(width: width, values: values)
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
