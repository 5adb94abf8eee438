import MoTIR
import Runtime
import Testing

/// What comes next: drawn by chance, from what may come, and shown as a terminal can take it.
@Suite struct SamplingTests {
  private static let logits: [Float] = [0, 3, 1, 3, -2, 2]

  /// Returns how often each token is drawn of 20,000.
  private func shares(
    _ settings: SamplingSettings, among allowed: [Range<Int>] = [0..<6]
  ) throws -> [Double] {
    var sampler = Sampler(settings)
    var counts = [Double](repeating: 0, count: 6)
    for _ in 0..<20_000 { counts[try sampler.next(Self.logits[...], among: allowed)] += 1 }
    return counts.map { $0 / 20_000 }
  }

  /// Returns the probabilities of `tokens`.
  private func softmax(_ tokens: [Int], temperature: Double = 1) -> [Double] {
    let weights = (0..<6).map { token in
      tokens.contains(token) ? exponential(Double(Self.logits[token]) / temperature) : 0
    }
    return weights.map { $0 / weights.reduce(0, +) }
  }

  private func exponential(_ x: Double) -> Double {
    (1...40).reversed().reduce(1) { 1 + x / Double($1) * $0 }
  }

  private func expectClose(_ found: [Double], _ wanted: [Double]) {
    for (a, b) in zip(found, wanted) {
      #expect(abs(a - b) < 0.015 && (b > 0 || a == 0), "\(found) instead of \(wanted)")
    }
  }

  @Test func tokensComeAsOftenAsTheyAreLikely() throws {
    expectClose(try shares(SamplingSettings()), softmax(Array(0..<6)))
    expectClose(
      try shares(SamplingSettings(temperature: 0.5)), softmax(Array(0..<6), temperature: 0.5))
    expectClose(try shares(SamplingSettings(), among: [4..<6, 0..<1]), softmax([0, 4, 5]))
  }

  @Test func whatIsCutOffNeverComes() throws {
    expectClose(try shares(SamplingSettings(topK: 3)), softmax([1, 3, 5]))
    // Tokens 1 and 3 have 0.39 each, and 5 has 0.14.
    expectClose(try shares(SamplingSettings(topP: 0.7)), softmax([1, 3]))
    expectClose(try shares(SamplingSettings(topP: 0.9)), softmax([1, 3, 5]))
    expectClose(try shares(SamplingSettings(topP: 0.01)), softmax([1]))
    expectClose(try shares(SamplingSettings(topK: 2, topP: 0.4)), softmax([1]))
  }

  @Test func zeroTemperatureTakesTheLikeliest() throws {
    var sampler = Sampler(SamplingSettings(temperature: 0))
    #expect(try sampler.next(Self.logits[...], among: [0..<6]) == 1)
    #expect(try sampler.next(Self.logits[...], among: [2..<6]) == 3)
    let first = try sampler.next(Self.logits[2...], among: [0..<4])
    #expect(first == 1, "a slice counts from its start")
  }

  @Test func seedsAndNumbersTellDrawsApart() throws {
    func drawn(_ seed: UInt64, _ number: Int) throws -> [Int] {
      var sampler = Sampler(SamplingSettings(seed: seed), number: number)
      return try (0..<50).map { _ in try sampler.next(Self.logits[...], among: [0..<6]) }
    }
    #expect(try drawn(1, 0) == drawn(1, 0))
    #expect(try drawn(1, 0) != drawn(2, 0))
    #expect(try drawn(1, 0) != drawn(1, 1))
  }

  @Test(arguments: [Float.nan, .infinity]) func logitsThatAreNotFiniteEnd(_ value: Float) throws {
    for settings in [SamplingSettings(), SamplingSettings(temperature: 0)] {
      var sampler = Sampler(settings)
      var logits = Self.logits
      logits[2] = value
      #expect(throws: Diagnostic.self) { try sampler.next(logits[...], among: [0..<6]) }
      let other = try sampler.next(logits[...], among: [3..<4])
      #expect(other == 3, "the logit was not asked for")
    }
  }

  // MARK: Grammar

  private static let module = Module(
    name: "m", batch: 1, sequence: 8,
    modalities: [
      ModalityDeclaration(name: "text", vocabulary: 0..<260),
      ModalityDeclaration(name: "image", vocabulary: 260..<400, begin: 256, end: 257),
      ModalityDeclaration(name: "speech", vocabulary: 400..<500, begin: 258, end: 259),
    ], parameters: [], objectives: [], functions: [])

  @Test func picturesHaveTheirSizeAndSpeechSomeUnits() {
    let tokenizer = Tokenizer(module: Self.module, pictures: .palette(side: 2))
    var grammar = DocumentGrammar(Self.module, tokenizer)
    #expect(grammar.allowed == [0..<256, 256..<257, 258..<259])
    grammar.accept(65)
    grammar.accept(256)
    for _ in 0..<4 {
      #expect(grammar.allowed == [260..<324], "the palette has 64 colours")
      grammar.accept(300)
    }
    #expect(grammar.allowed == [257..<258])
    grammar.accept(257)
    #expect(grammar.span == nil && grammar.allowed.count == 3)
    grammar.accept(258)
    #expect(grammar.allowed == [400..<500], "speech has at least a unit")
    grammar.accept(410)
    #expect(grammar.allowed == [400..<500, 259..<260])
  }

  @Test func promptsOfAnyoneDoNoHarm() {
    let tokenizer = Tokenizer(module: Self.module, pictures: .palette(side: 2))
    var grammar = DocumentGrammar(Self.module, tokenizer)
    for token in [257, 300, 256, 258, 259, 256, 65, 66, 67, 68, 69, 256, 0] {
      grammar.accept(token)
    }
    #expect(grammar.span?.modality == 1 && !grammar.allowed.isEmpty)
  }

  // MARK: Text

  private func shown(_ bytes: [UInt8]) -> [String] {
    var stream = TextStream()
    return bytes.map { stream.append($0) } + [stream.flush()]
  }

  @Test func charactersComeWhole() {
    #expect(shown(Array("aé€😀".utf8)).filter { !$0.isEmpty } == ["a", "é", "€", "😀"])
    #expect(shown(Array("😀".utf8)) == ["", "", "", "😀", ""])
  }

  @Test func whatATerminalObeysIsReplaced() {
    #expect(shown([0x1B, 0x5B, 0x41]).joined() == "\u{FFFD}[A")
    #expect(
      shown(Array("a\u{202E}b\r\n\tc\u{7F}\u{9B}".utf8)).joined()
        == "a\u{FFFD}b\u{FFFD}\n\tc\u{FFFD}\u{FFFD}")
    #expect(shown(Array("👩\u{200D}🔬".utf8)).joined() == "👩\u{200D}🔬")
  }

  @Test func bytesOfNoCharacterAreReplaced() {
    #expect(shown([0xFF, 0x41]).joined() == "\u{FFFD}A")
    #expect(shown([0xE2, 0x82, 0x41]).joined() == "\u{FFFD}A")
    #expect(shown([0xE2, 0x82]).joined() == "\u{FFFD}")
    #expect(shown([0xC0, 0x80, 0xF8]).joined() == "\u{FFFD}\u{FFFD}\u{FFFD}")
    // No half of a pair, and nothing above the last character.
    let strange = shown([0xED, 0xA0, 0x80]) + shown([0xF4, 0x90, 0x80, 0x80])
    #expect(Set(strange.joined()) == ["\u{FFFD}"])
  }
}
