// The meaning of rotary embedding and attention.
// B sequences of S tokens, H query heads, K key and value heads, W head width. Row t = b · S + position.

extension Evaluation {
  /// Pair i of each head turns by the angle position · base^(−2i / W):
  /// (a, b) → (a cos − b sin, a sin + b cos); `inverse` turns by the negative angle.
  func rotary(_ rotary: Rotary) throws(Diagnostic) -> ReferenceValue.Contents {
    let (x, positions, width) = (numbers(0), integers(1), width(0))
    let head = width / rotary.heads
    var y = x
    for (row, position) in positions.enumerated() {
      guard position >= 0 else { throw error("the position of row \(row) is \(position)") }
      for i in 0..<(head / 2) {
        let frequency = Mathematics.power(rotary.base, -2 * Double(i) / Double(head))
        let angle = Double(position) * frequency * (rotary.inverse ? -1 : 1)
        let (cosine, sine) = (Mathematics.cosine(angle), Mathematics.sine(angle))
        for start in stride(from: row * width, to: (row + 1) * width, by: head) {
          let first = start + (rotary.layout == .interleaved ? 2 * i : i)
          let second = first + (rotary.layout == .interleaved ? 1 : head / 2)
          y[first] = x[first] * cosine - x[second] * sine
          y[second] = x[first] * sine + x[second] * cosine
        }
      }
    }
    return .numbers(y)
  }

  /// s = q kᵀ / √W over the keys that a query sees, lse = log Σ exp s, o = Σ exp(s − lse) v.
  ///
  /// A query that sees no key has o = 0 and lse = −∞.
  func attention(_ attention: Op.Attention) -> [ReferenceValue.Contents] {
    let view = AttentionView(self, attention, rows: 3)
    let v = numbers(2)
    var (o, lse) = (zeros(0), zeros(1))
    view.forEachQuery { query in
      guard let largest = query.scores.max() else {
        lse[query.head] = -.infinity
        return
      }
      let weights = query.scores.map { Mathematics.exponential($0 - largest) }
      let total = weights.reduce(0, +)
      lse[query.head] = largest + Mathematics.logarithm(total)
      for (weight, key) in zip(weights, query.keys) {
        addScaled(weight / total, v, key, to: &o, query.start, count: view.width)
      }
    }
    return [.numbers(o), .numbers(lse)]
  }

  /// With p = exp(s − lse): dv = pᵀ do, ds = p (do vᵀ − do · o), dq = ds k / √W, dk = dsᵀ q / √W.
  func attentionGradient(_ attention: Op.Attention) -> [ReferenceValue.Contents] {
    let view = AttentionView(self, attention, rows: 6)
    let (q, k, v, o, d) = (numbers(0), numbers(1), numbers(2), numbers(3), numbers(5))
    let lse = numbers(4)
    var (dq, dk, dv) = (zeros(0), zeros(1), zeros(2))
    view.forEachQuery { query in
      let along = dot(d, query.start, o, query.start, count: view.width)
      for (score, key) in zip(query.scores, query.keys) {
        let p = Mathematics.exponential(score - lse[query.head])
        let dp = dot(d, query.start, v, key, count: view.width)
        let ds = p * (dp - along) * view.scale
        addScaled(p, d, query.start, to: &dv, key, count: view.width)
        addScaled(ds, k, key, to: &dq, query.start, count: view.width)
        addScaled(ds, q, query.start, to: &dk, key, count: view.width)
      }
    }
    return [.numbers(dq), .numbers(dk), .numbers(dv)]
  }

  /// Row t of k and v goes to slot `slots[t]` of its sequence's caches; then o = softmax(q keysᵀ / √W) values over
  /// the first `visible[t]` slots, 0 where there are none.
  func cachedAttention(
    _ attention: Op.CachedAttention
  ) throws(Diagnostic) -> [ReferenceValue.Contents] {
    let (stride, capacity, sequence) = (width(1), shape(3)[1], rows(0) / attention.batch)
    var caches = [numbers(3), numbers(4)]
    for (row, slot) in integers(5).enumerated() where slot >= 0 {
      guard slot < capacity else { throw error("slot \(slot) is beyond the \(capacity) there are") }
      let place = (row / sequence * capacity + Int(slot)) * stride
      for index in caches.indices {
        let elements = numbers(1 + index)[(row * stride)...].prefix(stride)
        caches[index].replaceSubrange(place..<(place + stride), with: elements)
      }
    }
    var o = zeros(0)
    for (row, count) in integers(6).enumerated() where count > 0 {
      guard count <= capacity else { throw error("\(count) of \(capacity) slots are visible") }
      let first = row / sequence * capacity * stride
      for head in 0..<attention.heads {
        attend(attention, caches, row: row, head: head, from: first, Int(count), to: &o)
      }
    }
    return [.numbers(o), .numbers(caches[0]), .numbers(caches[1])]
  }

  /// Adds what head `head` of row `row` finds in the `count` slots from element `first` of the caches on.
  private func attend(
    _ attention: Op.CachedAttention, _ caches: [[Double]], row: Int, head: Int, from first: Int,
    _ count: Int, to o: inout [Double]
  ) {
    let width = width(0) / attention.heads
    let start = (row * attention.heads + head) * width
    let shared = head * attention.keyValueHeads / attention.heads * width
    let places = (0..<count).map { first + $0 * self.width(1) + shared }
    let scale = 1 / Double(width).squareRoot()
    let scores = places.map { dot(numbers(0), start, caches[0], $0, count: width) * scale }
    let largest = scores.max() ?? 0
    let weights = scores.map { Mathematics.exponential($0 - largest) }
    let total = weights.reduce(0, +)
    for (weight, place) in zip(weights, places) {
      addScaled(weight / total, caches[1], place, to: &o, start, count: width)
    }
  }
}
