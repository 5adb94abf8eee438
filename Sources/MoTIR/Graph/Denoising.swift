/// How noise is put on continuous tokens, and what a model learns to say of it.
///
/// A clean token x and noise ε ~ N(0, 1) are mixed to α(t) x + σ(t) ε. At time t = 0 it is clean, at t = 1 noise.
public struct Denoising: Hashable, Sendable {
  /// α and σ by time.
  public enum Schedule: String, Hashable, Sendable, CaseIterable {
    /// α = cos(π t / 2), σ = sin(π t / 2): Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models"
    /// (arXiv 2102.09672), without their offset, as Salimans and Ho have it (arXiv 2202.00512).
    case cosine
    /// α² = exp(−9.95 t² − 0.1 t), σ² = 1 − α²: the limit for many steps of the linear schedule of Ho, Jain and
    /// Abbeel, "Denoising Diffusion Probabilistic Models" (arXiv 2006.11239), after Song et al. (arXiv 2011.13456,
    /// equation 33).
    case linear
    /// α = 1 − t, σ = t: Liu, Gong and Liu, "Flow Straight and Fast" (arXiv 2209.03003).
    case flow
  }

  /// What the model says of a noisy token.
  public enum Prediction: String, Hashable, Sendable, CaseIterable {
    /// ε
    case noise
    /// With the schedule `flow` the derivative by time, ε − x; with others α ε − σ x (Salimans and Ho, arXiv
    /// 2202.00512).
    case velocity
  }

  /// What the model says of a noisy token.
  public let prediction: Prediction
  /// How much noise there is by time.
  public let schedule: Schedule

  /// Creates a description.
  public init(_ prediction: Prediction, _ schedule: Schedule) {
    self.prediction = prediction
    self.schedule = schedule
  }
}

extension Denoising.Schedule {
  /// The factors of t² and t in −2 ln α of the linear schedule: half of 20 − 0.1, and 0.1.
  static let linearRates = (square: 9.95, first: 0.1)

  /// Returns α(t) and σ(t).
  public func factors(at time: Double) -> (signal: Double, noise: Double) {
    switch self {
    case .cosine:
      let angle = time * Double.pi / 2
      return (Mathematics.cosine(angle), Mathematics.sine(angle))
    case .linear:
      let (square, first) = Self.linearRates
      let power = Mathematics.exponential(-(square * time + first) * time)
      return (power.squareRoot(), (1 - power).squareRoot())
    case .flow: return (1 - time, time)
    }
  }
}

/// The rows that a mean is over.
package struct CountedRows: Hashable, Sendable {
  /// The input that tells them: `targets`, or `modality`.
  package let input: String
  /// They count where that input is in one of these.
  package let ranges: [Range<Int>]

  /// Creates the rows whose `input` is in one of `ranges`.
  package init(_ input: String, in ranges: [Range<Int>]) {
    self.input = input
    self.ranges = ranges
  }
}

extension Module {
  /// Returns the rows that the loss of `objective` is a mean over: by their targets, or the noisy tokens themselves.
  package func countedRows(of objective: ObjectiveDeclaration) -> CountedRows {
    let members = modalities.indices.filter { objective.modalities.contains(modalities[$0].name) }
    guard objective.denoising != nil else {
      return CountedRows("targets", in: members.map { modalities[$0].vocabulary })
    }
    return CountedRows("modality", in: members.map { $0..<($0 + 1) })
  }

  /// Returns the objective that denoises tokens of `modality`, or `nil` if its tokens are ids.
  package func denoisingObjective(of modality: ModalityDeclaration) -> ObjectiveDeclaration? {
    objectives.first { $0.denoising != nil && $0.modalities == [modality.name] }
  }
}
