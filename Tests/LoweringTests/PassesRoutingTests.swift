import Lowering
import MoTIR
import Testing

/// What the passes make of routing.
@Suite struct PassesRoutingTests {
  @Test(arguments: [PassesModel.untied2, .untied3, .merged, .biased, .normAfter, .spans])
  func optimizedGraphsMoveRowsAtAttentionOnly(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    for (name, graph) in graphs {
      let census = RoutingCensus(try Pipeline.optimize(graph, module: module))
      #expect(census.syncs == 0, "@\(name)")
      #expect(census.routes == 0, "@\(name)")
      #expect(census.movesElsewhere == 0, "@\(name)")
      #expect(census.movesAtOutputs == (name == "logits" ? 1 : 0), "@\(name)")
    }
  }

  /// docs/passes.md: q, k and v are scattered and o is gathered in each layer; backward do is
  /// scattered, and dq, dk and dv are gathered.
  @Test(arguments: [PassesModel.untied2, .untied3])
  func attentionBoundaryIsWhatTheDocumentationSays(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    for (name, graph) in graphs {
      let census = RoutingCensus(try Pipeline.optimize(graph, module: module))
      let layers = 2
      #expect(census.movesAtAttention == layers * (name == "gradients" ? 8 : 4), "@\(name)")
    }
  }

  /// docs/passes.md: n routed ops have n routes, K n syncs, n gathers and n scatters; backward adds n
  /// gathers and n scatters.
  @Test(arguments: PassesModel.allCases)
  func naiveGraphsAreWhatTheDocumentationSays(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    let n = module.parameters.filter { $0.groups != nil }.count
    for (name, graph) in graphs {
      let census = RoutingCensus(graph)
      #expect(census.routes == n, "@\(name)")
      #expect(census.syncs == module.modalities.count * n, "@\(name)")
      #expect(census.gathers == (name == "gradients" ? 2 * n : n), "@\(name)")
      #expect(census.scatters == (name == "gradients" ? 2 * n : n), "@\(name)")
    }
  }

  /// docs/passes.md: n = 11 L + 1 for pre-norm layers with QK-norm and SwiGLU.
  @Test(arguments: [PassesModel.untied2, .untied3])
  func fullyUntiedModelsHaveElevenRoutedOpsALayer(_ model: PassesModel) throws {
    let (_, graphs) = try model.graphs()
    for (_, graph) in graphs { #expect(RoutingCensus(graph).routes == 11 * 2 + 1) }
  }

  @Test func denseGraphsAreNotRouted() throws {
    let (module, graphs) = try PassesModel.dense.graphs()
    for (_, graph) in graphs {
      let census = RoutingCensus(try Pipeline.optimize(graph, module: module))
      #expect(census.gathers + census.scatters + census.syncs + census.routes == 0)
    }
  }

  @Test func aPlanOfOtherDataKeepsItsSyncs() throws {
    let module = try PassesModel.untied2.module()
    var graph = Graph()
    let rows = ValueType.rows(.i32, .sequence, count: module.tokens, width: 1)
    let choice = try graph.add(.input("choice"), [], type: rows)
    let tokens = try graph.add(.input("tokens"), [], type: rows)
    let plan = try graph.add(.sync(segment: 0), [graph.add(.route(segments: 2), [choice])])
    graph.output(try graph.add(.gather, [tokens, plan]), as: "rows")
    let census = RoutingCensus(
      try Pipeline.run([.cacheRoutingPlan, .deadCode], on: graph, module: module))
    #expect(census.syncs == 1)
    #expect(census.routes == 1)
  }

  @Test func unusedModalityIsNoInputAnyMore() throws {
    let (module, graphs) = try PassesModel.untied2.graphs()
    for (_, graph) in graphs {
      let result = try Pipeline.run([.cacheRoutingPlan], on: graph, module: module)
      #expect(!result.nodes.contains { $0.op == .input("modality") })
      #expect(result.nodes.filter { $0.op == .input(Pass.planInput) }.count == 1)
    }
  }
}
