import Lowering
import MoTIR
import TestSupport
import Testing

/// Rows that nobody reads are not computed, and all others are.
@Suite struct RowDemandTests {
  private static let text = Modality("text", vocabulary: 0..<40)
  private static let image = Modality("image", vocabulary: 40..<72)

  /// Returns the steps of all block programs of `gradients` that `isOne` is true of.
  private func steps(
    _ network: some Layer, fused: Bool = true, where isOne: (Op) -> Bool
  ) throws -> [BlockProgram.Step] {
    try programs(network, fused: fused).flatMap(\.steps).filter { isOne($0.op) }
  }

  private func programs(_ network: some Layer, fused: Bool = true) throws -> [BlockProgram] {
    let model = Model("demand", modalities: [Self.text, Self.image], width: 32) {
      preNormLayers(network)
    } objectives: {
      NextToken(on: Self.text)
      NextToken(on: Self.image)
    }
    let plan = try Planned.make(model.module(batch: 2, sequence: 24), fused: fused)
    return try #require(plan.entry("gradients")).calls.compactMap { call in
      if case .block(let program) = call.kernel { program } else { nil }
    }
  }

  private let network = FeedForward(hidden: 64)
  private let experts = Experts(3, hidden: 64)

  @Test func whatAllTokensTakeIsDoneForAll() throws {
    #expect(try programs(network).flatMap(\.steps).allSatisfy { $0.segments == nil })
  }

  @Test func aNetworkOfImagesIsDoneForImages() throws {
    let network = network.replaced(on: Self.text, by: experts)
    let silu = try steps(network) { $0 == .unary(.silu) }
    // Of both layers and both ways: those of images, and those of experts but for the room behind them.
    #expect(silu.count == 8)
    #expect(silu.count { $0.segments == [1] } == 4)
    #expect(silu.count { $0.segments == [0, 1, 2] } == 4)
    // What is added to the residual stream is 0 for the others, and has to be written.
    let linear = try steps(network) {
      if case .linear(let groups) = $0 { groups != nil } else { false }
    }
    let down = linear.filter { $0.op.groups?.ofSegment == [-1, 0] && $0.results.count == 1 }
    #expect(down.count == 2 && down.allSatisfy { $0.segments == nil })
    let norms = try steps(network) { if case .norm(_, .some) = $0 { true } else { false } }
    #expect(!norms.isEmpty && norms.allSatisfy { $0.segments == nil })
  }

  /// The graph as built is what others are compared with, and where a fault is searched: nothing is left out.
  @Test func nothingIsLeftOutUnfused() throws {
    let network = network.replaced(on: Self.text, by: experts)
    #expect(try programs(network, fused: false).flatMap(\.steps).allSatisfy { $0.segments == nil })
  }

  @Test func rowsCostWhatIsDoneForThem() throws {
    for program in try programs(network) where program.plan != nil {
      #expect(program.rowCosts.count == 3 && program.rowCosts[0] == program.rowCosts[1])
    }
    let replaced = try programs(network.replaced(on: Self.text, by: experts))
    let images = try #require(replaced.first { $0.steps.contains { $0.segments == [1] } })
    let (wide, narrow) = (images.rowCosts[1], images.rowCosts[0])
    // Gate and up are two products of 32 by 64 each.
    #expect(wide - narrow >= 2 * 32 * 64)
    let chosen = try #require(replaced.first { $0.plan?.layout.experts == 3 })
    #expect(chosen.rowCosts.dropLast().allSatisfy { $0 > 3 * 32 * 64 } && chosen.rowCosts[3] == 1)
  }
}
