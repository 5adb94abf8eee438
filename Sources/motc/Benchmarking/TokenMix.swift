import MoTIR
import Runtime

/// How the tokens of each sequence are shared out among the modalities, in the spec's order: one
/// contiguous span each.
enum TokenMix: Hashable {
  /// Equal spans.
  case even
  /// Spans of random sizes, the same in every run, and others in each sequence.
  case random
  /// Percent by modality.
  case percent([Double])

  /// Reads `even`, `random`, or percent that are separated by commas.
  ///
  /// - Throws: `Diagnostic` if `text` is something else, or the percent are not 100 together.
  init(_ text: String) throws(Diagnostic) {
    switch text {
    case "even": self = .even
    case "random": self = .random
    default:
      let shares = text.split(separator: ",", omittingEmptySubsequences: false).map {
        Double($0) ?? .nan
      }
      guard shares.allSatisfy({ (0...100).contains($0) }) else {
        throw Diagnostic(
          "--mix takes percent by modality, such as 95,5, or even or random, not '\(text)'")
      }
      let sum = shares.reduce(0, +)
      guard abs(sum - 100) < 1e-6 else {
        throw Diagnostic("the percent of --mix '\(text)' are \(short(sum)) together, and not 100")
      }
      self = .percent(shares)
    }
  }

  /// The text that it is read from.
  var text: String {
    switch self {
    case .even: "even"
    case .random: "random"
    case .percent(let shares): shares.map(short).joined(separator: ",")
    }
  }

  /// Returns a batch of random tokens in these spans.
  ///
  /// - Throws: `Diagnostic` if there is not a share for each modality of `module`.
  func batch(for module: Module) throws -> Batch {
    let kinds = module.modalities.count
    if case .percent(let shares) = self, shares.count != kinds {
      throw Diagnostic(
        "--mix '\(text)' has \(shares.count) shares, and '\(module.name)' has \(kinds) "
          + (kinds == 1 ? "modality" : "modalities"))
    }
    var sizes = FixedRandom(state: 2)
    let modality = (0..<module.batch).flatMap { _ in
      spans(of: module.sequence, among: kinds, &sizes)
    }
    var random = FixedRandom(state: 1)
    var rows = BatchBuilder.Rows(
      tokens: modality.map { kind in
        if module.modalities[kind].latents != nil { return Module.placeholder(of: kind) }
        let ids = module.modalities[kind].vocabulary
        return ids.isEmpty ? ids.lowerBound : Int.random(in: ids, using: &random)
      })
    rows.modality = modality
    func numbers(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float.random(in: 0...1, using: &random) }
    }
    for (kind, declaration) in module.modalities.enumerated() {
      guard let width = declaration.latents else { continue }
      let count = width * modality.count { $0 == kind }
      // A sequence has one span of it at most.
      let starts = stride(from: 0, to: modality.count, by: module.sequence)
      let spans = starts.count { modality[$0..<($0 + module.sequence)].contains(kind) }
      rows.continuous[declaration.name] = ContinuousTokens(
        latents: numbers(count), noise: numbers(count), timesteps: numbers(spans))
    }
    return try BatchBuilder(module: module).build(rows)
  }

  /// Returns the modality of each token of a sequence of `length` tokens.
  private func spans(
    of length: Int, among kinds: Int, _ random: inout FixedRandom
  ) -> [Int] {
    var ends: [Int]
    switch self {
    case .even: return (0..<length).map { $0 * kinds / length }
    case .random:
      ends = (1..<kinds).map { _ in Int.random(in: 0...length, using: &random) }.sorted()
    case .percent(let shares):
      var sum = 0.0
      ends = shares.dropLast().map { share in
        sum += share
        return min(length, Int((sum / 100 * Double(length)).rounded()))
      }
    }
    ends.append(length)
    var start = 0
    return ends.enumerated().flatMap { kind, end in
      defer { start = end }
      return [Int](repeating: kind, count: end - start)
    }
  }
}

/// Returns `value` with as many digits as it needs, at most two behind the point.
private func short(_ value: Double) -> String {
  var text = fixed(value, 2)
  while text.last == "0" { text.removeLast() }
  if text.last == "." { text.removeLast() }
  return text
}

/// Random numbers that are the same in every run.
private struct FixedRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
