/// AdamW in double precision, as PyTorch defines it, with the gradients clipped by their global norm.
package struct ReferenceAdamW: Sendable {
  /// The numbers that do not change from step to step.
  package struct Settings: Hashable, Sendable {
    /// β₁, the decay of the gradient's average.
    package var beta1 = 0.9
    /// β₂, the decay of the squared gradient's average.
    package var beta2 = 0.95
    /// ε, added to the root.
    package var epsilon = 1e-8
    /// λ, applied only to parameters that decay.
    package var weightDecay = 0.1
    /// The largest global norm that is left as it is.
    package var clip = 1.0

    /// Creates the settings that training uses by default.
    package init() {}
  }

  /// What became of a step.
  package enum Outcome: Hashable, Sendable {
    /// The parameters were updated; the gradients had this global norm before clipping.
    case updated(norm: Double)
    /// The global norm was not finite, and nothing was changed.
    case skipped(norm: Double)
  }

  /// The numbers that do not change from step to step.
  package let settings: Settings
  /// The parameters, in the order of their elements.
  package let declarations: [ParameterDeclaration]
  /// The steps that updated something.
  package private(set) var step = 0
  /// m, the averages of the gradients, by parameter name.
  package private(set) var first: [String: [Double]]
  /// v, the averages of the squared gradients, by parameter name.
  package private(set) var second: [String: [Double]]

  /// Creates the state before the first step.
  package init(_ declarations: [ParameterDeclaration], settings: Settings = Settings()) {
    self.settings = settings
    self.declarations = declarations
    let zeros = declarations.map {
      ($0.name, [Double](repeating: 0, count: $0.type.elementCount))
    }
    first = Dictionary(zeros, uniquingKeysWith: { a, _ in a })
    second = first
  }

  /// Updates `parameters` by `gradients`, both by parameter name, at learning rate `rate`.
  ///
  /// With g clipped and t counted from 1: p −= rate λ p, m = β₁ m + (1 − β₁) g, v = β₂ v + (1 − β₂) g²,
  /// p −= rate · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).
  ///
  /// - Requires: every parameter has as many elements as its declaration says, in both.
  package mutating func update(
    _ parameters: inout [String: [Double]], gradients: [String: [Double]], rate: Double
  ) -> Outcome {
    var square = 0.0
    for declaration in declarations {
      for g in gradients[declaration.name] ?? [] { square += g * g }
    }
    let norm = square.squareRoot()
    guard norm.isFinite else { return .skipped(norm: norm) }
    step += 1
    // As PyTorch's clip_grad_norm_ has it: the small number keeps a norm of 0 from dividing.
    let factor = min(1, settings.clip / (norm + 1e-6))
    for declaration in declarations {
      update(declaration, &parameters, gradients[declaration.name] ?? [], factor, rate)
    }
    return .updated(norm: norm)
  }

  /// Updates one parameter by its gradient times `factor`.
  private mutating func update(
    _ declaration: ParameterDeclaration, _ parameters: inout [String: [Double]],
    _ gradient: [Double], _ factor: Double, _ rate: Double
  ) {
    let name = declaration.name
    guard var p = parameters[name], var m = first[name], var v = second[name] else { return }
    let decay = 1 - rate * (declaration.decays ? settings.weightDecay : 0)
    let correction1 = 1 - Mathematics.power(settings.beta1, Double(step))
    let correction2 = 1 - Mathematics.power(settings.beta2, Double(step))
    for (i, unclipped) in gradient.enumerated() {
      let g = unclipped * factor
      m[i] = settings.beta1 * m[i] + (1 - settings.beta1) * g
      v[i] = settings.beta2 * v[i] + (1 - settings.beta2) * g * g
      let root = (v[i] / correction2).squareRoot() + settings.epsilon
      p[i] = p[i] * decay - rate * (m[i] / correction1) / root
    }
    (parameters[name], first[name], second[name]) = (p, m, v)
  }
}
