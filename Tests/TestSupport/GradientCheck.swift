package import MoTIR

/// Compares gradient graphs with finite differences of the loss, both in double precision.
package struct GradientCheck: Sendable {
  /// The derivatives along one direction.
  package struct Result: Sendable, CustomStringConvertible {
    /// The parameter along which the direction lies.
    package let parameter: String
    /// gradient · direction
    package let analytic: Double
    /// The extrapolated central difference.
    package let numeric: Double
    /// What counts as size where both are small: a thousandth of |gradient|, for a direction that lies
    /// across it by chance, or 1e-4 of the loss, whose rounding hides the digits of smaller slopes.
    package let floor: Double

    /// The difference, relative to the larger derivative.
    package var error: Double {
      let size = max(abs(analytic), abs(numeric), floor)
      return size == 0 ? 0 : abs(analytic - numeric) / size
    }

    /// Both derivatives and the error.
    package var description: String {
      "\(parameter): gradient \(analytic), difference \(numeric), relative error \(error)"
    }
  }

  private let loss: Graph
  private let values: RandomInputs
  private let gradients: [String: ReferenceValue]

  /// Evaluates the gradients of the function `loss` of `module` at `values`.
  package init(_ module: Module, _ values: RandomInputs) throws {
    guard let function = module.function("loss") else {
      throw Diagnostic("the module has no function loss")
    }
    loss = function.graph
    self.values = values
    gradients = try Interpreter.run(
      differentiate(function, in: module).graph, inputs: values.inputs,
      parameters: values.parameters)
  }

  /// Returns the gradient of `parameter`.
  package func gradient(of parameter: String) -> [Double] {
    gradients["grad.\(parameter)"]?.numbers ?? []
  }

  /// Compares the derivatives along a random direction of length 1 within each parameter.
  package func results(seed: UInt64) throws -> [Result] {
    var random = TestRandom(seed: seed)
    var results: [Result] = []
    for (name, elements) in values.parameters.sorted(by: { $0.key < $1.key }) {
      let direction = random.normals(elements.count)
      let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let unit = direction.map { $0 / length }
      let gradient = gradient(of: name)
      results.append(
        Result(
          parameter: name, analytic: zip(gradient, unit).reduce(0) { $0 + $1.0 * $1.1 },
          numeric: try difference(name, unit),
          floor: max(
            1e-3 * gradient.reduce(0) { $0 + $1 * $1 }.squareRoot(),
            1e-4 * abs(gradients["loss"]?.numbers.first ?? 0))))
    }
    return results
  }

  /// Returns the derivative along `direction` by Richardson's extrapolation of central differences:
  /// (4 d(h/2) − d(h)) / 3, with an error of order h⁴.
  private func difference(_ parameter: String, _ direction: [Double]) throws -> Double {
    // Small enough that few elements cross the kink of a relu, large enough for the loss's rounding.
    let step = 1e-4
    let coarse = try central(parameter, direction, step)
    let fine = try central(parameter, direction, step / 2)
    return (4 * fine - coarse) / 3
  }

  private func central(
    _ parameter: String, _ direction: [Double], _ step: Double
  ) throws -> Double {
    func value(_ distance: Double) throws -> Double {
      var parameters = values.parameters
      parameters[parameter] = zip(values.parameters[parameter] ?? [], direction).map {
        $0 + distance * $1
      }
      let outputs = try Interpreter.run(loss, inputs: values.inputs, parameters: parameters)
      return outputs["loss"]?.numbers.first ?? .nan
    }
    return try (value(step) - value(-step)) / (2 * step)
  }
}
