import MoTIR
import Testing

/// Whatever the text, parsing ends with a module that round-trips or with diagnostics.
@Suite struct TextMutationTests {
  #if DEBUG
    static let count = 2_000
  #else
    static let count = 25_000
  #endif

  @Test(arguments: TextFixtures.all.indices) func mutatedTextNeverCrashes(_ index: Int) throws {
    let seed = 0x5EED + UInt64(index)
    var mutator = Mutator(seed: seed)
    let original = Array(TextFixtures.all[index].utf8)
    var accepted = 0
    for round in 0..<Self.count {
      let text = String(decoding: mutator.mutate(original), as: UTF8.self)
      let module: Module
      do { module = try Module.parse(text, file: "mutant") } catch {
        let sound = !error.all.isEmpty && error.all.allSatisfy { $0.location != nil }
        if !sound { Issue.record("seed \(seed), round \(round): \(error)\n\(text)") }
        continue
      }
      accepted += 1
      let again = try Module.parse(module.text, file: "again")
      let same = again.text == module.text && again == module
      if !same { Issue.record("seed \(seed), round \(round) does not round-trip:\n\(text)") }
    }
    print("seed \(seed): \(accepted) of \(Self.count) mutants are modules")
  }
}

/// A generator of pseudo-random numbers with a fixed sequence for each seed.
private struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Damages text in the ways that files get damaged, and in the ways that attackers choose.
private struct Mutator {
  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  /// Texts that stand for a number or a word elsewhere.
  private static let intruders = [
    "9223372036854775807", "9223372036854775808", "-1", "0", "1099511627776", "1e999", "nan", "inf",
    "1e-320", "0.1", "65", "\"", "\\u{0}", "%", "@", "groups [0, 0, 0]", "_", "by %0", "in #0",
    "in #1", "at \"x\":1:1", "..<", "}", "{", "[", "]", ",", "//", "\u{0}", "é", "return",
    "func @x {",
    "f32[1048576, 1048576]", "i32[T=2, 1]", "heads 0", "constant 1", "plan[8, 2]", "documents %1",
  ].map { Array($0.utf8) }

  /// Returns `text` with one to four changes.
  mutating func mutate(_ text: [UInt8]) -> [UInt8] {
    var text = text
    for _ in 0..<Int.random(in: 1...4, using: &random) where !text.isEmpty {
      let at = Int.random(in: text.indices, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0: text[at] = UInt8.random(in: 0...255, using: &random)
      case 1: text.removeSubrange(span(of: text, from: at))
      case 2: text.insert(contentsOf: text[span(of: text, from: at)], at: at)
      case 3: swapWords(&text)
      case 4: text.replaceSubrange(word(in: text), with: intruder())
      case 5: text.insert(contentsOf: intruder(), at: at)
      case 6: text.replaceSubrange(word(in: text), with: Array(text[word(in: text)]))
      default: if Int.random(in: 0..<10, using: &random) == 0 { text.removeLast(text.count - at) }
      }
    }
    return text
  }

  private mutating func intruder() -> [UInt8] {
    Self.intruders[Int.random(in: Self.intruders.indices, using: &random)]
  }

  private mutating func span(of text: [UInt8], from start: Int) -> Range<Int> {
    start..<min(text.count, start + Int.random(in: 1...40, using: &random))
  }

  /// Returns the range of some run of bytes between blanks, at most 60 bytes long.
  private mutating func word(in text: [UInt8]) -> Range<Int> {
    let blank = UInt8(ascii: " ")
    var start = Int.random(in: text.indices, using: &random)
    while start > 0, text[start - 1] != blank { start -= 1 }
    var end = start
    while end < text.count, end < start + 60, text[end] != blank { end += 1 }
    return start..<end
  }

  private mutating func swapWords(_ text: inout [UInt8]) {
    let (a, b) = (word(in: text), word(in: text))
    guard a.upperBound <= b.lowerBound else { return }
    let (first, second) = (Array(text[a]), Array(text[b]))
    text.replaceSubrange(b, with: first)
    text.replaceSubrange(a, with: second)
  }
}
