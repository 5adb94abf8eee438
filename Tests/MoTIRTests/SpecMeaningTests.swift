import Foundation
import MoTIR
import Testing

/// What models from the spec language compute.
struct SpecMeaningTests {
  private static let text = Modality("text", vocabulary: 0..<12)
  private static let image = Modality(
    "image", vocabulary: 12..<20, begin: 10, end: 11, attends: .withinSpan)
  private static let speech = Modality("speech", vocabulary: 20..<24)

  /// Returns a small model that has a bit of everything.
  private static func model(untied: Untying) -> Model {
    Model(
      "everything", modalities: [text, image, speech], width: 16, batch: 2, sequence: 6,
      untied: untied
    ) {
      Embedding()
      Repeat(2) {
        Residual {
          LayerNorm()
          Attention(
            heads: 4, keyValueHeads: 2, normalizeQueryKey: true, documents: true, bias: true)
          RMSNorm()
        }
        Residual {
          RMSNorm()
          FeedForward(hidden: 12, activation: .geGLU, bias: true)
        }
        Residual { FeedForward(hidden: 8, activation: .relu) }
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: text, speech)
      NextToken(on: image, weight: 3)
    }
  }

  private static let inputs: [String: ReferenceValue] = [
    "tokens": ReferenceValue(tokens: [1, 10, 12, 13, 11, 2, 20, 21, 3, 10, 14, 15]),
    "modality": ReferenceValue(tokens: [0, 0, 1, 1, 0, 0, 2, 2, 0, 0, 1, 1]),
    "targets": ReferenceValue(tokens: [10, 12, 13, 11, 2, -100, 21, 3, 10, 14, 15, -100]),
    "positions": ReferenceValue(tokens: [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]),
    "documents": ReferenceValue(tokens: [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    "segments": ReferenceValue(tokens: [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]),
  ]

  /// Returns the same numbers for every group of each parameter of `module`.
  private static func parameters(_ module: Module) -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for (index, parameter) in module.parameters.enumerated() {
      let count = parameter.shape.reduce(1, *)
      // Any numbers that differ from parameter to parameter do.
      let group = (0..<count).map { 0.3 * sin(Double($0 * 7 + index * 31 + 1)) }
      let copies = parameter.groups?.count ?? 1
      result[parameter.name] = (0..<copies).flatMap { _ in group }
    }
    return result
  }

  @Test func equalTowersAreADenseModel() throws {
    let dense = try Self.model(untied: .none).module()
    let expected = try Interpreter.run(
      try #require(dense.function("loss")).graph, inputs: Self.inputs,
      parameters: Self.parameters(dense))
    for untied in [
      Untying.all, .components(.feedForward), .components(.attention, .queryKeyNorms),
      .all.merging([Self.image, Self.speech]), .all.merging([Self.text, Self.speech], in: .norms),
    ] {
      let module = try Self.model(untied: untied).module()
      let found = try Interpreter.run(
        try #require(module.function("loss")).graph, inputs: Self.inputs,
        parameters: Self.parameters(module))
      for name in ["loss", "loss.text+speech", "loss.image"] {
        let (a, b) = (try #require(expected[name]).numbers[0], try #require(found[name]).numbers[0])
        #expect(abs(a - b) < 1e-12, "\(name): \(a) and \(b)")
      }
    }
    let parts = ["loss.text+speech", "loss.image"].map { expected[$0]?.numbers[0] ?? .nan }
    #expect(abs((expected["loss"]?.numbers[0] ?? .nan) - parts[0] - 3 * parts[1]) < 1e-12)
  }

  @Test func everythingHasAGradient() throws {
    let module = try Self.model(untied: .all).module()
    let loss = try #require(module.function("loss"))
    let gradients = try differentiate(loss, in: module)
    let outputs = try Interpreter.run(
      gradients.graph, inputs: Self.inputs, parameters: Self.parameters(module))
    for parameter in module.parameters {
      let gradient = try #require(outputs["grad.\(parameter.name)"])
      #expect(gradient.numbers.count == parameter.type.elementCount)
      #expect(gradient.numbers.allSatisfy { $0.isFinite })
    }
  }
}
