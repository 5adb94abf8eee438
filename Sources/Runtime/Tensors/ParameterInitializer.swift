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
    switch initialization {
    case .ones: return [Float](repeating: 1, count: count)
    case .zeros: return [Float](repeating: 0, count: count)
    case .normal(let deviation):
      let random = CounterRandom(seed: seed, name: name)
      return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        for pair in 0..<((count + 1) / 2) {
          let (first, second) = random.normals(pair)
          buffer[2 * pair] = Float(first * deviation)
          if 2 * pair + 1 < count { buffer[2 * pair + 1] = Float(second * deviation) }
        }
        initialized = count
      }
    }
  }
}
