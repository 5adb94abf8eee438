package import MoTIR

/// Gives parameters their first values.
///
/// A value depends on the seed, the tensor's name and its index alone, not on the order in which
/// tensors are made, so that a model with one more layer starts with the same others.
package struct ParameterInitializer: Sendable {
  private let seed: UInt64

  /// Creates an initializer; equal seeds give equal values.
  package init(seed: UInt64) { self.seed = seed }

  /// Returns the first values of all of `module`'s tensors as files hold them, one a group.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func tensors(of module: Module) throws -> [Tensor] {
    try module.parameters.flatMap { parameter in
      try parameter.tensorNames.map { name in
        let count = parameter.shape.reduce(1, *)
        let values = self.values(of: name, count: count, parameter.initialization)
        return try Tensor(name: name, shape: parameter.shape, floats: values)
      }
    }
  }

  /// Returns the first values of the tensor called `name`.
  package func values(
    of name: String, count: Int, _ initialization: Initialization
  ) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]), of: name, initialization)
      initialized = count
    }
  }

  /// Fills `values` with the first values of the tensor called `name`.
  package func fill(
    _ values: UnsafeMutableBufferPointer<Float>, of name: String,
    _ initialization: Initialization
  ) {
    switch initialization {
    case .ones: values.initialize(repeating: 1)
    case .zeros: values.initialize(repeating: 0)
    case .normal(let deviation):
      let random = CounterRandom(seed: seed, name: name)
      for pair in 0..<((values.count + 1) / 2) {
        let (first, second) = random.normals(pair)
        values.initializeElement(at: 2 * pair, to: Float(first * deviation))
        if 2 * pair + 1 < values.count {
          values.initializeElement(at: 2 * pair + 1, to: Float(second * deviation))
        }
      }
    }
  }
}
