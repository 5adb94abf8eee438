/// Some of the vectors that files hold, from all over the files and all over each, to learn codes from.
package struct VectorSample: Sendable {
  /// The most vectors that are learned from.
  package static let limit = 1 << 15
  /// Vectors that are drawn of a file at least, if it has as many.
  private static let leastOfFile = 256

  /// The vectors, one after another.
  package private(set) var values: [Float] = []
  /// The files that they are of.
  package private(set) var files: [String] = []

  /// Draws vectors of `width` elements: of all `files` if there are few, else of as many as are needed.
  ///
  /// - Parameters:
  ///   - width: elements of a vector.
  ///   - seed: equal seeds draw the same vectors.
  ///   - vectors: returns those of a file.
  package init<E: Error>(
    of files: [String], width: Int, seed: UInt64, _ vectors: (String) throws(E) -> [Float]
  ) throws(E) {
    let random = CounterRandom(seed: seed, name: "sample")
    let order = CounterRandom(seed: seed, name: "files of the sample").shuffled(files)
    let share = max(Self.leastOfFile, Self.limit / max(1, files.count))
    for file in order where values.count < Self.limit * width {
      let all = try vectors(file)
      let total = all.count / width
      let most = min(share, total, Self.limit - values.count / width)
      self.files.append(file)
      for index in 0..<most {
        // One of each of as many equal parts of the file.
        let start = index * total / most
        let part = (index + 1) * total / most - start
        let chosen = start + random.integer(values.count, below: part)
        values += all[(chosen * width)..<((chosen + 1) * width)]
      }
    }
  }
}
