/// x / sqrt(mean(x²) + ε) · gain, by modality where norms are untied.
public struct RMSNorm: NormLayer {
  private let epsilon: Double

  /// Creates a norm.
  public init(epsilon: Double = 1e-5) { self.epsilon = epsilon }

  /// Appends the norm.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    try context.norm(.rms, x, epsilon: epsilon, component: .layerNorm)
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
