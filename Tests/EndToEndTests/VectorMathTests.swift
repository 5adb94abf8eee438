import Foundation
import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// The elementary functions of kernels against double precision, at 2²⁰ numbers each.
@Suite struct VectorMathTests {
  /// A function, what it is, and how far off its results may be.
  private struct Case: Sendable {
    let op: Op.Unary
    let exact: @Sendable (Double) -> Double
    /// The largest error at x of a result y.
    let bound: @Sendable (_ x: Double, _ y: Double) -> Double
  }

  /// The smallest normal number: kernels may take what is below it for 0.
  private static let tiny = Double(Float.leastNormalMagnitude)

  private static let cases = [
    Case(op: .exponential, exact: { exp($0) }, bound: { _, y in 3e-7 * y + 4 * tiny }),
    Case(op: .logarithm, exact: { log($0) }, bound: { _, y in 2e-7 * abs(y) + tiny }),
    Case(op: .squareRoot, exact: { $0.squareRoot() }, bound: { _, y in 1e-7 * y }),
    Case(
      op: .reciprocalSquareRoot, exact: { 1 / $0.squareRoot() }, bound: { _, y in 2e-7 * y }),
    // Beyond 8192 a turn is not known well enough.
    Case(op: .sine, exact: { sin($0) }, bound: { x, _ in abs(x) <= 8192 ? 2e-7 : 2 }),
    Case(op: .cosine, exact: { cos($0) }, bound: { x, _ in abs(x) <= 8192 ? 2e-7 : 2 }),
    Case(
      op: .sigmoid, exact: { 1 / (1 + exp(-$0)) }, bound: { _, y in 5e-7 * y + 4 * tiny }),
    Case(op: .tanh, exact: { tanh($0) }, bound: { _, _ in 3e-7 }),
    Case(
      op: .silu, exact: { $0 / (1 + exp(-$0)) },
      bound: { x, y in 5e-7 * abs(y) + 4 * tiny * max(1, abs(x)) }),
    Case(
      op: .gelu,
      exact: { $0 / 2 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) },
      bound: { x, _ in 3e-7 * max(1, abs(x)) }),
  ]

  @Test(arguments: ["native", "x86-64-v3", "x86-64-v2"])
  func staysWithinItsBounds(_ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    let numbers = Self.numbers
    let results = try results(at: numbers, Compilation.fused.on(target))
    for (index, item) in Self.cases.enumerated() {
      var worst = (ratio: 0.0, x: Float.nan, y: Float.nan)
      for (x, y) in zip(numbers, results[index]) {
        let exact = item.exact(Double(x))
        let error = Self.error(of: Double(y), exact)
        let isClear = error == 0 || error == .infinity
        let ratio = isClear ? error : error / item.bound(Double(x), exact)
        if ratio > worst.ratio { worst = (ratio, x, y) }
      }
      #expect(
        worst.ratio <= 1, "\(item.op) of \(worst.x) is \(worst.y): \(worst.ratio) of the bound")
    }
  }

  /// Returns how far `y` is off: nothing where both are no numbers, or infinite to a float and alike.
  private static func error(of y: Double, _ exact: Double) -> Double {
    if exact.isNaN { return y.isFinite ? .infinity : 0 }
    if y.isNaN { return .infinity }
    let rounded = Double(Float(exact))
    if rounded.isInfinite || y.isInfinite {
      // The largest floats may round up.
      return rounded == y || abs(exact) > 3.3e38 ? 0 : .infinity
    }
    return abs(y - exact)
  }

  /// All signs and exponents alike, then the numbers that activations have, then the special ones.
  private static let numbers: [Float] = {
    var random = TestRandom(seed: 20)
    var numbers: [Float] = [
      0, -0.0, 1, -1, .infinity, -.infinity, .nan, .greatestFiniteMagnitude, .leastNormalMagnitude,
      -87.3, -87.4, 88.7, 88.8, 0.999_999_9, 1.000_000_1,
    ]
    while numbers.count < 1 << 19 {
      let x = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
      if x.isFinite, x == 0 || x.isNormal { numbers.append(x) }
    }
    while numbers.count < 1 << 20 { numbers.append(Float.random(in: -100...100, using: &random)) }
    return numbers
  }()

  /// Returns what the functions make of `numbers`, the rows of an embedding table.
  private func results(at numbers: [Float], _ compilation: Compilation) throws -> [[Float]] {
    let rows = 1024
    let width = numbers.count / rows
    var builder = GraphBuilder(tokens: rows, modalities: ["text"])
    let x = try builder.add(
      .embed, [builder.input("tokens"), builder.parameter("x", [rows, width])])
    for (index, item) in Self.cases.enumerated() {
      builder.output(try builder.add(.unary(item.op), [x]), as: "y\(index)")
    }
    let function = Function(name: "logits", graph: builder.graph)
    let module = Module(
      name: "mathematics", batch: 1, sequence: rows,
      modalities: [ModalityDeclaration(name: "text", vocabulary: 0..<rows)],
      parameters: builder.parameters, objectives: [], functions: [function])
    let model = try compilation.model([function], of: module)
    let table = model.floats(model.plan.parameters[0].master)
    for (index, number) in numbers.enumerated() { table[index] = number }
    model.setInputs(
      ["tokens": (0..<Int32(rows)).map { $0 }],
      plan: RoutingPlan(modality: [Int32](repeating: 0, count: rows), segments: 1))
    model.run("logits")
    let outputs = model.outputs(of: "logits")
    return Self.cases.indices.map { outputs["y\($0)"] ?? [] }
  }
}
