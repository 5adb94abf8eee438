import MoTIR
import TestSupport
import Testing

/// Experts in the spec language, in IR text and by hand.
@Suite struct ExpertTests {
  private static let text = Modality("text", vocabulary: 0..<258)
  private static let image = Modality("image", vocabulary: 258..<300)

  private static func model(
    _ experts: Experts, untied: Untying = .all, objective: String? = nil
  ) -> Model {
    Model(
      "test", modalities: [text, image], width: 32, batch: 2, sequence: 8, untied: untied
    ) {
      Embedding()
      Repeat(2) {
        Residual { Attention(heads: 4) }
        Residual { experts }
      }
      Head()
    } objectives: {
      NextToken(on: text, name: objective)
    }
  }

  // MARK: The spec language

  @Test func namesOfTensorsSayExpertAndModality() throws {
    let module = try Self.model(Experts(2, hidden: 24)).module()
    let parameter = try #require(module.parameter("layers.1.feed_forward.expert.gate.weight"))
    #expect(
      parameter.tensorNames == [
        "layers.1.feed_forward.expert.0.gate.text.weight",
        "layers.1.feed_forward.expert.1.gate.text.weight",
        "layers.1.feed_forward.expert.0.gate.image.weight",
        "layers.1.feed_forward.expert.1.gate.image.weight",
      ])
    #expect(parameter.type == .tensor(.f32, [4, 24, 32]))
    #expect(
      module.parameter("layers.1.feed_forward.router.weight")?.tensorNames
        == [
          "layers.1.feed_forward.router.text.weight", "layers.1.feed_forward.router.image.weight",
        ]
    )
    let dense = try Self.model(Experts(2, hidden: 24), untied: .none).module()
    #expect(
      dense.parameter("layers.0.feed_forward.expert.down.weight")?.tensorNames
        == [
          "layers.0.feed_forward.expert.0.down.weight",
          "layers.0.feed_forward.expert.1.down.weight",
        ])
  }

  @Test(arguments: [Untying.all, .none, .all.merging([text, image])])
  func textRoundTrips(_ untied: Untying) throws {
    for routing in [Experts.Routing.expertChoice(capacity: 1.5), .topK(2)] {
      let model = Self.model(Experts(3, hidden: 24, routing: routing), untied: untied)
      let module = try model.module(context: .slots(16))
      #expect(try Module.parse(module.text, file: "test.motir") == module)
    }
  }

  @Test func lossesOfTheRouterAreOutputsAndPartOfTheLoss() throws {
    let routing = Experts.Routing.topK(2, balance: 0.5, zLoss: 0.25)
    let module = try Self.model(Experts(3, hidden: 24, routing: routing)).module()
    let loss = try #require(module.function("loss"))
    #expect(loss.graph.outputs.map(\.name) == ["loss", "loss.text", "loss.balance", "loss.z"])
    let values = RandomInputs.make(module, seed: 3)
    let outputs = try Interpreter.run(
      loss.graph, inputs: values.inputs, parameters: values.parameters)
    let numbers = outputs.compactMapValues(\.numbers.first)
    let sum =
      try #require(numbers["loss.text"]) + 0.5 * #require(numbers["loss.balance"])
      + 0.25 * #require(numbers["loss.z"])
    #expect(abs(sum - (numbers["loss"] ?? 0)) < 1e-12)
    #expect(
      try Self.model(Experts(3, hidden: 24)).module().function("loss")?.graph.outputs.map(\.name)
        == ["loss", "loss.text"])
  }

  @Test func whereTokensComeOneByOneEachTakesItsBestExperts() throws {
    let model = Self.model(Experts(4, hidden: 24, routing: .expertChoice(capacity: 1.6)))
    let module = try model.module(context: .slots(16))
    func rules(_ name: String) throws -> Set<ExpertRouting.Rule> {
      let graph = try #require(module.function(name)).graph
      return Set(
        graph.nodes.compactMap { node in
          if case .routeExperts(let routing, _) = node.op { routing.rule } else { nil }
        })
    }
    #expect(try rules("loss") == [.capacity(1.6)])
    #expect(try rules("logits") == [.capacity(1.6)])
    #expect(try rules("prefill") == [.top(2)])
    #expect(try rules("decode") == [.top(2)])
  }

  @Test func aModelsGradientIsTheSlopeOfItsLoss() throws {
    for routing in [Experts.Routing.expertChoice(), .topK(2, balance: 0.5, zLoss: 0.25)] {
      let module = try Self.model(Experts(3, hidden: 9, routing: routing)).module()
      for result in try GradientCheck(module, .make(module, seed: 5)).results(seed: 2) {
        #expect(result.error <= 1e-5, "\(routing): \(result)")
      }
    }
  }

  @Test(arguments: [
    (Experts(1, hidden: 8), "Experts wants 2...32 experts, and has 1"),
    (Experts(33, hidden: 8), "Experts wants 2...32 experts, and has 33"),
    (Experts(Int.max, hidden: 8), "and has 9223372036854775807"),
    (Experts(2, hidden: 0), "at least 1 and at most"),
    (Experts(2, hidden: 8, routing: .expertChoice(capacity: -0.5)), "the capacity must be"),
    (Experts(2, hidden: 8, routing: .expertChoice(capacity: .nan)), "the capacity must be"),
    (Experts(2, hidden: 8, routing: .expertChoice(capacity: .infinity)), "the capacity must be"),
    (Experts(2, hidden: 8, routing: .topK(0)), "its 0 best experts, and there are 2"),
    (Experts(2, hidden: 8, routing: .topK(3)), "its 3 best experts, and there are 2"),
    (Experts(2, hidden: 8, routing: .topK(1, balance: -1)), "the weight `balance`"),
    (Experts(2, hidden: 8, routing: .topK(1, zLoss: .nan)), "the weight `zLoss`"),
  ])
  func whatCannotBeIsRefused(_ experts: Experts, _ message: String) throws {
    let error = #expect(throws: Diagnostics.self) { try Self.model(experts).module() }
    #expect(error?.all[0].message.contains(message) == true, "\(error as Any)")
    #expect(error?.all[0].location?.file == #filePath)
  }

  @Test func anObjectiveHasNoNameOfARoutersLoss() throws {
    let experts = Experts(2, hidden: 8, routing: .topK(1))
    let error = #expect(throws: Diagnostics.self) {
      try Self.model(experts, objective: "balance").module()
    }
    #expect(error?.description.contains("as a loss of the model's experts is") == true)
  }

  // MARK: IR text

  @Test(arguments: [
    ("top 2 : plan[E=16", "top 4 : plan[E=16", "each token takes 4 of 3 experts"),
    ("top 2 : plan[E=16", "top 0 : plan[E=16", "each token takes 0 of 3 experts"),
    (
      "groups [0, 1] experts 3 top", "groups [0, 1] experts 4 top", "no score for each of 4 experts"
    ),
    ("experts 3 top 2", "experts 3", "expected `capacity` or `top`"),
    ("capacity 1.5", "capacity -1.5", "a capacity of -1.5"),
    ("capacity 1.5", "capacity 3.0", "is plan[E=24, 3, 8, 3]"),
    ("plan[E=16, 6, 8, 3]", "plan[E=16, 6, 8, 4]", "6 segments of 4 experts each"),
    ("plan[E=16, 6, 8, 3]", "plan[16, 6]", "is plan[E=16, 6, 8, 3]"),
    ("%8 = dispatch %4 by %7", "%8 = dispatch %4 by %3", "is no plan of experts"),
    ("%8 = dispatch %4 by %7", "%8 = dispatch %1 by %7", "wants f32[R=8, …]"),
    ("%12 = combine %11 by %7", "%12 = combine %5 by %7", "wants f32[E=16, …]"),
    ("%10 = gates %5 by %7", "%10 = gates %4 by %7", "wants f32[R=8, 3]"),
    ("gates.gradient %10 by %7", "gates.gradient %9 by %7", "wants f32[E=16, 1]"),
    ("balance %7 :", "balance %3 :", "operand 1 is no plan of experts"),
    ("balance %14 count %20", "balance %14 count %5", "wants a count i32[]"),
    ("[0, 1, 2, 3, 4, 5]", "[0, 1, 2, 3, 4, 4]", "no weight of rank 2"),
    ("[0, 1, 2, 3, 4, 5]", "[1, 0, 2, 3, 4, 5]", "read by a plan of others"),
    ("%5 by %3 groups [0, 1] experts", "%5 by %3 groups [1, 0] experts", "a plan of others"),
    ("experts 3 component", "experts 65 component", "the number of experts"),
    ("@expert.up.weight", "@up.weight", "no part of its name is `expert`"),
    ("%4 = gather %1 by %3", "%4 = gather %1 by %7", "not defined"),
  ])
  func whatTextCannotSay(_ old: String, _ new: String, _ message: String) {
    #expect(TextFixtures.experts.contains(old))
    let text = TextFixtures.experts.replacing(old, with: new)
    let error = #expect(throws: Diagnostics.self) { try Module.parse(text, file: "m") }
    #expect(error?.description.contains(message) == true, "\(error as Any)")
  }

  // MARK: By hand

  /// Five tokens in grouped order: the first three of one group, the fourth of another, the last of none.
  private func plan(_ rule: ExpertRouting.Rule) throws -> [String: [Double]] {
    var fixture = try ReferenceFixture(modality: [0, 0, 0, 1, -1])
    let scores = try fixture.rows([[1, 2], [3, 2], [3, .nan], [5, 5], [9, 9]])
    let modalities = try #require(
      fixture.graph.nodes.first { if case .input = $0.op { true } else { false } })
    let plan = try fixture.graph.add(
      .routeExperts(ExpertRouting(experts: 2, rule: rule), Groups([0, 1])),
      [scores, modalities.results[0]])
    let x = try fixture.rows([[1], [2], [3], [4], [5]])
    let rows = try fixture.graph.add(.dispatch, [x, plan])
    fixture.graph.output(rows, as: "rows")
    fixture.graph.output(try fixture.graph.add(.combine, [rows, plan]), as: "sums")
    fixture.graph.output(try fixture.graph.add(.gates, [scores, plan]), as: "gates")
    let balance = try fixture.graph.append(.balance(hasCount: false), [plan])
    fixture.graph.output(balance[0], as: "weights")
    fixture.graph.output(balance[1], as: "means")
    return try Interpreter.run(fixture.graph, inputs: fixture.inputs, parameters: [:])
      .mapValues(\.numbers)
  }

  @Test func expertsTakeTheirBestTokens() throws {
    let found = try plan(.capacity(1))
    // Two of three tokens each, of equal ones the first, in the tokens' order; then the only token of the other group.
    #expect(found["rows"] == [2, 3, 1, 2, 4, 4, 0, 0, 0, 0])
    #expect(found["gates"] == [3, 3, 2, 2, 5, 5, 0, 0, 0, 0])
    #expect(found["sums"] == [1, 4, 3, 8, 0])
    let third: Double = 1 / 3
    #expect(found["means"] == [third, third, third, 1, 0])
  }

  @Test func tokensTakeTheirBestExperts() throws {
    let found = try plan(.top(1))
    #expect(found["rows"] == [2, 3, 1, 4, 0])
    #expect(found["gates"] == [3, 3, 2, 5, 0])
    let (two, one): (Double, Double) = (4 / 9, 2 / 9)
    let wanted: [Double] = [two, one, two, one, two, one, 2, 0, 0, 0]
    #expect(close(found["weights"] ?? [], wanted))
  }
}
