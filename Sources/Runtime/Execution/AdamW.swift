internal import Glibc
internal import MoTIR

/// The settings of one optimizer step.
public struct AdamW: Hashable, Sendable {
  /// The learning rate.
  public var rate: Float
  /// β₁, the decay of the first moments.
  public var beta1: Float = 0.9
  /// β₂, the decay of the second moments.
  public var beta2: Float = 0.95
  /// ε
  public var epsilon: Float = 1e-8
  /// The weight decay.
  public var decay: Float = 0.1
  /// The largest norm of all gradients together; 0 for no limit.
  public var clip: Float = 1

  /// Creates settings with the rate `rate`, and what is usual for the rest.
  public init(rate: Float) { self.rate = rate }

  /// What an update did.
  public struct Outcome: Hashable, Sendable {
    /// `true` iff a gradient was not finite, so that nothing was changed.
    public let isRefused: Bool
    /// The norm of all gradients together, before clipping.
    public let gradientNorm: Float
  }
}

extension CompiledModel {
  /// Changes the parameters by the gradients that the last run left.
  ///
  /// - Parameter step: the number of this update, from 1.
  /// - Requires: the plan has the entry `update`.
  public func update(_ settings: AdamW, step: Int) -> AdamW.Outcome {
    let corrections = [settings.beta1, settings.beta2].map { beta in
      Float(1 - pow(Double(beta), Double(step)))
    }
    let words = [
      settings.rate, settings.beta1, settings.beta2, settings.epsilon, settings.decay,
      settings.clip,
    ]
    for (index, word) in (words + corrections).enumerated() {
      control.storeBytes(of: word, toByteOffset: Control.settings + 4 * index, as: Float.self)
    }
    run("update")
    return AdamW.Outcome(
      isRefused: control.load(fromByteOffset: Control.refused, as: Int32.self) != 0,
      gradientNorm: control.load(fromByteOffset: Control.gradientNorm, as: Float.self))
  }
}
