import Lowering
import MoTIR
import Testing

/// What the fusions find in the usual block.
@Suite struct PassesFusionTests {
  @Test(arguments: [PassesModel.dense, .untied2, .untied3])
  func projectionsAreJoined(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    for (name, graph) in graphs where name != "logits" {
      let result = try Pipeline.optimize(graph, module: module)
      // q k v · o · gate up · down, in each of two layers; the head is in the loss.
      #expect(count(result) { if case .linear = $0 { true } else { false } } == 8, "@\(name)")
      guard name == "gradients" else { continue }
      #expect(count(result) { if case .linearInputGradient = $0 { true } else { false } } == 8)
      #expect(count(result) { if case .linearWeightGradient = $0 { true } else { false } } == 8)
    }
  }

  @Test(arguments: PassesModel.allCases)
  func logitsAreNeverStored(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    for (name, graph) in graphs where name != "logits" {
      let result = try Pipeline.optimize(graph, module: module)
      #expect(count(result) { $0 == .crossEntropy || $0 == .crossEntropyGradient } == 0)
      let wanted: Op = name == "gradients" ? .headLossGradient : .headLoss
      #expect(count(result) { $0 == .headLoss || $0 == .headLossGradient } == 1)
      #expect(count(result) { $0 == wanted } == 1)
    }
  }

  /// Every row-wise node of a pre-norm block finds a kernel that has other work; the embedding's
  /// readers are the first norm, which is packed with Q, K and V, and the residual.
  @Test(arguments: [PassesModel.untied2, .untied3])
  func rowwiseNodesShareKernels(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    for (name, graph) in graphs {
      let result = try Pipeline.optimize(graph, module: module)
      let legality = ClusterLegality(result)
      let alone = result.nodes.filter { legality.admits($0) && $0.cluster == nil }
      #expect(alone.map(\.op.mnemonic) == ["embed"], "@\(name)")
    }
  }

  /// A norm on a sub-layer's output stays with that sub-layer's last linear map.
  @Test func normsAfterLinearMapsAreEpilogues() throws {
    let (module, graphs) = try PassesModel.normAfter.graphs()
    let loss = try Pipeline.optimize(
      try #require(graphs.first).graph, module: module, disabling: ["fuse-matmul-chains"])
    let kernels = loss.clusters().map { $0.members.map { loss[$0].op.mnemonic } }
    #expect(kernels.filter { $0.contains("rms_norm") }.count == 4)
    for kernel in kernels where kernel.contains("rms_norm") {
      #expect(kernel.suffix(3) == ["linear", "rms_norm", "add"])
    }
  }

  /// Between two attentions there is one kernel: both linear maps of the feed-forward network and all around
  /// them, from the projection of one attention's output to the next one's inputs.
  @Test(arguments: [PassesModel.dense, .untied2])
  func layersAreOneKernelBesidesAttention(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    let loss = try Pipeline.optimize(try #require(graphs.first).graph, module: module)
    let attentions = loss.nodes.filter { if case .attention = $0.op { true } else { false } }.count
    let kernels = loss.clusters().map { cluster in
      cluster.members.filter { loss[$0].op.traits.contains(.matmul) }.count
    }
    #expect(kernels.filter { $0 > 0 }.count == attentions + 1)
    #expect(kernels.max() == 4)
  }

  /// Rows too wide for the second cache do not pass from one linear map to the next.
  @Test func wideRowsBreakChains() throws {
    let module = try Module.parse(
      """
      module @wide batch 1 sequence 4 {
        modality "text" 0..<4
        parameter @table.weight : f32[4, 4] component "embedding" init normal(0.02) decay
        parameter @up.weight : f32[4100, 4] component "feed_forward" init normal(0.02) decay
        parameter @down.weight : f32[4, 4100] component "feed_forward" init normal(0.02) decay
        func @f {
          %0 = input "tokens" : i32[T=4, 1]
          %1 = embed %0, @table.weight : f32[T=4, 4]
          %2 = linear %1, @up.weight : f32[T=4, 4100]
          %3 = silu %2 : f32[T=4, 4100]
          %4 = linear %3, @down.weight : f32[T=4, 4]
          return %4 as "y"
        }
      }
      """, file: "wide.motir")
    let graph = try #require(module.function("f")).graph
    let result = try Pipeline.optimize(graph, module: module)
    let kernels = result.clusters().map { $0.members.map { result[$0].op.mnemonic } }
    #expect(kernels == [["embed", "linear", "silu"]])
  }

  /// The gradients of Q, K and V pass from their gathers to the projections in one kernel.
  @Test func attentionGradientsAreOnePrologue() throws {
    let (module, graphs) = try PassesModel.untied2.graphs()
    let result = try Pipeline.optimize(try #require(graphs.last).graph, module: module)
    let sizes = result.clusters().map { cluster in
      cluster.members.filter { result[$0].op == .gather }.count
    }
    #expect(sizes.filter { $0 == 3 }.count == 2)
  }

  @Test func unknownPassesAreToldWithTheNearestName() throws {
    let error = #expect(throws: Diagnostic.self) { try Pass.named("fuse-epilogue") }
    #expect(error?.suggestion == "did you mean `fuse-epilogues`?")
    let module = try PassesModel.dense.module()
    #expect(throws: Diagnostic.self) {
      try Pipeline.optimize(Graph(), module: module, disabling: ["nothing-like-it"])
    }
  }

  @Test func passNamesAreUnique() {
    #expect(Set(Pass.all.map(\.name)).count == Pass.all.count)
  }

  private func count(_ graph: Graph, _ isCounted: (Op) -> Bool) -> Int {
    graph.nodes.filter { isCounted($0.op) }.count
  }
}
