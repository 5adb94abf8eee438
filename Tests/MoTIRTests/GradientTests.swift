import MoTIR
import TestSupport
import Testing

/// Gradient graphs against finite differences, in double precision.
@Suite struct GradientTests {
  @Test("each op's gradient is the slope of the loss", arguments: GradientFixture.cases)
  func op(_ test: GradientFixture.Case) throws {
    let (module, values) = try GradientFixture.make(test)
    for result in try GradientCheck(module, values).results(seed: 1) {
      #expect(result.error <= 1e-6, "\(result)")
    }
  }

  @Test(
    "a whole model's gradient is the slope of its loss", arguments: GraphBuilder.Routing.allCases)
  func model(_ routing: GraphBuilder.Routing) throws {
    let module = try TestModels.mixture(routing: routing)
    let values = RandomInputs.make(module, seed: 3)
    for result in try GradientCheck(module, values).results(seed: 2) {
      #expect(result.error <= 1e-6, "\(result)")
    }
  }

  @Test("a random graph's gradient is the slope of its loss", arguments: 0..<48)
  func random(_ seed: UInt64) throws {
    let module = try RandomGraphs.make(seed: seed)
    let values = RandomInputs.make(module, seed: seed)
    for result in try GradientCheck(module, values).results(seed: seed) {
      #expect(result.error <= 1e-6, "seed \(seed), \(result)")
    }
  }

  @Test func anEmptyGroupHasGradientZero() throws {
    let module = try TestModels.mixture()
    var values = RandomInputs.make(module, seed: 3)
    values.inputs["modality"] = ReferenceValue(
      tokens: [Int32](repeating: 1, count: module.tokens))
    let gradient = try GradientCheck(module, values).gradient(of: "layers.0.attention.q.weight")
    #expect(gradient[..<(gradient.count / 2)].allSatisfy { $0 == 0 })
    #expect(gradient[(gradient.count / 2)...].contains { $0 != 0 })
  }

  @Test func outputsAreTheLossesAndAGradientOfEveryParameterInOrder() throws {
    let module = try TestModels.mixture()
    let loss = try #require(module.function("loss"))
    let gradients = try differentiate(loss, in: module)
    #expect(gradients.name == "gradients")
    #expect(
      gradients.graph.outputs.map(\.name)
        == ["loss", "loss.m0", "loss.m1"] + module.parameters.map { "grad.\($0.name)" })
    for parameter in module.parameters {
      let value = try #require(gradients.graph.output("grad.\(parameter.name)"))
      #expect(gradients.graph.type(of: value) == parameter.type)
    }
    #expect(gradients.graph.nodes.allSatisfy { $0.location != nil })
  }

  @Test func aParameterThatTheLossDoesNotReachHasGradientZero() throws {
    let (module, values) = try GradientFixture.make(
      GradientFixture.Case("step") { t throws(TypingError) in try [t.b.unary(.step, t.rows(2))] })
    let check = try GradientCheck(module, values)
    #expect(check.gradient(of: "rows0") == [Double](repeating: 0, count: 28))
  }

  @Test func noGradientIsComputedOfWhatNoParameterReaches() throws {
    var b = GraphBuilder(tokens: 3, modalities: ["m"])
    let type = ValueType.rows(.f32, .sequence, count: 3, width: 2)
    let x = try b.unary(.silu, b.add(.input("x"), type: type))
    let y = try b.linear(x, "w", width: 2, nil)
    b.output(try b.add(.sum, [y]), as: "loss")
    let module = Module(
      name: "m", batch: 1, sequence: 3, modalities: [], parameters: b.parameters, objectives: [],
      functions: [Function(name: "loss", graph: b.graph)])
    let gradients = try differentiate(module.functions[0], in: module)
    let added = gradients.graph.nodes[b.graph.nodes.count...].map(\.op)
    #expect(
      added == [
        .constant(1), .constant(1), .binary(.multiply), .linearWeightGradient(nil),
      ])
  }

  @Test func clustersAreDropped() throws {
    var module = try TestModels.mixture()
    module.functions[0].graph = module.functions[0].graph.rebuilt { id, operands, graph in
      let node = module.functions[0].graph[id]
      return try? graph.append(
        node.op, operands, type: module.functions[0].graph.declaredType(of: node), cluster: 1)
    }
    let gradients = try differentiate(module.functions[0], in: module)
    #expect(gradients.graph.nodes.allSatisfy { $0.cluster == nil })
  }

  @Test func aMissingLossIsAnError() throws {
    let module = try TestModels.mixture()
    let error = #expect(throws: Diagnostics.self) {
      try differentiate(Function(name: "logits", graph: Graph()), in: module)
    }
    #expect(error?.description.contains("no output named loss") == true)
  }

  @Test func aLossThatIsNoScalarIsAnError() throws {
    var b = GraphBuilder(tokens: 3, modalities: ["m"])
    b.output(try b.parameter("w", [2]), as: "loss")
    let module = try TestModels.mixture()
    let error = #expect(throws: Diagnostics.self) {
      try differentiate(Function(name: "loss", graph: b.graph), in: module)
    }
    #expect(error?.description.contains("must be a scalar") == true)
    #expect(error?.all.first?.location != nil)
  }

  @Test func anOutputWithTheNameOfAGradientIsAnError() throws {
    let module = try TestModels.mixture()
    var function = try #require(module.function("loss"))
    let loss = try #require(function.graph.output("loss"))
    let name = try #require(module.parameters.first).name
    function.graph.output(loss, as: "grad.\(name)")
    let error = #expect(throws: Diagnostics.self) { try differentiate(function, in: module) }
    #expect(error?.description.contains("as the gradient of a parameter is") == true)
  }

  @Test func aSecondDerivativeIsAnError() throws {
    let test = GradientFixture.Case("gradient op") { t throws(TypingError) in
      try t.apply(.linearInputGradient(nil), [t.rows(3), t.weight([3, 2])])
    }
    let (module, _) = try GradientFixture.make(test)
    let error = #expect(throws: Diagnostics.self) {
      try differentiate(module.functions[0], in: module)
    }
    #expect(error?.description.contains("has no derivative") == true)
  }

  @Test func aLossThatReadsTheLogSumExpIsAnError() throws {
    let test = GradientFixture.Case("lse") { t throws(TypingError) in
      let attention = Op.Attention(batch: 2, heads: 1, keyValueHeads: 1)
      return try t.b.append(.attention(attention), [t.rows(2), t.rows(2), t.rows(2)])
    }
    let (module, _) = try GradientFixture.make(test)
    let error = #expect(throws: Diagnostics.self) {
      try differentiate(module.functions[0], in: module)
    }
    #expect(error?.description.contains("log-sum-exp") == true)
  }
}
