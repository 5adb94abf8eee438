import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Gradients that are added up over several batches are those of one large batch.
@Suite struct AccumulationTests {
  @Test(arguments: [1, 2, 4], [Compilation.fused, .unfused])
  func partsAddUpToTheWhole(_ parts: Int, _ compilation: Compilation) throws {
    // One modality has few targets, and they are in few of the parts.
    let model = AgreementModel.preNorm(
      "accumulated", count: 3, batch: 4, sequence: 9, mixture: .single(1))
    let whole = try model.agreement()
    let small = try model.model.module(batch: 4 / parts, sequence: 9)
    let gradients = try AccumulatedGradients(of: small)
    let compiled = try compilation.model([gradients.function], of: small)
    compiled.load(whole.values.parameters)
    let targets = whole.values.rows["targets"] ?? []
    var losses: [String: Float] = [:]
    for part in 0..<parts {
      var rows = whole.values.rows.mapValues { rows in
        Array(rows[(part * small.tokens)..<((part + 1) * small.tokens)])
      }
      let plan = RoutingPlan(modality: rows["modality"] ?? [], segments: 3)
      for (name, ranges) in gradients.counts {
        rows[name] = [Int32(targets.count { id in ranges.contains { $0.contains(Int(id)) } })]
      }
      compiled.setInputs(rows, plan: plan)
      compiled.run("gradients")
      for (name, values) in compiled.outputs(of: "gradients") where values.count == 1 {
        losses[name, default: 0] += values[0]
      }
      compiled.accumulateGradients(isFirst: part == 0)
    }
    compiled.takeAccumulatedGradients()
    for parameter in compiled.plan.parameters {
      let name = "grad.\(parameter.declaration.name)"
      let found = compiled.floats(try #require(parameter.gradient)).map { Double($0) }
      let expected = try #require(whole.expected[name])
      let error = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(error <= 1e-5 * (expected.map(abs).max() ?? 0) + 1e-6, "\(name) is off by \(error)")
    }
    for (name, value) in losses {
      let expected = try #require(whole.expected[name]?.first)
      #expect(abs(Double(value) - expected) <= 1e-5 * max(1, expected), "\(name)")
    }
    #expect(losses.count == 4)
  }

  @Test func aModuleWithoutALossHasNothingToAddUp() throws {
    let model = AgreementModel.preNorm("accumulated", count: 1, batch: 1)
    var module = try model.model.module(batch: 1, sequence: 4)
    module.functions.removeAll { $0.name == "loss" }
    let error = #expect(throws: Diagnostics.self) { try AccumulatedGradients(of: module) }
    #expect(error?.all[0].message.contains("has no @loss") == true)
  }
}
