import Lowering
import MoTIR
import Testing

/// Every pass leaves a graph that the verifier accepts and whose text parses.
@Suite struct VerifiedPassesTests {
  @Test(arguments: [1, 2, 3]) func everyPassKeepsTheInvariants(_ modalities: Int) throws {
    let kinds = (0..<modalities).map { Modality("m\($0)", vocabulary: $0 * 10..<$0 * 10 + 10) }
    let model = Model("m", modalities: kinds, width: 16, batch: 2, sequence: 4) {
      Embedding()
      Repeat(2) {
        Residual {
          RMSNorm()
          Attention(heads: 2, normalizeQueryKey: true)
        }
        Residual {
          FeedForward(hidden: 24)
          RMSNorm()
        }
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: kinds[0])
      NextToken(on: kinds[modalities - 1], name: "last")
    }
    var module = try model.module()
    let loss = try #require(module.function("loss"))
    module.functions.append(try differentiate(loss, in: module))
    for function in module.functions {
      _ = try Pipeline.optimize(function.graph, module: module) { pass, graph in
        var changed = module
        changed.functions = [Function(name: function.name, graph: graph)]
        let found = changed.verify().map(\.description)
        #expect(found == [], "after \(pass.name) of @\(function.name)")
        let text = changed.text
        let again = (try? Module.parse(text, file: "m"))?.text
        let same = again == text
        #expect(same, "the text after \(pass.name) of @\(function.name)")
      }
    }
  }
}
