import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Sequences that grow token by token say what whole ones say.
@Suite struct GenerationTests {
  /// Every group has weights of its own, heads share keys, and nothing is a multiple of a vector.
  private static let untied = GrowingModel(
    .preNorm(
      "grown_untied", count: 3, width: 22, bias: true,
      attention: Attention(
        heads: 4, keyValueHeads: 2, headWidth: 6, normalizeQueryKey: true, documents: true,
        bias: true)), batch: 3, chunk: 8, length: 37)

  /// One head as wide as two vectors and a half; the head's weight is the embedding.
  private static let tied = GrowingModel(
    .preNorm(
      "grown_tied", count: 2, width: 50, hidden: 75, untied: .none, size: 17, tiedHead: true,
      attention: Attention(heads: 1, headWidth: 40)), batch: 1, chunk: 16, length: 41)

  /// Panels are whole; there are more rows than a tile has.
  private static let whole = GrowingModel(
    .preNorm(
      "grown_whole", count: 2, width: 96, hidden: 192, size: 47,
      attention: Attention(heads: 2, headWidth: 48)), batch: 6, chunk: 4, length: 21)

  /// Tokens of a picture see each other.
  private static let spans = GrowingModel(
    .preNorm("grown_spans", count: 2, attends: .withinSpan), batch: 2, chunk: 24, length: 44)

  @Test(arguments: [untied, tied, whole], ["native", "x86-64-v3", "x86-64-v2"])
  func everyPositionIsThatOfTheWholeSequence(_ model: GrowingModel, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    let growth = try model.growth()
    for precision in Precision.allCases {
      let bound = precision == .f32 ? 1e-5 : 6e-2
      for compilation in [Compilation.fused, .unfused] {
        let decoder = try growth.decoder(compilation.on(target).at(precision))
        for prompt in [1, 2, model.chunk + 1, model.length - 1] {
          try growth.compare(decoder, prompt: prompt, bound: bound)
        }
      }
    }
  }

  @Test(arguments: GuardedPlan.Edge.allCases)
  func kernelsStayInsideTheirBuffers(_ edge: GuardedPlan.Edge) throws {
    for model in [Self.untied, Self.tied, Self.whole] {
      for precision in Precision.allCases {
        let growth = try model.growth()
        let decoder = try growth.decoder(Compilation.fused.at(precision).guarded(at: edge))
        try growth.compare(decoder, prompt: 9, bound: precision == .f32 ? 1e-5 : 6e-2)
      }
    }
  }

  @Test func fiveHundredTwelvePositions() throws {
    let model = GrowingModel(
      .preNorm(
        "grown_long", count: 2, width: 32, hidden: 48,
        attention: Attention(heads: 2, keyValueHeads: 1, normalizeQueryKey: true)), batch: 1,
      chunk: 64, length: 512)
    let growth = try model.growth()
    try growth.compare(growth.decoder(.fused), prompt: 1, bound: 1e-5)
    try growth.compare(growth.decoder(.fused), prompt: 300, bound: 1e-5)
    try growth.compare(growth.decoder(.fused.at(.bf16)), prompt: 1, bound: 6e-2)
  }

  @Test func bitsAreThoseOfAnyNumberOfThreads() throws {
    for model in [Self.untied, Self.whole] {
      let growth = try model.growth()
      for precision in Precision.allCases {
        let compilation = Compilation.fused.at(precision)
        let expected = try growth.grow(growth.decoder(compilation.with(threads: 1)), prompt: 5)
        for threads in [2, 3, 4] {
          let found = try growth.grow(growth.decoder(compilation.with(threads: threads)), prompt: 5)
          #expect(found == expected, "\(model.name) \(precision) ×\(threads)")
        }
      }
    }
  }

  @Test func spansOfAPromptSeeThemselves() throws {
    let model = Self.spans
    let growth = try model.growth()
    let decoder = try growth.decoder(.fused)
    let prompts = [
      [3, 0] + [Int](repeating: 12, count: 14) + [1, 4], [5] + [0, 13, 14, 15, 1] + [6, 2],
    ]
    let expected = try growth.wholeLogits(prompts)
    for prompt in prompts.indices {
      decoder.reset()
      let logits = try decoder.extend(prompts.indices.map { $0 == prompt ? prompts[$0] : [] })
      growth.expect(
        Array(logits[(prompt * growth.vocabulary)...].prefix(growth.vocabulary)), expected[prompt],
        within: 1e-5, "prompt \(prompt)")
    }
    let inside = #expect(throws: Diagnostic.self) { try decoder.extend([[3, 0, 12], [4]]) }
    #expect(inside?.message.contains("see those behind them") == true)
    let long = [0] + [Int](repeating: 12, count: 25) + [1, 3]
    let cut = #expect(throws: Diagnostic.self) { try decoder.extend([long, []]) }
    #expect(cut?.suggestion == "give --sequence 25")
  }

  @Test func sequencesEndWhereTheirSlotsEnd() throws {
    let growth = try Self.tied.growth()
    let decoder = try growth.decoder(.fused)
    let error = #expect(throws: Diagnostic.self) {
      try decoder.extend([[Int](repeating: 3, count: Self.tied.length + 1)])
    }
    #expect(error?.message == "42 tokens are more than the context of 41")
    _ = try decoder.extend([[Int](repeating: 3, count: Self.tied.length)])
    #expect(throws: Diagnostic.self) { try decoder.extend([[3]]) }
  }
}

/// A model with sequences to grow.
struct GrowingModel: Sendable, CustomTestStringConvertible {
  let model: Model
  let batch: Int
  let chunk: Int
  let length: Int

  var name: String { model.name }
  var testDescription: String { name }

  init(_ model: AgreementModel, batch: Int, chunk: Int, length: Int) {
    self.model = model.model
    self.batch = batch
    self.chunk = chunk
    self.length = length
  }

  func growth() throws -> Growth { try Growth(self) }
}

/// What a model's logits are at all positions, by the interpreter.
struct Growth {
  private let model: GrowingModel
  private let whole: Module
  private let module: Module
  private let parameters: [String: [Double]]
  /// Token ids of each sequence.
  private let tokens: [[Int]]
  let vocabulary: Int
  /// Logits of each position of each sequence.
  private let expected: [[Double]]

  init(_ model: GrowingModel) throws {
    self.model = model
    whole = try model.model.module(batch: model.batch, sequence: model.length)
    module = try model.model.module(
      batch: model.batch, sequence: model.chunk, context: .slots(model.length))
    let parameters = RandomInputs.make(whole, seed: 5).parameters
    self.parameters = parameters
    var random = TestRandom(seed: 11)
    let vocabulary = whole.modalities.map(\.vocabulary.upperBound).max() ?? 0
    tokens = (0..<model.batch).map { _ in
      (0..<model.length).map { _ in random.below(vocabulary) }
    }
    self.vocabulary = vocabulary
    expected =
      model.name == "grown_spans"
      ? [] : try Self.logits(whole, parameters, tokens.flatMap(\.self), vocabulary)
  }

  /// Returns the interpreter's logits of each position, sequence after sequence.
  private static func logits(
    _ module: Module, _ parameters: [String: [Double]], _ tokens: [Int], _ vocabulary: Int
  ) throws -> [[Double]] {
    let batch = try BatchBuilder(module: module).build(BatchBuilder.Rows(tokens: tokens))
    let inputs = batch.inputs.map { ($0.name, ReferenceValue(tokens: $0.rows)) }
    let graph = try #require(module.function("logits")).graph
    let outputs = try Interpreter.run(
      graph, inputs: Dictionary(inputs, uniquingKeysWith: { first, _ in first }),
      parameters: parameters)
    let numbers = try #require(outputs["logits"]).numbers
    return stride(from: 0, to: numbers.count, by: vocabulary).map {
      Array(numbers[$0..<($0 + vocabulary)])
    }
  }

  /// Returns the interpreter's logits at the end of each prompt.
  func wholeLogits(_ prompts: [[Int]]) throws -> [[Double]] {
    try prompts.map { prompt in
      let module = try model.model.module(batch: 1, sequence: prompt.count)
      return try #require(try Self.logits(module, parameters, prompt, vocabulary).last)
    }
  }

  /// Returns a decoder of the model as `compilation` compiles it.
  func decoder(_ compilation: Compilation) throws -> Decoder {
    let functions = try Decoder.functions.map { try Compiler.function($0, of: module) }
    let compiled = try compilation.model(functions, of: module)
    compiled.load(parameters)
    return Decoder(compiled, module)
  }

  /// Returns the logits of all sequences after each token from the `prompt`-th on.
  func grow(_ decoder: Decoder, prompt: Int) throws -> [[Float]] {
    decoder.reset()
    var all = [try decoder.extend(tokens.map { Array($0[..<prompt]) })]
    for position in prompt..<model.length {
      all.append(try decoder.extend(tokens.map { [$0[position]] }))
    }
    return all
  }

  /// Expects the logits after each token from the `prompt`-th on within a relative error of `bound`.
  func compare(_ decoder: Decoder, prompt: Int, bound: Double) throws {
    for (index, logits) in try grow(decoder, prompt: prompt).enumerated() {
      for sequence in 0..<model.batch {
        expect(
          Array(logits[(sequence * vocabulary)...].prefix(vocabulary)),
          expected[sequence * model.length + prompt - 1 + index], within: bound,
          "\(model.name), prompt of \(prompt), position \(prompt - 1 + index), sequence \(sequence)"
        )
      }
    }
  }

  /// Expects a relative error of at most `bound`.
  func expect(_ found: [Float], _ wanted: [Double], within bound: Double, _ place: String) {
    let error = relativeError(of: found, from: wanted)
    #expect(error <= bound, "\(place) is off by \(error)")
  }
}
