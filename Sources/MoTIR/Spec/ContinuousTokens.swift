// How continuous tokens come into a model, and how it says what it makes of them.
// T tokens of a batch, C numbers of a continuous token, D width, F frequencies.

extension LayerContext {
  /// How continuous tokens come.
  enum ContinuousTokens {
    /// Clean, and noise beside them, to be mixed: the loss.
    case clean
    /// As they are, noisy or not.
    case given
    /// None: one token of an id at a time.
    case absent
  }

  /// What tokens and noise are multiplied by where they are mixed: α and σ. [T, 1]
  typealias NoiseFactors = (signal: Rows, noise: Rows)

  /// Returns the input `input` of modality number `index`. f32[T, C], or [T, 1] for the time
  mutating func continuous(
    _ input: Module.ContinuousInput, of index: Int
  ) throws(Diagnostic) -> Rows {
    let modality = model.modalities[index]
    let width = input == .timesteps ? 1 : modality.latents ?? 1
    return rows(of: try self.input(input.name(of: modality.name), .f32, width: width))
  }

  /// Returns what `body` makes with parameters that modality number `index` alone has: rows of others come out as 0.
  mutating func withParameters<Result>(
    of index: Int, _ body: (inout LayerContext) throws -> Result
  ) rethrows -> Result {
    let outer = scope
    scope = Scope(layer: [index], part: [index])
    defer { scope = outer }
    return try body(&self)
  }

  /// Returns the tokens of modality number `index` as the model is given them: noisy. [T, C]
  mutating func noisy(_ index: Int) throws(Diagnostic) -> Rows {
    let latents = try continuous(.latents, of: index)
    guard continuousTokens == .clean, let denoising = model.denoising(of: index) else {
      return latents
    }
    let factors = try factors(of: denoising.schedule, index)
    let noise = try continuous(.noise, of: index)
    return try sum(product(latents, factors.signal), product(noise, factors.noise))
  }

  /// Returns what the model is to say of the tokens of modality number `index`. [T, C]
  mutating func wanted(_ denoising: Denoising, _ index: Int) throws(Diagnostic) -> Rows {
    let noise = try continuous(.noise, of: index)
    guard denoising.prediction == .velocity else { return noise }
    let latents = try continuous(.latents, of: index)
    guard denoising.schedule != .flow else { return try apply(.subtract, noise, latents) }
    let factors = try factors(of: denoising.schedule, index)
    return try apply(
      .subtract, product(noise, factors.signal), product(latents, factors.noise))
  }

  /// Returns α and σ of each token of modality number `index`. [T, 1]
  private mutating func factors(
    of schedule: Denoising.Schedule, _ index: Int
  ) throws(Diagnostic) -> NoiseFactors {
    if let factors = noiseFactors[index] { return factors }
    let factors = try newFactors(of: schedule, index)
    noiseFactors[index] = factors
    return factors
  }

  private mutating func newFactors(
    of schedule: Denoising.Schedule, _ index: Int
  ) throws(Diagnostic) -> NoiseFactors {
    let time = try continuous(.timesteps, of: index)
    switch schedule {
    case .cosine:
      let angle = try apply(.multiply, time, Double.pi / 2)
      return (try apply(.cosine, angle), try apply(.sine, angle))
    case .linear:
      let (square, first) = Denoising.Schedule.linearRates
      let rate = try apply(.add, apply(.multiply, time, square), first)
      let power = try apply(.exponential, apply(.negate, product(rate, time)))
      // Rounding must not leave less than nothing under the root.
      let rest = try apply(.relu, apply(.add, apply(.negate, power), 1))
      return (try apply(.squareRoot, power), try apply(.squareRoot, rest))
    case .flow: return (try apply(.add, apply(.negate, time), 1), time)
    }
  }

  /// Returns an embedding of the time of each token of modality number `index`: a small network of sines and cosines
  /// of learned frequencies. [T, D]
  ///
  /// Random frequencies that are learned: Li, Si, Li, Hsieh and Bengio, "Learnable Fourier Features"
  /// (arXiv 2106.02795); for the noise of a diffusion: Song et al. (arXiv 2011.13456, appendix C).
  mutating func timeEmbedding(_ index: Int) throws(Diagnostic) -> Rows {
    let (time, width) = (try continuous(.timesteps, of: index), model.width)
    let count = Self.timeFrequencies
    let frequencies = try parameter(
      "time.frequencies", shape: [count], initialization: .normal(Self.highestFrequency / 2),
      component: .embedding)
    let ones = rows(of: try add(.constant(1), [], type: time.type.withWidth(count)))
    let angles = try routed(product(ones, time), frequencies) { .channelMultiply($0) }
    let sines = try linear(
      apply(.sine, angles), to: width, name: "time.sine", component: .embedding)
    let cosines = try linear(
      apply(.cosine, angles), to: width, name: "time.cosine", bias: true, component: .embedding)
    return try linear(
      apply(.silu, sum(sines, cosines)), to: width, name: "time.out", bias: true,
      component: .embedding)
  }

  /// F
  private static let timeFrequencies = 32
  /// Most frequencies are below it, in radians from clean to noise.
  private static let highestFrequency = 60.0

  /// Adds the mean square of what is wrong with what the model says of the tokens of modality number `index`.
  mutating func denoisingLoss(_ denoising: Denoising, _ index: Int) throws(Diagnostic) -> ValueID {
    guard let said = predictions[index], let latents = model.modalities[index].latents else {
      throw .noPrediction(of: model.modalities[index].name, at: location)
    }
    let error = try apply(.subtract, said, wanted(denoising, index))
    let losses = try rowSum(product(error, error))
    let weights = try add(
      .tokenWeights([index..<(index + 1)], hasCount: false), [try input("modality")])
    let total = try add(
      .sum, [try add(.binary(.multiply), [losses.value, weights])])
    return try weighted(total, by: 1 / Double(latents))
  }
}

extension Model {
  /// The numbers of the modalities whose tokens are continuous.
  var continuousModalities: [Int] { modalities.indices.filter { modalities[$0].latents != nil } }
  /// The numbers of those whose tokens are ids.
  var discreteModalities: [Int] { modalities.indices.filter { modalities[$0].latents == nil } }

  /// Returns how tokens of modality number `index` are denoised; `nil` if nothing says so.
  func denoising(of index: Int) -> Denoising? {
    objectives.lazy.map(\.objective).first { objective in
      objective.denoising != nil
        && objective.modalities.contains { $0.name == modalities[index].name }
    }?.denoising
  }
}

/// The layer that turns the numbers of a continuous token into a row, unless `Embedding` is given another one: x W + b.
public struct PatchEmbedding: Layer {
  /// The layer's part in names of parameters.
  public var name: String { "patch" }

  /// Creates the layer.
  public init() {}

  /// Appends the linear map.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    try context.linear(x, to: context.model.width, name: name, bias: true, component: .embedding)
  }
}
