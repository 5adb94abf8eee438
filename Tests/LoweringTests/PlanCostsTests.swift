import Lowering
import MoTIR
import TestSupport
import Testing

/// The arithmetic of a plan's calls is that of rows that have weights.
@Suite struct PlanCostsTests {
  private static let text = Modality("text", vocabulary: 0..<40)
  private static let image = Modality("image", vocabulary: 40..<72)
  private static let speech = Modality("speech", vocabulary: 72..<96)
  private static let (layers, batch, sequence, width, hidden) = (2, 2, 48, 32, 64)

  /// Returns the operations of `gradients` of a model with `network` for its feed-forward.
  private static func flops(
    untied: Untying = .all, fused: Bool, _ network: some Layer
  ) throws -> Double {
    let model = Model("costs", modalities: [text, image, speech], width: width, untied: untied) {
      preNormLayers(
        count: layers, network,
        attention: Attention(heads: 4, normalizeQueryKey: true, documents: true))
    } objectives: {
      for modality in [text, image, speech] { NextToken(on: modality) }
    }
    let module = try model.module(batch: batch, sequence: sequence)
    let plan = try Planned.make(module, fused: fused)
    return try #require(plan.entry("gradients")).calls.reduce(0) { $0 + $1.flops }
  }

  /// Rows of a modality where tokens are shared out equally.
  private static let rows = Double(batch * sequence) / 3
  /// Forward, the gradient of rows and that of weights.
  private static let passes = 3.0

  @Test(arguments: [true, false]) func towersCostWhatTheDenseModelDoes(_ fused: Bool) throws {
    let network = FeedForward(hidden: Self.hidden)
    let dense = try Self.flops(untied: .none, fused: fused, network)
    #expect(dense > 0)
    #expect(try Self.flops(fused: fused, network) == dense)
    #expect(
      try Self.flops(untied: .all.merging([Self.image, Self.speech]), fused: fused, network)
        == dense)
  }

  /// Each token takes one of four experts, so all that is added is what finds it.
  @Test(arguments: [true, false]) func expertsAddTheirRouter(_ fused: Bool) throws {
    let network = FeedForward(hidden: Self.hidden)
    let experts = Experts(4, hidden: Self.hidden)
    let dense = try Self.flops(untied: .none, fused: fused, network)
    let router = Double(Self.layers) * Self.passes * 2 * Self.rows * Double(Self.width * 4)
    #expect(try Self.flops(untied: .none, fused: fused, experts) == dense + 3 * router)
    #expect(try Self.flops(fused: fused, experts) == dense + 3 * router)
    let inOneTower = try Self.flops(fused: fused, network.replaced(on: Self.text, by: experts))
    #expect(inOneTower == dense + router)
  }

  /// Gives its rows back as they are.
  private struct Nothing: Layer {
    func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows { x }
  }

  @Test(arguments: [true, false]) func layersForSomeModalities(_ fused: Bool) throws {
    let network = FeedForward(hidden: Self.hidden)
    let (image, speech) = (Self.image, Self.speech)
    let without = try Self.flops(fused: fused, Nothing())
    let layer =
      Double(Self.layers) * Self.passes * 2 * Self.rows * Double(3 * Self.width * Self.hidden)
    let one = try Self.flops(fused: fused, network.replaced(on: image, speech, by: Nothing()))
    #expect(one == without + layer)
    let two = try Self.flops(fused: fused, network.replaced(on: speech, by: Nothing()))
    #expect(two == without + 2 * layer)
  }
}
