import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Gradients that are added up over several batches are those of one large batch.
@Suite struct AccumulationTests {
  /// One modality has few targets, and they are in few of the parts.
  private static let discrete = AgreementModel.preNorm(
    "accumulated", count: 3, batch: 4, sequence: 9, mixture: .single(1))

  @Test(arguments: [1, 2, 4], [Compilation.fused, .unfused])
  func partsAddUpToTheWhole(_ parts: Int, _ compilation: Compilation) throws {
    try addUp(Self.discrete, parts, compilation)
  }

  @Test(arguments: [Compilation.fused, .unfused])
  func continuousPartsAddUpToTheWhole(_ compilation: Compilation) throws {
    try addUp(AgreementModel.named("continuous_single"), 2, compilation)
  }

  /// What is frozen has no gradient to add, and stands behind what trains; losses of experts are means over batches.
  @Test(
    arguments: ["frozen", "continuous_frozen", "continuous_widths"],
    [Compilation.fused, .unfused])
  func partsOfMixturesAddUpToTheWhole(_ name: String, _ compilation: Compilation) throws {
    try addUp(AgreementModel.named(name), 2, compilation)
  }

  private func addUp(
    _ model: AgreementModel, _ parts: Int, _ compilation: Compilation
  ) throws {
    let whole = try model.agreement()
    let small = try model.model.module(batch: model.batch / parts, sequence: model.sequence)
    let gradients = try AccumulatedGradients(of: small)
    let compiled = try compilation.model([gradients.function], of: small)
    compiled.load(whole.values.parameters)
    var losses: [String: Float] = [:]
    for part in 0..<parts {
      var rows = whole.values.rows.mapValues { rows in
        Array(rows[(part * small.tokens)..<((part + 1) * small.tokens)])
      }
      let plan = RoutingPlan(
        modality: rows["modality"] ?? [], segments: whole.module.modalities.count)
      for (name, counted) in gradients.counts {
        let counted = try #require(counted)
        let numbers = whole.values.rows[counted.input] ?? []
        rows[name] = [
          Int32(numbers.count { id in counted.ranges.contains { $0.contains(Int(id)) } })
        ]
      }
      let continuous = whole.values.continuous.mapValues { values in
        let size = values.count / parts
        return Array(values[(part * size)..<((part + 1) * size)])
      }
      compiled.setInputs(rows, continuous: continuous, plan: plan)
      compiled.run("gradients")
      for (name, values) in compiled.outputs(of: "gradients") where name.hasPrefix("loss") {
        losses[name, default: 0] += values[0]
      }
      compiled.accumulateGradients(isFirst: part == 0)
    }
    compiled.takeAccumulatedGradients()
    for parameter in compiled.plan.parameters {
      let name = "grad.\(parameter.declaration.name)"
      guard !parameter.declaration.isFrozen else {
        #expect(parameter.gradient == nil && whole.expected[name] == nil)
        continue
      }
      let found = compiled.floats(try #require(parameter.gradient)).map { Double($0) }
      let expected = try #require(whole.expected[name])
      let error = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(error <= 1e-5 * (expected.map(abs).max() ?? 0) + 1e-6, "\(name) is off by \(error)")
    }
    for (name, value) in losses {
      let expected = try #require(whole.expected[name]?.first)
      #expect(abs(Double(value) - expected) <= 1e-5 * max(1, expected), "\(name)")
    }
    #expect(losses.count == 1 + whole.module.objectives.count)
  }

  /// The losses that balance a router are means over a batch's tokens: over batches they are the mean of these.
  @Test func whatExpertsAddIsTheMeanOverBatches() throws {
    let module = try AgreementModel.named("experts_of_two").model.module(batch: 1, sequence: 11)
    let loss = try #require(module.function("loss"))
    let counted = try AccumulatedGradients(of: module)
    let names = ["loss.balance", "loss.z"]
    var (sums, means) = ([0.0, 0], [0.0, 0])
    for seed in 1...3 {
      let values = RandomInputs.make(module, seed: UInt64(seed))
      var inputs = values.inputs
      for (name, rows) in counted.counts {
        let number = ReferenceValue(.integers([rows == nil ? 3 : 1]), type: .tensor(.i32, []))
        inputs[name] = number
      }
      let part = try Interpreter.run(
        counted.function.graph, inputs: inputs, parameters: values.parameters)
      let whole = try Interpreter.run(
        loss.graph, inputs: values.inputs, parameters: values.parameters)
      for (index, name) in names.enumerated() {
        sums[index] += try #require(part[name]?.numbers.first)
        means[index] += try #require(whole[name]?.numbers.first) / 3
      }
    }
    #expect(means.allSatisfy { $0 > 0 })
    #expect(zip(sums, means).allSatisfy { abs($0 - $1) < 1e-12 * $1 })
  }

  @Test func aModuleWithoutALossHasNothingToAddUp() throws {
    let model = AgreementModel.preNorm("accumulated", count: 1, batch: 1)
    var module = try model.model.module(batch: 1, sequence: 4)
    module.functions.removeAll { $0.name == "loss" }
    let error = #expect(throws: Diagnostics.self) { try AccumulatedGradients(of: module) }
    #expect(error?.all[0].message.contains("has no @loss") == true)
  }
}
