import MoTIR
import Runtime

/// The progress of a training run: a line has the means over the steps since the line before.
struct TrainingLog {
  private let losses: [String]
  private let tokens: Int
  private let steps: Int
  private var sums: [Double]
  private var norm = 0.0
  private var count = 0
  private var start = ContinuousClock.now

  /// Creates the log of a run of `steps` steps.
  init(_ model: CompiledModel, _ module: Module, steps: Int) {
    let outputs = model.plan.entry("gradients")?.outputs ?? []
    losses = outputs.map(\.name).filter { $0 == "loss" || $0.hasPrefix("loss.") }
    sums = [Double](repeating: 0, count: losses.count)
    tokens = module.tokens
    self.steps = steps
  }

  /// Adds what the step that `model` just did tells.
  mutating func add(_ model: CompiledModel, _ outcome: AdamW.Outcome) {
    for (index, name) in losses.enumerated() {
      sums[index] += Double(model.output(name, of: "gradients")?.first ?? .nan)
    }
    norm += Double(outcome.gradientNorm)
    count += 1
  }

  /// Prints the line of step `step` and begins the next one.
  mutating func print(_ step: Int) {
    let seconds = max(1e-9, (ContinuousClock.now - start).seconds)
    let steps = Double(max(1, count))
    let parts = zip(losses, sums).map { name, sum in
      "\(name.replacing("loss.", with: "")) \(fixed(sum / steps, 4))"
    }
    let rate = grouped(Int((Double(tokens) * steps / seconds).rounded()))
    say(
      "step \(padded("\(step)", -"\(self.steps)".count))/\(self.steps)  "
        + "\(parts.joined(separator: "  "))  |gradient| \(fixed(norm / steps, 3))  \(rate) tokens/s"
    )
    sums = sums.map { _ in 0 }
    (norm, count, start) = (0, 0, .now)
  }
}
