import Lowering
import MoTIR
import TestSupport
import Testing

/// Every pass must leave a graph that computes what it computed before.
@Suite struct PassesBehaviourTests {
  @Test(arguments: PassesModel.allCases)
  func everyPrefixComputesTheSame(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    let data = PassesData(module, seed: 1)
    for (name, graph) in graphs {
      let expected = try data.run(graph)
      var failed: [String] = []
      _ = try Pipeline.optimize(graph, module: module) { pass, graph in
        check(graph, of: "@\(name) after \(pass.name)", data, expected, &failed)
      }
      #expect(failed == [])
    }
  }

  @Test(arguments: PassesModel.allCases)
  func everyPassCanBeDisabled(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    let data = PassesData(module, seed: 2)
    for (name, graph) in graphs {
      let expected = try data.run(graph)
      var failed: [String] = []
      for pass in Pass.all {
        let result = try Pipeline.optimize(graph, module: module, disabling: [pass.name])
        check(result, of: "@\(name) without \(pass.name)", data, expected, &failed)
      }
      #expect(failed == [])
    }
  }

  @Test(arguments: 0..<40)
  func randomGraphsComputeTheSame(_ seed: Int) throws {
    var random = try TangledGraph(seed: UInt64(seed))
    let (module, graph) = try random.build()
    let gradients = try differentiate(Function(name: "loss", graph: graph), in: module).graph
    let data = PassesData(module, seed: UInt64(seed))
    for graph in [graph, gradients] {
      let expected = try data.run(graph)
      var failed: [String] = []
      _ = try Pipeline.optimize(graph, module: module) { pass, graph in
        check(graph, of: "seed \(seed) after \(pass.name)", data, expected, &failed)
      }
      let disabled = Pass.all[seed % Pass.all.count].name
      let result = try Pipeline.optimize(graph, module: module, disabling: [disabled])
      check(result, of: "seed \(seed) without \(disabled)", data, expected, &failed)
      #expect(failed == [])
    }
  }

  /// `motc opt --passes` takes passes in any order, and graphs that have clusters already.
  @Test(arguments: 0..<30)
  func anyOrderOfPassesComputesTheSame(_ seed: Int) throws {
    let seed = UInt64(seed)
    var random = try TangledGraph(seed: seed)
    let (module, loss) = try random.build()
    let graph = try differentiate(Function(name: "loss", graph: loss), in: module).graph
    let data = PassesData(module, seed: seed)
    let expected = try data.run(graph)
    var numbers = TestRandom(seed: seed)
    let passes = (0..<15).map { _ in Pass.all[numbers.below(Pass.all.count)] }
    var failed: [String] = []
    var names: [String] = []
    _ = try Pipeline.run(passes, on: graph, module: module) { pass, graph in
      names.append(pass.name)
      check(graph, of: "seed \(seed) after \(names)", data, expected, &failed)
    }
    #expect(failed == [])
  }

  @Test(arguments: PassesModel.allCases)
  func optimizingTwiceChangesNothing(_ model: PassesModel) throws {
    let (module, graphs) = try model.graphs()
    for (name, graph) in graphs {
      let once = try Pipeline.optimize(graph, module: module) { pass, result in
        let again = try? Pipeline.run([pass], on: result, module: module)
        #expect((again == result) as Bool, "@\(name): \(pass.name) finds more in its own work")
      }
      let twice = try Pipeline.optimize(once, module: module)
      #expect((twice == once) as Bool, "@\(name)")
    }
  }

  /// Notes in `failed` what is wrong with `graph`: its clusters, or its results on `data`.
  private func check(
    _ graph: Graph, of name: String, _ data: PassesData, _ expected: [String: ReferenceValue],
    _ failed: inout [String]
  ) {
    failed += graph.verify().map { "\(name): \($0)" }
    failed += ClusterLegality(graph).violations().map { "\(name): \($0)" }
    do {
      failed += differences(expected, try data.run(graph)).map { "\(name): \($0) differs" }
    } catch {
      failed.append("\(name): \(error)")
    }
  }
}
