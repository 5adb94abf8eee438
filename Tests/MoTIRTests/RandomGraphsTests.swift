import MoTIR
import TestSupport
import Testing

/// What other tests rely on when they draw random graphs.
@Suite struct RandomGraphsTests {
  @Test func equalSeedsGiveEqualModels() throws {
    for seed in 0..<20 as Range<UInt64> {
      let module = try RandomGraphs.make(seed: seed)
      #expect(try RandomGraphs.make(seed: seed) == module)
      let values = RandomInputs.make(module, seed: seed)
      #expect(RandomInputs.make(module, seed: seed).inputs == values.inputs)
      #expect(RandomInputs.make(module, seed: seed).parameters == values.parameters)
    }
  }

  @Test func modelsAndTheirGradientsAreSoundAndRoundTripAsText() throws {
    for seed in 0..<30 as Range<UInt64> {
      var module = try RandomGraphs.make(seed: seed)
      try module.functions.append(differentiate(module.functions[0], in: module))
      #expect(module.verify() == [], "seed \(seed)")
      let parsed = try Module.parse(module.text, file: "random.motir")
      #expect(parsed.text == module.text, "seed \(seed)")
    }
  }

  @Test func everyLossIsFiniteAndEveryForwardOpOccurs() throws {
    var found: Set<String> = []
    for seed in 0..<200 as Range<UInt64> {
      let module = try RandomGraphs.make(seed: seed)
      let values = RandomInputs.make(module, seed: seed)
      let graph = try #require(module.function("loss")).graph
      for node in graph.nodes {
        found.insert("\(node.op.mnemonic)\(node.op.groups == nil ? "" : " routed")")
      }
      let outputs = try Interpreter.run(
        graph, inputs: values.inputs, parameters: values.parameters)
      let loss = try #require(outputs["loss"]?.numbers.first)
      #expect(loss.isFinite && loss >= 0, "seed \(seed): \(loss)")
    }
    let routable = [
      "linear", "rms_norm", "layer_norm", "channel_multiply", "channel_add", "column_sum",
    ]
    let expected =
      routable + routable.map { "\($0) routed" }
      + Op.Unary.allCases.map(\.rawValue) + Op.Binary.allCases.map(\.rawValue)
      + [
        "input", "parameter", "constant", "route", "sync", "gather", "scatter", "rotary",
        "attention", "row_sum", "sum", "embed", "cross_entropy", "token_weights", "head_loss",
      ]
    #expect(expected.filter { !found.contains($0) } == [])
  }
}
