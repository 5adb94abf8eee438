/// A feed-forward network, with matrices by modality where it is untied.
///
/// Parameters: `gate` (of gated activations), `up`, `down`.
public struct FeedForward: Layer {
  /// What stands between the two linear maps.
  public enum Activation: Hashable, Sendable {
    /// silu(gate x) · up x
    case swiGLU
    /// gelu(gate x) · up x
    case geGLU
    case gelu
    case silu
    case relu

    /// The function, and whether it acts on a gate.
    fileprivate var function: (function: Op.Unary, isGated: Bool) {
      switch self {
      case .swiGLU: (.silu, true)
      case .geGLU: (.gelu, true)
      case .gelu: (.gelu, false)
      case .silu: (.silu, false)
      case .relu: (.relu, false)
      }
    }
  }

  /// The layer's part in names of parameters.
  public var name: String { "feed_forward" }

  private let hidden: Int
  private let activation: Activation
  private let bias: Bool

  /// Creates a network with `hidden` inner channels.
  public init(hidden: Int, activation: Activation = .swiGLU, bias: Bool = false) {
    self.hidden = hidden
    self.activation = activation
    self.bias = bias
  }

  /// Appends down(f(gate x) · up x), or down(f(up x)) without a gate.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    guard (1...Limits.width).contains(hidden) else {
      throw Diagnostic.badHidden(hidden, width: context.width, at: context.location)
    }
    let (function, isGated) = activation.function
    var inner: Rows
    if isGated {
      let gate = try linear(x, to: hidden, "gate", in: &context)
      let up = try linear(x, to: hidden, "up", in: &context)
      inner = try context.product(try context.apply(function, gate), up)
    } else {
      inner = try context.apply(function, try linear(x, to: hidden, "up", in: &context))
    }
    return try linear(inner, to: x.width, "down", scale: context.residualScale, in: &context)
  }

  private func linear(
    _ x: Rows, to width: Int, _ name: String, scale: Double = 1, in context: inout LayerContext
  ) throws(Diagnostic) -> Rows {
    try context.linear(
      x, to: width, name: name, bias: bias, initialization: .normal(0.02 * scale),
      component: .feedForward)
  }
}
