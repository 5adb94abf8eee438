import MoTIR
import Runtime
import Testing

/// Noise becomes what a model that knows it all would have of it.
@Suite struct DenoiserTests {
  private static let kinds = Denoising.Prediction.allCases.flatMap { prediction in
    Denoising.Schedule.allCases.map { Denoising(prediction, $0) }
  }

  /// What is to be made.
  private let target: [Float] = [-0.9, -0.25, 0, 0.5, 1]

  /// Returns what the model says that knows the target.
  private func said(_ x: [Float], _ time: Float, _ denoising: Denoising) -> [Float] {
    let (signal, noise) = denoising.schedule.factors(at: Double(time))
    return zip(x, target).map { x, target in
      let (x, target) = (Double(x), Double(target))
      let error = noise > 0 ? (x - signal * target) / noise : 0
      switch (denoising.prediction, denoising.schedule) {
      case (.noise, _): return Float(error)
      case (.velocity, .flow): return Float(error - target)
      case (.velocity, _): return Float(signal * error - noise * target)
      }
    }
  }

  @Test(arguments: kinds, [1, 2, 50])
  func findsWhatTheModelKnows(_ denoising: Denoising, _ steps: Int) throws {
    for eta in [0, 0.5, 1] {
      let denoiser = Denoiser(denoising, DenoisingSettings(steps: steps, eta: eta), within: -1...1)
      let found = try denoiser.clean(count: 5, CounterRandom(seed: 1, name: "x")) { x, time in
        said(x, time, denoising)
      }
      for (found, target) in zip(found, target) { #expect(abs(found - target) < 1e-3) }
    }
  }

  @Test(arguments: Denoising.Schedule.allCases)
  func schedulesGoFromCleanToNoise(_ schedule: Denoising.Schedule) {
    let (clean, noise) = (schedule.factors(at: 0), schedule.factors(at: 1))
    #expect(clean.signal == 1 && clean.noise == 0)
    #expect(noise.signal < 0.01 && abs(noise.noise - 1) < 1e-4)
    let middle = schedule.factors(at: 0.5)
    let sum = middle.signal * middle.signal + middle.noise * middle.noise
    #expect(schedule == .flow ? sum == 0.5 : abs(sum - 1) < 1e-12)
  }

  @Test func noiseDependsOnTheSeedAlone() throws {
    let denoiser = Denoiser(Denoising(.velocity, .flow), DenoisingSettings(steps: 3, eta: 1))
    func run(_ seed: UInt64) throws -> [Float] {
      try denoiser.clean(count: 5, CounterRandom(seed: seed, name: "x")) { x, _ in x }
    }
    #expect(try run(1) == run(1))
    #expect(try run(1) != run(2))
    #expect(throws: Diagnostic.self) {
      try denoiser.clean(count: 5, CounterRandom(seed: 1, name: "x")) { x, _ in
        x.map { _ in Float.nan }
      }
    }
  }

  /// Whoever sees no noise takes what is noisy for clean, however far that is out of range.
  @Test(arguments: kinds.filter { $0.prediction == .noise })
  func estimatesAreCutToTheRange(_ denoising: Denoising) throws {
    func run(_ steps: Int, within range: ClosedRange<Double>?) throws -> [Float] {
      try Denoiser(denoising, DenoisingSettings(steps: steps), within: range)
        .clean(count: 64, CounterRandom(seed: 1, name: "x")) { x, _ in x.map { _ in 0 } }
    }
    #expect(try run(1, within: nil).contains { abs($0) > 100 })
    for steps in [1, 3, 50] {
      let cut = try run(steps, within: -1...1)
      #expect(cut.allSatisfy { abs($0) <= 1 } && cut.contains { $0 < 0 } && cut.contains { $0 > 0 })
    }
    // In one step from noise all are cut, and guidance that changes no sign changes nothing.
    #expect(try run(1, within: -1...1).allSatisfy { abs($0) > 0.99 })
  }

  @Test func guidanceGoesBeyondWhatIsSaidWithoutText() {
    func guided(_ guidance: Double) -> [Float] {
      Denoiser(Denoising(.noise, .cosine), DenoisingSettings(guidance: guidance))
        .guided([2, 3], [1, 5])
    }
    #expect(guided(0) == [1, 5] && guided(1) == [2, 3] && guided(3) == [4, -1])
  }
}
