import Foundation
import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Compares compiled code with the interpreter on the gradients of a module's loss.
struct Agreement {
  /// How the graph is compiled.
  enum Mode: String, CaseIterable {
    case fused
    case unfused
  }

  let module: Module
  let values: RandomInputs
  let gradients: Function
  let expected: [String: [Double]]

  init(_ module: Module, values: RandomInputs) throws {
    self.module = module
    self.values = values
    let loss = try #require(module.function("loss"))
    gradients = try differentiate(loss, in: module)
    expected = try Interpreter.run(
      gradients.graph, inputs: values.inputs, parameters: values.parameters
    ).mapValues(\.numbers)
  }

  /// Compiles and runs, and returns every output by name.
  func run(
    _ mode: Mode, target: String, threads: Int, precision: Precision = .f32
  ) throws -> [String: [Float]] {
    let description = try TargetDescription(named: target)
    let names = Pass.all.map(\.name) + ["generated-matmul"]
    let options = CompileOptions(
      disabled: mode == .fused ? [] : Set(names), precision: precision, target: description)
    let compiler = Compiler(options)
    let graph = try Pipeline.optimize(
      gradients.graph, module: module,
      disabling: options.disabled.subtracting(["generated-matmul"]))
    let plan = try compiler.plan([Function(name: "gradients", graph: graph)], of: module)
    let emitted = try compiler.emit(plan)
    if let path = ProcessInfo.processInfo.environment["MOTC_DUMP"] {
      try emitted.text.write(
        toFile: "\(path)/\(module.name).\(mode).ll", atomically: true, encoding: .utf8)
    }
    let model = try CompiledModel(
      plan: plan, object: try emitted.object(), scratchBytes: emitted.scratchBytes,
      pool: ThreadPool(threads: threads))
    for placement in plan.parameters {
      let elements = values.parameters[placement.declaration.name] ?? []
      let target = model.floats(placement.master)
      for (index, value) in elements.enumerated() { target[index] = Float(value) }
    }
    model.run("pack")
    let rows = values.inputs.compactMapValues { value -> [Int32]? in
      if case .integers(let rows) = value.contents { rows } else { nil }
    }
    let modality = rows["modality"] ?? [Int32](repeating: 0, count: module.tokens)
    model.setInputs(
      rows, plan: RoutingPlan(modality: modality, segments: module.modalities.count))
    model.run("gradients")
    return Dictionary(
      graph.outputs.map { ($0.name, model.output($0.name, of: "gradients") ?? []) },
      uniquingKeysWith: { first, _ in first })
  }

  /// Expects every output within a relative Frobenius error of `bound`.
  ///
  /// Where sums cancel (a softmax over one key has no gradient), what is left is rounding of the size of
  /// the terms: a tenth of `bound` of the largest output is granted.
  func compare(_ mode: Mode, target: String, threads: Int, bound: Double = 1e-5) throws {
    let outputs = try run(mode, target: target, threads: threads)
    let largest = expected.values.map { norm($0) }.max() ?? 0
    for (name, reference) in expected.sorted(by: { $0.key < $1.key }) {
      let actual = outputs[name] ?? []
      #expect(actual.count == reference.count, "\(module.name) \(mode): \(name)")
      let error = norm(zip(actual, reference).map { Double($0) - $1 })
      let size = norm(reference)
      #expect(
        error <= bound * (size + largest / 10),
        "\(module.name) \(mode) \(target): \(name) is off by \(error) of \(size)")
    }
  }

  private func norm(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
}
