package import MoTIR

/// How noise becomes continuous tokens.
package struct DenoisingSettings: Hashable, Sendable {
  /// How often the model is asked.
  package var steps: Int
  /// How far the model is followed beyond what it would say without the text before: classifier-free guidance (Ho and
  /// Salimans, arXiv 2207.12598), 1 for none.
  package var guidance: Double
  /// How much of the noise that is taken out is replaced by new: 0 for none, 1 for as much as in the training.
  package var eta: Double

  /// Creates settings.
  package init(steps: Int = 50, guidance: Double = 1, eta: Double = 0) {
    self.steps = steps
    self.guidance = guidance
    self.eta = eta
  }
}

/// Makes continuous tokens of noise, step by step, with what a model says of them.
///
/// With x̂ and ε̂ as the model has them at time t, the tokens at the time s before are α(s) x̂ + σ(s) ε̂, which is DDIM
/// (Song, Meng and Ermon, arXiv 2010.02502, equation 12), and Euler's method for the schedule `flow`. With `eta` 1 it
/// is the sampler of DDPM (equation 16 there).
///
/// An x̂ beyond the range of clean numbers, where that is known, is cut to it in each step, and ε̂ becomes the noise
/// that then makes the noisy number: what DDPM's own sampler does (Ho, Jain and Abbeel, arXiv 2006.11239,
/// `clip_denoised` of its code). Near t = 1, where x̂ is what is left of noise over a small α, nearly all are cut.
package struct Denoiser {
  private let denoising: Denoising
  private let settings: DenoisingSettings
  private let range: ClosedRange<Double>?

  /// Creates a denoiser.
  ///
  /// - Parameter range: what clean numbers are within, if that is known: estimates of them are cut to it.
  package init(
    _ denoising: Denoising, _ settings: DenoisingSettings, within range: ClosedRange<Double>? = nil
  ) {
    self.denoising = denoising
    self.settings = settings
    self.range = range
  }

  /// Returns `count` clean numbers.
  ///
  /// - Parameters:
  ///   - random: the noise.
  ///   - predict: returns what the model says of noisy numbers at a time, guided or not.
  /// - Throws: what `predict` throws, or `Diagnostic` if it says what is not finite.
  package func clean(
    count: Int, _ random: CounterRandom,
    _ predict: (_ noisy: [Float], _ time: Float) throws(Diagnostic) -> [Float]
  ) throws(Diagnostic) -> [Float] {
    var x = random.normals(count: count)
    // Of noise alone nobody can say what it was, where only the noise is said.
    let first = denoising.prediction == .noise ? 0.999 : 1
    for step in (1...settings.steps).reversed() {
      let time = first * Double(step) / Double(settings.steps)
      let said = try predict(x, Float(time))
      guard said.count == count, said.allSatisfy(\.isFinite) else {
        throw Diagnostic(
          "what the model says of noisy tokens is not finite",
          suggestion: "train with a lower learning rate")
      }
      let before = first * Double(step - 1) / Double(settings.steps)
      // Part 0 of the stream was the first noise.
      let fresh =
        settings.eta > 0 && step > 1
        ? random.normals(count: count, from: settings.steps - step + 1) : nil
      for index in x.indices {
        x[index] = next(x[index], said[index], from: time, to: before, fresh?[index])
      }
    }
    return x
  }

  /// Returns what noise without and with a condition make together: as far beyond the first as guidance says.
  package func guided(_ conditional: [Float], _ unconditional: [Float]) -> [Float] {
    let guidance = Float(settings.guidance)
    return zip(conditional, unconditional).map { $1 + guidance * ($0 - $1) }
  }

  /// Returns the number `x` of time `time` at the time `before`, with the new noise `fresh`.
  private func next(
    _ x: Float, _ said: Float, from time: Double, to before: Double, _ fresh: Float?
  ) -> Float {
    let (signal, noise) = denoising.schedule.factors(at: time)
    let (x, said) = (Double(x), Double(said))
    var (clean, error) = parts(x, said, signal, noise)
    if let range, noise > 0, !range.contains(clean) {
      clean = min(max(clean, range.lowerBound), range.upperBound)
      error = (x - signal * clean) / noise
    }
    let (target, rest) = denoising.schedule.factors(at: before)
    guard let fresh, target > 0, noise > 0 else { return Float(target * clean + rest * error) }
    let ratio = signal * rest / (target * noise)
    let new = settings.eta * rest * max(0, 1 - ratio * ratio).squareRoot()
    let old = max(0, rest * rest - new * new).squareRoot()
    return Float(target * clean + old * error + new * Double(fresh))
  }

  /// Returns what is clean and what is noise in the number `x`, of which the model says `said`.
  private func parts(
    _ x: Double, _ said: Double, _ signal: Double, _ noise: Double
  ) -> (clean: Double, noise: Double) {
    switch (denoising.prediction, denoising.schedule) {
    case (.noise, _): ((x - noise * said) / signal, said)
    case (.velocity, .flow): (x - noise * said, x + signal * said)
    case (.velocity, _): (signal * x - noise * said, noise * x + signal * said)
    }
  }
}
