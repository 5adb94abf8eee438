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
    try plan(network, fused: fused).programs
  }

  private func plan(_ network: some Layer, fused: Bool = true) throws -> KernelPlan {
    let model = Model("demand", modalities: [Self.text, Self.image], width: 32) {
      preNormLayers(network)
    } objectives: {
      NextToken(on: Self.text)
      NextToken(on: Self.image)
    }
    return try Planned.make(model.module(batch: 2, sequence: 24), fused: fused)
  }

  private let network = FeedForward(hidden: 64)
  private let experts = Experts(3, hidden: 64)

  @Test func whatAllTokensTakeIsDoneForAll() throws {
    let steps = try steps(network) { _ in true }
    #expect(!steps.isEmpty && steps.allSatisfy { $0.segments == nil })
  }

  @Test func aNetworkOfImagesIsDoneForImages() throws {
    let network = network.replaced(on: Self.text, by: experts)
    let silu = try steps(network) { $0 == .unary(.silu) }
    // Of both layers and both ways: those of images, and those of experts but for the room behind them.
    #expect(silu.count == 8)
    #expect(silu.count { $0.segments == [1] } == 4)
    #expect(silu.count { $0.segments == [0, 1, 2] } == 4)
    let inner = try steps(network) {
      if case .linear = $0 { $0.groups?.ofSegment == [-1, 0] } else { false }
    }
    .filter { $0.results.count == 2 }
    #expect(inner.count == 2 && inner.allSatisfy { $0.segments == [1] })
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
    let steps = try steps(network, fused: false) { _ in true }
    #expect(!steps.isEmpty && steps.allSatisfy { $0.segments == nil })
  }

  @Test func rowsCostWhatIsDoneForThem() throws {
    let dense = try plan(network)
    let routed = dense.programs.filter { $0.plan != nil }.map { dense.rowCosts(of: $0) }
    #expect(!routed.isEmpty && routed.allSatisfy { $0.count == 3 && $0[0] == $0[1] })
    let replaced = try plan(network.replaced(on: Self.text, by: experts))
    let ofImages = replaced.programs.first { $0.steps.contains { $0.segments == [1] } }
    let images = replaced.rowCosts(of: try #require(ofImages))
    // Gate and up are two products of 32 by 64 each, and leave 64 elements.
    #expect(images[1] - images[0] >= 2 * (64 + 32 * 64 / 64))
    let ofExperts = replaced.programs.first { $0.plan?.layout.experts == 3 }
    let chosen = replaced.rowCosts(of: try #require(ofExperts))
    #expect(Set(chosen.dropLast()).count == 1 && chosen[0] > 2 * (64 + 32) && chosen[3] == 1)
  }
}

extension KernelPlan {
  /// The block programs of `gradients`.
  fileprivate var programs: [BlockProgram] {
    (entry("gradients")?.calls ?? []).compactMap { call in
      if case .block(let program) = call.kernel { program } else { nil }
    }
  }

  fileprivate func rowCosts(of program: BlockProgram) -> [Int] {
    BlockLayout(program, tile: tile, operands: operands).rowCosts
  }
}
