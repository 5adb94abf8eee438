import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Parameters and inputs of a module in the forms that the interpreter and compiled code take.
struct AgreementValues: Sendable {
  var inputs: [String: ReferenceValue]
  var parameters: [String: [Double]]
  let segments: Int

  init(_ values: RandomInputs, of module: Module) {
    inputs = values.inputs
    parameters = values.parameters
    segments = module.modalities.count
  }

  /// The integer inputs by name.
  var rows: [String: [Int32]] {
    inputs.compactMapValues { value in
      if case .integers(let rows) = value.contents { rows } else { nil }
    }
  }

  /// The inputs of other numbers by name.
  var continuous: [String: [Float]] {
    inputs.filter { $0.value.type.element == .f32 }.mapValues { $0.numbers.map { Float($0) } }
  }

  /// The plan of the modalities.
  var plan: RoutingPlan { RoutingPlan(modality: rows["modality"] ?? [], segments: segments) }
}

/// Compares compiled code with the interpreter on a module's logits, losses and gradients.
struct Agreement: Sendable {
  let module: Module
  let values: AgreementValues
  /// `gradients`, and `logits` where the module has them.
  let functions: [Function]
  /// The interpreter's outputs of all functions, by name.
  let expected: [String: [Double]]

  init(_ module: Module, values: RandomInputs) throws {
    self.module = module
    self.values = AgreementValues(values, of: module)
    let loss = try #require(module.function("loss"))
    functions =
      [try differentiate(loss, in: module)] + module.functions.filter { $0.name == "logits" }
    var expected: [String: [Double]] = [:]
    for function in functions {
      let outputs = try Interpreter.run(
        function.graph, inputs: values.inputs, parameters: values.parameters)
      for (name, value) in outputs { expected[name] = value.numbers }
    }
    self.expected = expected
  }

  /// Compiles and runs, and returns every output by name.
  ///
  /// Nothing but outputs, gradients and temporaries may change.
  func run(_ compilation: Compilation) throws -> [String: [Float]] {
    let model = try compilation.model(functions, of: module)
    model.load(values)
    let before = model.contents(of: .parameters, .packed, .inputs, .constants)
    var outputs: [String: [Float]] = [:]
    for function in functions {
      model.run(function.name)
      outputs.merge(model.outputs(of: function.name)) { first, _ in first }
    }
    #expect(
      model.contents(of: .parameters, .packed, .inputs, .constants) == before,
      "\(module.name) \(compilation): a kernel wrote to what it may only read")
    return outputs
  }

  /// Returns the error of every output: Frobenius, relative to the output's own size.
  ///
  /// Where sums cancel (a softmax over one key has no gradient), what is left is rounding of the size of
  /// the terms: a tenth of the largest output's is added to the size of each.
  func errors(_ compilation: Compilation) throws -> [(name: String, error: Double)] {
    let outputs = try run(compilation)
    let largest = self.largest
    return expected.sorted { $0.key < $1.key }.map { name, reference in
      let actual = outputs[name] ?? []
      #expect(actual.count == reference.count, "\(module.name) \(compilation): \(name)")
      let error = norm(zip(actual, reference).map { Double($0) - $1 })
      return (name, error == 0 ? 0 : error / (norm(reference) + largest / 10))
    }
  }

  /// Expects every output within a relative Frobenius error of `bound`; returns the errors.
  ///
  /// - Parameter sensitivity: where a model is ill-conditioned, what is granted besides. An output that
  ///   is 0 because terms of any size cancel is not sensitive, but rounded all the same.
  @discardableResult
  func compare(
    _ compilation: Compilation, bound: Double = 1e-5, sensitivity: [String: Double] = [:]
  ) throws -> [Double] {
    let errors = try errors(compilation)
    for (name, error) in errors {
      let cancels = sensitivity[name] == 0 && expected[name]?.allSatisfy { $0 == 0 } ?? false
      let bound = bound * (cancels ? 100 : 1 + (sensitivity[name] ?? 0) / 0x1p-24 / 10)
      #expect(error <= bound, "\(module.name) \(compilation): \(name) is off by \(error)")
    }
    return errors.map(\.error)
  }

  /// Expects the fused error of every output to be at most twice the unfused one, plus rounding.
  func compareFusedWithUnfused(
    target: String = "native", precision: Precision = .f32, bound: Double = 1e-5, rounding: Double
  ) throws {
    let fused = try compare(.fused.on(target).at(precision), bound: bound)
    let unfused = try compare(.unfused.on(target).at(precision), bound: bound)
    for (index, name) in expected.keys.sorted().enumerated() {
      #expect(
        fused[index] <= 2 * unfused[index] + rounding,
        "\(module.name) \(target): \(name) is off by \(fused[index]), unfused \(unfused[index])")
    }
  }

  /// Returns how far every output moves where each parameter moves by the rounding of single precision:
  /// no kernel can be expected to do much better.
  func sensitivity(seed: UInt64) throws -> [String: Double] {
    var random = TestRandom(seed: seed)
    let moved = values.parameters.sorted { $0.key < $1.key }.map { name, elements in
      (name, elements.map { $0 * (1 + random.normal() * 0x1p-24) })
    }
    let outputs = try Interpreter.run(
      functions[0].graph, inputs: values.inputs,
      parameters: Dictionary(moved, uniquingKeysWith: { first, _ in first }))
    let largest = self.largest
    return expected.reduce(into: [:]) { result, output in
      let (name, reference) = output
      let numbers = outputs[name]?.numbers ?? reference
      let change = norm(zip(numbers, reference).map { $0 - $1 })
      result[name] = change == 0 ? 0 : change / (norm(reference) + largest / 10)
    }
  }

  /// The norm of the largest output of `gradients`, the loss among them.
  private var largest: Double {
    expected.filter { $0.key != "logits" }.values.map { norm($0) }.max() ?? 0
  }
}
