import Lowering
import MoTIR
import Testing

@Suite struct PassesSizeTests {
  @Test func big() throws {
    let modalities = PassesModel.modalities(2)
    let model = Model("big", modalities: modalities, width: 8, batch: 1, sequence: 4) {
      Embedding()
      Repeat(32) {
        Residual {
          RMSNorm()
          Attention(heads: 2, normalizeQueryKey: true)
        }
        Residual {
          RMSNorm()
          FeedForward(hidden: 12)
        }
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: modalities[0])
    }
    let module = try model.module()
    let graph = try differentiate(module.functions[0], in: module).graph
    print(graph.nodes.count)
    var last = ContinuousClock.now
    _ = try Pipeline.optimize(graph, module: module) { pass, graph in
      print(pass.name, ContinuousClock.now - last, graph.nodes.count, graph.clusters().count)
      last = .now
    }
  }
}
