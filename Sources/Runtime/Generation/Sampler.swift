internal import Glibc
package import MoTIR

/// How the next token is drawn from what may follow.
package struct SamplingSettings: Hashable, Sendable {
  /// What logits are divided by; 0 takes the likeliest token.
  package var temperature: Double
  /// Only so many of the likeliest tokens are drawn from; `nil` for all.
  package var topK: Int?
  /// Only the likeliest tokens are drawn from that together have this probability; 1 for all.
  package var topP: Double
  /// Equal seeds draw equal tokens.
  package var seed: UInt64

  /// Creates settings.
  package init(temperature: Double = 1, topK: Int? = nil, topP: Double = 1, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }
}

/// Draws tokens, one after another.
package struct Sampler: Sendable {
  private let settings: SamplingSettings
  private let random: CounterRandom
  private var drawn = 0

  /// Creates a sampler that has drawn nothing.
  ///
  /// - Parameter number: tells samplers of one seed apart, as for several sequences.
  package init(_ settings: SamplingSettings, number: Int = 0) {
    self.settings = settings
    random = CounterRandom(seed: settings.seed, name: "sample \(number)")
  }

  /// Draws one of the tokens `allowed`, of which there is at least one.
  ///
  /// Of equally likely ones the lowest comes first. What is cut off by top-k and then by top-p has no chance.
  ///
  /// - Parameter logits: what each token of the vocabulary is worth. [V]
  /// - Throws: `Diagnostic` if a logit is no number, or the largest is infinite.
  package mutating func next(
    _ logits: ArraySlice<Float>, among allowed: [Range<Int>]
  ) throws(Diagnostic) -> Int {
    defer { drawn += 1 }
    var candidates = allowed.flatMap { range in
      range.map { Candidate(token: $0, logit: logits[logits.startIndex + $0]) }
    }
    guard let best = candidates.min(by: Candidate.precedes),
      best.logit.isFinite, !candidates.contains(where: \.logit.isNaN)
    else {
      throw Diagnostic(
        "the model's logits are not finite", suggestion: "train with a lower learning rate")
    }
    guard settings.temperature > 0 else { return best.token }
    // Without a cut the order is that of the tokens, which costs no sorting.
    if settings.topK != nil || settings.topP < 1 {
      candidates.sort(by: Candidate.precedes)
      candidates = Array(candidates.prefix(settings.topK ?? candidates.count))
    }
    let weights = candidates.map { exp(Double($0.logit - best.logit) / settings.temperature) }
    let count = nucleus(of: weights)
    var rest = random.uniform(drawn) * weights[..<count].reduce(0, +)
    for (candidate, weight) in zip(candidates, weights).prefix(count) {
      rest -= weight
      if rest <= 0 { return candidate.token }
    }
    return candidates[count - 1].token
  }

  /// A token that may come next.
  private struct Candidate {
    let token: Int
    let logit: Float

    /// `true` iff `a` is likelier than `b`, or as likely and lower.
    static func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
      a.logit != b.logit ? a.logit > b.logit : a.token < b.token
    }
  }

  /// Returns how many of the first of `weights`, the largest first, have the share top-p of all; at least one.
  private func nucleus(of weights: [Double]) -> Int {
    guard settings.topP < 1 else { return weights.count }
    let wanted = settings.topP * weights.reduce(0, +)
    var sum = 0.0
    for (index, weight) in weights.enumerated() {
      sum += weight
      if sum >= wanted { return index + 1 }
    }
    return weights.count
  }
}
