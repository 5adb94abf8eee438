import Foundation
import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Attention weights against the exponential function in double precision.
@Suite struct AttentionAccuracyTests {
  /// Each sequence has two tokens, and its second query scores 0 and x: the second weight is e^x / (1 + e^x).
  ///
  /// Scores are rounded as powers of two, so that the error grows with them.
  @Test(arguments: ["native", "x86-64-v3", "x86-64-v2"], [true, false])
  func weightsAreExponentials(_ target: String, isFused: Bool) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    let scores = (0...2000).map { Float($0) * -0.04 }
    let compilation = (isFused ? Compilation.fused : .unfused).on(target)
    let output = try weights(of: scores, compilation)
    for (sequence, x) in scores.map(Double.init).enumerated() {
      let (weight, normalizer) = output(sequence)
      let expected = exp(x) / (1 + exp(x))
      // What is no normal number counts as 0, in a weight's last two terms as well.
      let bound = expected * (1e-6 - 2e-7 * x) + 0x1p-125
      #expect(abs(Double(weight) - expected) < bound, "x = \(x)")
      #expect(abs(Double(normalizer) - log(1 + exp(x))) < 3e-7, "x = \(x)")
    }
  }

  /// Returns what the second query of each sequence makes of values 0 and 1, and its log-sum-exp.
  private func weights(
    of scores: [Float], _ compilation: Compilation
  ) throws -> (Int) -> (weight: Float, normalizer: Float) {
    let tokens = 2 * scores.count
    var builder = GraphBuilder(tokens: tokens, modalities: ["text"])
    let rows = try ["q", "k", "v"].map { name in
      try builder.add(
        .embed, [builder.input("tokens"), builder.parameter(name, [tokens, 1])])
    }
    let attention = Op.Attention(batch: scores.count, heads: 1, keyValueHeads: 1)
    let results = try builder.append(.attention(attention), rows)
    builder.output(results[0], as: "o")
    builder.output(results[1], as: "lse")
    let function = Function(name: "logits", graph: builder.graph)
    let module = Module(
      name: "weights", batch: scores.count, sequence: 2,
      modalities: [ModalityDeclaration(name: "text", vocabulary: 0..<tokens)],
      parameters: builder.parameters, objectives: [], functions: [function])
    let model = try compilation.model([function], of: module)
    let values: [String: [Float]] = [
      "q": scores.flatMap { _ in [0, 1] }, "k": scores.flatMap { [0, $0] },
      "v": scores.flatMap { _ in [0, 1] },
    ]
    for placement in model.plan.parameters {
      let target = model.floats(placement.master)
      for (index, value) in (values[placement.declaration.name] ?? []).enumerated() {
        target[index] = value
      }
    }
    model.setInputs(
      ["tokens": (0..<Int32(tokens)).map { $0 }],
      plan: RoutingPlan(modality: [Int32](repeating: 0, count: tokens), segments: 1))
    model.run("logits")
    let outputs = model.outputs(of: "logits")
    return { sequence in
      let row = 2 * sequence + 1
      return (outputs["o"]?[row] ?? .nan, outputs["lse"]?[row] ?? .nan)
    }
  }
}
