// The meaning of embeddings and losses.

extension Evaluation {
  /// y[r] = table[token r]
  func embed() throws(Diagnostic) -> ReferenceValue.Contents {
    let (table, width) = (numbers(1), shape(1)[1])
    var y: [Double] = []
    y.reserveCapacity(types[0].elementCount)
    for token in try tokenIDs(0, below: shape(1)[0]) {
      y += table[(token * width)..<((token + 1) * width)]
    }
    return .numbers(y)
  }

  /// dtable[token r] += dy[r]
  func embedGradient(_ vocabulary: Int) throws(Diagnostic) -> ReferenceValue.Contents {
    let (dy, width) = (numbers(1), width(1))
    var table = zeros()
    for (row, token) in try tokenIDs(0, below: vocabulary).enumerated() {
      for j in 0..<width { table[token * width + j] += dy[row * width + j] }
    }
    return .numbers(table)
  }

  /// Returns the token ids of operand `index`, which all lie in `0..<vocabulary`.
  private func tokenIDs(_ index: Int, below vocabulary: Int) throws(Diagnostic) -> [Int] {
    let ids = integers(index).map(Int.init)
    if let row = ids.firstIndex(where: { !(0..<vocabulary).contains($0) }) {
      throw error("token \(ids[row]) of row \(row) is outside the vocabulary 0..<\(vocabulary)")
    }
    return ids
  }

  /// loss = lse(logits) − logits[target]; 0 where the target is below 0.
  func crossEntropy() throws(Diagnostic) -> ReferenceValue.Contents {
    .numbers(try losses(numbers(0), try targets(1, below: width(0)), vocabulary: width(0)))
  }

  /// dlogits = (softmax(logits) − onehot(target)) · dloss; 0 where the target is below 0.
  func crossEntropyGradient() throws(Diagnostic) -> ReferenceValue.Contents {
    let targets = try targets(1, below: width(0))
    return .numbers(logitsGradient(numbers(0), targets, numbers(2), vocabulary: width(0)))
  }

  /// losses = crossEntropy(x wᵀ, targets)
  func headLoss() throws(Diagnostic) -> ReferenceValue.Contents {
    let vocabulary = shape(1)[0]
    let targets = try targets(2, below: vocabulary)
    return .numbers(try losses(headLogits(), targets, vocabulary: vocabulary))
  }

  /// losses as `headLoss`; with dl = crossEntropyGradient(x wᵀ, targets, dloss): dx = dl w, dw = dlᵀ x.
  func headLossGradient() throws(Diagnostic) -> [ReferenceValue.Contents] {
    let vocabulary = shape(1)[0]
    let targets = try targets(2, below: vocabulary)
    let logits = headLogits()
    let gradient = logitsGradient(logits, targets, numbers(3), vocabulary: vocabulary)
    var (dx, dw) = (zeros(1), zeros(2))
    head.addInputGradient(gradient, numbers(1), to: &dx)
    head.addWeightGradient(numbers(0), gradient, to: &dw)
    return [
      .numbers(try losses(logits, targets, vocabulary: vocabulary)), .numbers(dx), .numbers(dw),
    ]
  }

  /// The linear map of a head's operands.
  private var head: LinearMap {
    LinearMap(rows: 0..<rows(0), width: width(0), outputs: shape(1)[0], offset: 0)
  }

  /// Returns x wᵀ.
  private func headLogits() -> [Double] {
    var logits = [Double](repeating: 0, count: rows(0) * shape(1)[0])
    head.forward(numbers(0), numbers(1), into: &logits)
    return logits
  }

  /// Returns the targets of operand `index`, which all lie below `vocabulary`.
  private func targets(_ index: Int, below vocabulary: Int) throws(Diagnostic) -> [Int] {
    let targets = integers(index).map(Int.init)
    if let row = targets.firstIndex(where: { $0 >= vocabulary }) {
      throw error(
        "target \(targets[row]) of row \(row) is outside the vocabulary 0..<\(vocabulary)",
        suggestion: "a target below 0, such as -100, is ignored")
    }
    return targets
  }

  /// Returns the loss of each row of `logits`.
  private func losses(
    _ logits: [Double], _ targets: [Int], vocabulary: Int
  ) throws(Diagnostic) -> [Double] {
    targets.enumerated().map { row, target in
      guard target >= 0 else { return 0 }
      let row = logits[(row * vocabulary)..<((row + 1) * vocabulary)]
      return logSumExponentials(row) - row[row.startIndex + target]
    }
  }

  /// Returns (softmax(logits) − onehot(target)) · dloss, row by row.
  private func logitsGradient(
    _ logits: [Double], _ targets: [Int], _ dloss: [Double], vocabulary: Int
  ) -> [Double] {
    var gradient = [Double](repeating: 0, count: logits.count)
    for (row, target) in targets.enumerated() where target >= 0 {
      let range = (row * vocabulary)..<((row + 1) * vocabulary)
      let total = logSumExponentials(logits[range])
      for j in range { gradient[j] = Mathematics.exponential(logits[j] - total) * dloss[row] }
      gradient[range.lowerBound + target] -= dloss[row]
    }
    return gradient
  }

  /// Returns log Σ exp(x), without overflow.
  func logSumExponentials(_ x: ArraySlice<Double>) -> Double {
    let largest = x.max() ?? -.infinity
    return largest
      + Mathematics.logarithm(x.reduce(0) { $0 + Mathematics.exponential($1 - largest) })
  }

  /// 1 / n at the n targets inside one of `ranges`, 0 elsewhere; n is the count if there is one, and at least 1.
  func tokenWeights(_ ranges: [Range<Int>], hasCount: Bool) -> ReferenceValue.Contents {
    let counts = integers(0).map { target in ranges.contains { $0.contains(Int(target)) } }
    let total = Double(max(1, hasCount ? Int(integers(1)[0]) : counts.count { $0 }))
    return .numbers(counts.map { $0 ? 1 / total : 0 })
  }
}
