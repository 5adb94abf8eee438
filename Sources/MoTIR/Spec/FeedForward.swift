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
    try apply(x, in: &context) { x, width, name, scale, context throws(Diagnostic) in
      try context.linear(
        x, to: width, name: name, bias: bias, initialization: .normal(0.02 * scale),
        component: .feedForward)
    }
  }

  /// Appends a linear map of the rows to a width, which is called so and starts at a multiple of the usual deviation.
  typealias LinearMaker =
    (Rows, Int, _ name: String, _ scale: Double, inout LayerContext) throws(Diagnostic) -> Rows

  /// Appends the network with maps that `linear` makes.
  func apply(
    _ x: Rows, in context: inout LayerContext, linear: LinearMaker
  ) throws(Diagnostic) -> Rows {
    guard (1...Limits.width).contains(hidden) else {
      throw Diagnostic.badHidden(hidden, width: context.width, at: context.location)
    }
    let (function, isGated) = activation.function
    var inner: Rows
    if isGated {
      let gate = try linear(x, hidden, "gate", 1, &context)
      let up = try linear(x, hidden, "up", 1, &context)
      inner = try context.product(try context.apply(function, gate), up)
    } else {
      inner = try context.apply(function, try linear(x, hidden, "up", 1, &context))
    }
    return try linear(inner, x.width, "down", context.residualScale, &context)
  }
}
