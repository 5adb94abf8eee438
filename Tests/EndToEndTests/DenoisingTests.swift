import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// What is said of noisy tokens behind caches is what is said of them in whole sequences.
@Suite struct DenoisingTests {
  private static let text = Modality("text", vocabulary: 0..<12)
  private static let image = Modality(
    "image", latents: 5, begin: 10, end: 11, attends: .withinSpan)

  /// A model whose sequences grow.
  struct Grown: Sendable, CustomTestStringConvertible {
    let model: Model
    var testDescription: String { model.name }
  }

  private static let models = [
    grown("grown_patches", FeedForward(hidden: 27)),
    grown(
      "grown_patches_narrow", widths: [image: 14],
      FeedForward(hidden: 27).replaced(on: image, by: Experts(3, hidden: 20, routing: .topK(2)))),
  ]

  private static func grown(
    _ name: String, widths: KeyValuePairs<Modality, Int> = [:], _ network: some Layer
  ) -> Grown {
    let model = Model(name, modalities: [text, image], width: 22, widths: widths) {
      preNormLayers(network)
    } objectives: {
      NextToken(on: text)
      Denoise(on: image)
    }
    return Grown(model: model)
  }

  /// Returns the interpreter's outputs for one sequence.
  private func whole(
    _ model: Model, _ tokens: [Int], _ latents: [Float], times: [Float], documents: [Int]? = nil,
    _ parameters: [String: [Double]]
  ) throws -> [String: [Double]] {
    let module = try model.module(batch: 1, sequence: tokens.count)
    var rows = BatchBuilder.Rows(tokens: tokens)
    rows.documents = documents
    rows.continuous["image"] = ContinuousTokens(latents: latents, timesteps: times)
    let batch = try BatchBuilder(module: module).build(rows)
    var inputs: [String: ReferenceValue] = [:]
    for (name, rows) in batch.inputs { inputs[name] = ReferenceValue(tokens: rows) }
    for (name, rows) in batch.continuous {
      let type = ValueType.rows(
        .f32, .sequence, count: tokens.count, width: rows.count / tokens.count)
      inputs[name] = ReferenceValue(rows.map { Double($0) }, type: type)
    }
    let graph = try #require(module.function("logits")).graph
    return try Interpreter.run(graph, inputs: inputs, parameters: parameters)
      .mapValues(\.numbers)
  }

  private func expect(_ found: [Float], _ wanted: [Double], within bound: Double) {
    let error = relativeError(of: found, from: wanted)
    #expect(error <= bound, "off by \(error)")
  }

  /// Scores that are rounded to bf16 may lead tokens to other experts.
  @Test(
    arguments: models.flatMap { model in
      [Compilation.fused, .unfused].map { (model, $0) }
    } + [(models[0], .fused.at(.bf16))])
  func blocksBehindCachesAreThoseOfWholeSequences(
    _ grown: Grown, _ compilation: Compilation
  ) throws {
    let model = grown.model
    let bound = compilation.precision == .bf16 ? 6e-2 : 1e-5
    let module = try model.module(batch: 2, sequence: 8, context: .slots(24))
    let parameters = RandomInputs.make(module, seed: 5).parameters
    let functions = try Decoder.functions(of: module).map {
      try Compiler.function($0, of: module)
    }
    let compiled = try compilation.model(functions, of: module)
    compiled.load(parameters)
    let decoder = Decoder(compiled, module)
    var random = TestRandom(seed: 3)
    func numbers(_ tokens: Int) -> [Float] { random.normals(5 * tokens).map { Float($0) } }
    // One prompt has a picture of its own, of one patch.
    let prompts = [[3, 1, 4, 10], [5, 10, -2, 11, 7, 10]]
    let own = numbers(1)
    _ = try decoder.extend(prompts, latents: [[:], ["image": own]])
    let (noisy, clean) = (numbers(6), numbers(6))
    for time in [Float(1), 0.3] {
      let said = try decoder.denoise([noisy, noisy], of: 1, at: time)
      for (index, prompt) in prompts.enumerated() {
        let before = index == 0 ? [] : own
        let expected = try whole(
          model, prompt + [Int](repeating: -2, count: 6), before + noisy,
          times: index == 0 ? [time] : [0, time], parameters)
        expect(
          said[index], Array(try #require(expected["prediction.image"]).suffix(30)), within: bound)
      }
    }
    // What noisy tokens left in the caches is gone.
    let tail = [Int](repeating: -2, count: 6) + [11, 2]
    let logits = try decoder.extend([tail, tail], latents: [["image": clean], ["image": clean]])
    for (index, prompt) in prompts.enumerated() {
      let before = index == 0 ? [] : own
      let expected = try whole(
        model, prompt + tail, before + clean, times: index == 0 ? [0] : [0, 0], parameters)
      expect(
        Array(logits[(12 * index)..<(12 * index + 12)]),
        Array(try #require(expected["logits"]).suffix(12)), within: bound)
    }
    let long = #expect(throws: Diagnostic.self) {
      try decoder.denoise([numbers(9), []], of: 1, at: 1)
    }
    #expect(long?.suggestion == "give --sequence 9")
  }

  /// A picture that training cuts off from its text is what guidance has in its second sequence.
  @Test func whatIsUnseenInTrainingIsUnseenInGeneration() throws {
    let model = Self.models[0].model
    let module = try model.module(batch: 2, sequence: 8, context: .slots(24))
    let parameters = RandomInputs.make(module, seed: 8).parameters
    let functions = try Decoder.functions(of: module).map {
      try Compiler.function($0, of: module)
    }
    let compiled = try Compilation.fused.model(functions, of: module)
    compiled.load(parameters)
    let decoder = Decoder(compiled, module)
    var random = TestRandom(seed: 4)
    let noisy = random.normals(5 * 6).map { Float($0) }
    let prompt = [3, 1, 4, 10]
    let start = try #require(module.unconditionedStarts(of: prompt).last)
    _ = try decoder.extend([prompt, Array(prompt[start...])])
    let said = try decoder.denoise([noisy, noisy], of: 1, at: 0.5)
    let tokens = prompt + [Int](repeating: -2, count: 6)
    for (index, documents) in [tokens.map { _ in 0 }, tokens.indices.map { $0 < start ? 0 : 1 }]
      .enumerated()
    {
      let expected = try whole(
        model, tokens, noisy, times: [0.5], documents: documents, parameters)
      expect(
        said[index], Array(try #require(expected["prediction.image"]).suffix(30)), within: 1e-5)
    }
    #expect(said[0] != said[1])
  }
}
