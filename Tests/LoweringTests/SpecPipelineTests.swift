import Lowering
import MoTIR
import Testing

/// Models of the spec language on their way through the passes.
struct SpecPipelineTests {
  private static let text = Modality("text", vocabulary: 0..<8)
  private static let image = Modality("image", vocabulary: 8..<12, attends: .withinSpan)

  /// Returns a model whose norms stand before or after, with biases or without.
  private static func model(before: Bool, bias: Bool, untied: Untying) -> Model {
    Model("small", modalities: [text, image], width: 8, batch: 1, sequence: 6, untied: untied) {
      Embedding()
      Repeat(2) {
        Residual {
          if before { RMSNorm() }
          Attention(heads: 2, keyValueHeads: 1, normalizeQueryKey: true, bias: bias)
          if !before { RMSNorm() }
        }
        Residual {
          if before { LayerNorm(bias: bias) }
          FeedForward(hidden: 12, bias: bias)
          if !before { LayerNorm(bias: bias) }
        }
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: text)
      NextToken(on: image, weight: 2)
    }
  }

  private static let inputs: [String: ReferenceValue] = [
    "tokens": ReferenceValue(tokens: [1, 8, 9, 2, 3, 10]),
    "modality": ReferenceValue(tokens: [0, 1, 1, 0, -1, 1]),
    "targets": ReferenceValue(tokens: [8, 9, 2, 3, -100, 1]),
    "positions": ReferenceValue(tokens: [0, 1, 2, 3, 4, 5]),
    "segments": ReferenceValue(tokens: [0, 1, 1, 0, 0, 2]),
  ]

  @Test(arguments: [true, false], [true, false])
  func passesKeepGradientsAndTakeAwaySyncs(_ before: Bool, _ bias: Bool) throws {
    for untied in [Untying.all, .components(.feedForward, .attention(.query, .key, .value))] {
      let module = try Self.model(before: before, bias: bias, untied: untied).module()
      let loss = try #require(module.function("loss"))
      let naive = try differentiate(loss, in: module).graph
      let optimized = try Pipeline.optimize(naive, module: module)
      #expect(!optimized.nodes.contains { $0.op.mnemonic == "sync" })
      #expect(optimized.nodes.filter { $0.op.mnemonic == "route" }.count <= 1)
      let parameters = Self.parameters(module)
      let expected = try Interpreter.run(naive, inputs: Self.inputs, parameters: parameters)
      let found = try Interpreter.run(optimized, inputs: Self.inputs, parameters: parameters)
      for output in naive.outputs {
        let a = try #require(expected[output.name]).numbers
        let b = try #require(found[output.name]).numbers
        let error = zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(a.count == b.count && error < 1e-9, "\(output.name) differs by \(error)")
      }
    }
  }

  /// Returns numbers for every parameter of `module`.
  private static func parameters(_ module: Module) -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for (index, parameter) in module.parameters.enumerated() {
      result[parameter.name] = (0..<parameter.type.elementCount).map {
        Double(($0 * 37 + index * 101) % 97) / 97 - 0.5
      }
    }
    return result
  }
}
