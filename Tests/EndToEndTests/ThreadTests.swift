import Lowering
import MoTIR
import Runtime
import Testing

/// Fused results do not depend on the number of threads, nor on the run.
@Suite struct ThreadTests {
  /// What a few training steps leave behind, bit by bit.
  private struct Trace: Equatable {
    var outputs: [[String: [UInt32]]] = []
    var parameters: [UInt32] = []
  }

  @Test(
    arguments: [
      "even", "odd_large", "large_vocabulary", "spans_documents", "merged", "mixed_norms",
      "chunks_all", "continuous",
      "experts_large", "experts_of_two", "three_widths", "continuous_experts_narrow",
    ],
    Precision.allCases)
  func bitsAreEqual(_ name: String, _ precision: Precision) throws {
    let agreement = try AgreementModel.named(name).agreement()
    var compilation = Compilation.fused.at(precision)
    compilation.guarding = .none
    let build = try compilation.build(agreement.functions, of: agreement.module)
    let first = try steps(3, build, threads: 1, agreement.values)
    for threads in [1, 2, 2, 3, 4, 7] {
      let again = try steps(3, build, threads: threads, agreement.values)
      #expect(again.outputs == first.outputs, "\(name) \(precision): outputs on \(threads) threads")
      #expect(
        again.parameters == first.parameters,
        "\(name) \(precision): parameters on \(threads) threads")
    }
  }

  private func steps(
    _ count: Int, _ build: CompiledObject, threads: Int, _ values: AgreementValues
  ) throws -> Trace {
    let model = try build.model(threads: threads)
    model.load(values)
    var trace = Trace()
    for step in 1...count {
      model.run("gradients")
      trace.outputs.append(model.outputs(of: "gradients").mapValues { $0.map(\.bitPattern) })
      model.setOptimizer(.init(), rate: 1e-2, step: step)
      model.run("update")
      #expect(model.isRefused == false)
      model.run("logits")
      trace.outputs.append(model.outputs(of: "logits").mapValues { $0.map(\.bitPattern) })
    }
    trace.parameters = model.parameterBits
    return trace
  }
}
