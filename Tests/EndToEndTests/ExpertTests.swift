import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Who takes which token is the same compiled and interpreted, and what experts compute of their tokens.
@Suite struct ExpertTests {
  /// Scores of 40 tokens by 4 experts: ties, infinities, zeros of either sign, not a number.
  private static let scores: [Double] = (0..<160).map { index in
    switch index % 23 {
    case 3: -.infinity
    case 7: .nan
    case 11: -0.0
    case 12: 0
    case 17: .infinity
    default: Double(index * 37 % 11) / 8 - 0.5
    }
  }

  /// A module that says who takes which token, and in which row.
  private static func selection(_ rule: ExpertRouting.Rule, _ groups: Groups) throws -> Module {
    var b = GraphBuilder(tokens: 40, modalities: ["a", "b", "c"], routing: .planInput)
    let index = try b.input("tokens", by: b.nextPlan())
    let scores = try b.add(.embed, [index, b.parameter("scores", [40, 4])])
    let plan = try b.add(
      .routeExperts(ExpertRouting(experts: 4, rule: rule), groups), [scores, b.nextPlan()])
    let type = b.type(of: plan)
    guard case .plan(let layout) = type else { throw Diagnostic("\(type) is no plan") }
    let gates = ValueType.rows(.f32, .dispatched, count: layout.rows, width: 1)
    let ones = try b.add(.constant(1), type: gates)
    let taken = try b.add(.gatesGradient, [ones, plan])
    let numbers = try b.add(.embed, [index, b.parameter("numbers", [40, 1])])
    b.output(try b.add(.scatter, [taken, b.nextPlan()]), as: "taken")
    b.output(try b.add(.dispatch, [numbers, plan]), as: "rows")
    let results = try b.append(.balance(hasCount: false), [plan])
    b.output(results[0], as: "weights")
    b.output(results[1], as: "means")
    return Module(
      name: "selection", batch: 1, sequence: 40,
      modalities: ["a", "b", "c"].enumerated().map { index, name in
        ModalityDeclaration(name: name, vocabulary: (13 * index)..<(13 * index + 13 + index / 2))
      }, parameters: b.parameters, objectives: [],
      functions: [Function(name: "f", graph: b.graph)])
  }

  @Test(
    arguments: [
      ExpertRouting.Rule.capacity(1), .capacity(0), .capacity(0.3), .capacity(9), .top(1), .top(3),
      .top(4),
    ], [Groups([0, 1, 0]), Groups([0, 0, 0]), Groups([Groups.none, 0, Groups.none])])
  func choices(_ rule: ExpertRouting.Rule, _ groups: Groups) throws {
    let module = try Self.selection(rule, groups)
    #expect(module.verify() == [])
    for modality in [(0..<40).map { Int32($0 * 7 % 4 - 1) }, [Int32](repeating: 1, count: 40)] {
      let tokens = ReferenceValue(tokens: (0..<40).map { Int32($0) })
      let inputs = ["tokens": tokens, "modality": ReferenceValue(tokens: modality)]
      let values = RandomInputs(
        inputs: inputs,
        parameters: ["scores": Self.scores, "numbers": (0..<40).map { Double($0) + 1 }])
      let expected = try Interpreter.run(
        module.functions[0].graph, inputs: values.inputs, parameters: values.parameters)
      for compilation in [
        Compilation.fused, .fused.on("x86-64-v2").with(threads: 1).guarded(at: .end),
        .unfused.with(threads: 3).guarded(at: .start),
      ] {
        let model = try compilation.model(module.functions, of: module)
        model.load(AgreementValues(values, of: module))
        model.run("f")
        for (name, found) in model.outputs(of: "f") {
          let wanted = try #require(expected[name]).numbers
          let isClose = zip(found, wanted).allSatisfy { abs(Double($0) - $1) <= 1e-6 * abs($1) }
          #expect(isClose, "\(compilation): \(name)")
        }
      }
    }
  }

  @Test(arguments: GuardedPlan.Edge.allCases, ["native", "x86-64-v3", "x86-64-v2"])
  func noKernelLeavesItsBuffers(_ edge: GuardedPlan.Edge, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    for name in ["experts_choose_untied", "experts_of_two", "experts_of_two_raw"] {
      let agreement = try AgreementModel.named(name).agreement()
      try agreement.compare(
        .fused.on(target).with(threads: edge == .start ? 1 : 2).guarded(at: edge))
      try agreement.compare(.unfused.on(target).guarded(at: edge))
    }
  }

  /// Graphs of which some rows are those of experts agree too; a failure names its seed.
  @Test(arguments: 1...40)
  func randomGraphs(seed: Int) throws {
    let module = try RandomGraphs.make(seed: UInt64(seed), hasExperts: true)
    let values = RandomInputs.make(module, seed: UInt64(seed))
    let agreement = try Agreement(module, values: values)
    let sensitivity = try agreement.sensitivity(seed: UInt64(seed))
    let threads = 1 + seed % 4
    try agreement.compare(.fused.with(threads: threads), sensitivity: sensitivity)
    try agreement.compare(.unfused.with(threads: threads), sensitivity: sensitivity)
  }

  /// Scores that are rounded otherwise may lead tokens elsewhere. So both follow the plans of the compiled run.
  @Test(
    arguments: AgreementModel.experts, [Compilation.fused, .unfused, .fused.on("x86-64-v3")])
  func roundedOperands(_ model: AgreementModel, _ compilation: Compilation) throws {
    guard try TargetDescription(named: compilation.target).runsHere else { return }
    let agreement = try model.agreement()
    let function = agreement.functions[0]
    let compiled = try compilation.at(.bf16).guarded(at: .end).model(
      [function], of: agreement.module)
    compiled.load(agreement.values)
    compiled.run("gradients")
    let found = compiled.outputs(of: "gradients")
    let (graph, inputs) = try function.graph.following(compiled)
    let expected = try Interpreter.run(
      graph, inputs: agreement.values.inputs.merging(inputs) { $1 },
      parameters: agreement.values.parameters)
    let largest = expected.values.map { norm($0.numbers) }.max() ?? 0
    for (name, value) in expected {
      let actual = (found[name] ?? []).map { Double($0) }
      let error = norm(zip(actual, value.numbers).map { $0 - $1 })
      #expect(
        error <= 6e-2 * (norm(value.numbers) + largest / 10), "\(compilation): \(name) \(error)")
    }
  }

  /// One layer of experts is one kernel each way, besides what leads to it and from it.
  @Test func aLayerIsOneKernel() throws {
    let agreement = try #require(AgreementModel.experts.first).agreement()
    let plan = try Compilation.fused.plan(agreement.functions, of: agreement.module)
    let calls = try #require(plan.entry("logits")).calls
    func count(_ isCounted: (Kernel) -> Bool) -> Int { calls.count { isCounted($0.kernel) } }
    #expect(count { if case .routeExperts = $0 { true } else { false } } == 2)
    #expect(count { if case .combine = $0 { true } else { false } } == 2)
    let networks = calls.filter { call in
      guard case .block(let program) = call.kernel else { return false }
      return program.plan?.layout.experts == 4
    }
    #expect(networks.count == 2, "\(networks.map(\.kernel.name))")
  }
}

extension Graph {
  /// Returns this graph with inputs in place of its choices of experts, and the plans that `model` has made.
  ///
  /// - Requires: buffers of the model share no bytes.
  fileprivate func following(
    _ model: CompiledModel
  ) throws -> (graph: Graph, inputs: [String: ReferenceValue]) {
    let buffers = model.plan.buffers.indices.filter {
      model.plan.buffers[$0].label.contains("plan[E=")
    }
    var inputs: [String: ReferenceValue] = [:]
    let graph = try rebuilt { id, operands, graph throws(TypingError) in
      let node = self[id]
      guard case .routeExperts = node.op, case .plan(let layout) = type(of: node.results[0]) else {
        return try graph.copy(node, of: self, operands: operands)
      }
      let words = model.memory(BufferID(buffers[inputs.count])).bindMemory(to: Int32.self)
      func part(_ first: Int, _ count: Int) -> [Int32] { Array(words[first..<(first + count)]) }
      let plan = RoutingPlan(
        rows: part(layout.firstRow, layout.rows),
        slots: part(layout.firstSlot, layout.tokens * layout.slotsOfToken),
        offsets: part(0, layout.segments + 1))
      let name = "experts.\(inputs.count)"
      inputs[name] = ReferenceValue(.plan(plan), type: type(of: node.results[0]))
      return try graph.append(.input(name), [], type: type(of: node.results[0]))
    }
    return (graph, inputs)
  }
}
