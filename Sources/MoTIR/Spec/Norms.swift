/// x / sqrt(mean(x²) + ε) · gain, by modality where norms are untied.
public struct RMSNorm: NormLayer {
  private let epsilon: Double
  private let addsOne: Bool

  /// Creates a norm.
  ///
  /// - Parameter addsOne: whether the gain is 1 + the parameter, which starts at 0, as in Gemma.
  public init(epsilon: Double = 1e-5, addsOne: Bool = false) {
    self.epsilon = epsilon
    self.addsOne = addsOne
  }

  /// Appends the norm.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    guard addsOne else {
      return try context.norm(.rms, x, epsilon: epsilon, component: .layerNorm)
    }
    let normal = try context.normalize(.rms, x, epsilon: epsilon)
    let more = try context.scale(
      normal, name: "weight", initialization: .zeros, component: .layerNorm)
    return try context.sum(normal, more)
  }
}

/// (x − mean(x)) / sqrt(var(x) + ε) · gain + bias, by modality where norms are untied.
public struct LayerNorm: NormLayer {
  private let epsilon: Double
  private let bias: Bool

  /// Creates a norm.
  public init(epsilon: Double = 1e-5, bias: Bool = true) {
    self.epsilon = epsilon
    self.bias = bias
  }

  /// Appends the norm.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    try context.norm(
      .layer, x, epsilon: epsilon, bias: bias ? "bias" : nil, component: .layerNorm)
  }
}
