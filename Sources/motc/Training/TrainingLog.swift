import MoTIR
import Runtime

/// The progress of a training run: a line has the means over the steps since the line before.
struct TrainingLog {
  private let losses: [String]
  private let flops: Double
  private let steps: Int
  private var sums: [Double]
  private var norm = 0.0
  private var count = 0
  private var tokens = 0
  private var start = ContinuousClock.now

  /// Creates the log of a run to step `steps`.
  ///
  /// - Parameters:
  ///   - losses: the names of the losses.
  ///   - flops: matrix arithmetic of a step.
  init(losses: [String], flops: Double, steps: Int) {
    self.losses = losses
    sums = [Double](repeating: 0, count: losses.count)
    self.flops = flops
    self.steps = steps
  }

  /// Adds what a step tells: its losses, in order, the norm of its gradients, and its tokens without padding.
  mutating func add(_ values: [Double], norm: Double, tokens: Int) {
    for (index, value) in values.enumerated() { sums[index] += value }
    self.norm += norm
    self.tokens += tokens
    count += 1
  }

  /// Returns the line of step `step` and begins the next one.
  ///
  /// - Parameter peak: FLOP/s that the machine reaches at most, if that is known.
  mutating func line(_ step: Int, rate: Double, peak: Double?) -> String {
    let seconds = max(1e-9, (ContinuousClock.now - start).seconds)
    let count = Double(max(1, count))
    let parts = zip(losses, sums).map { name, sum in
      "\(name.replacing("loss.", with: "")) \(fixed(sum / count, 4))"
    }
    let speed = flops * count / seconds
    let share = peak.map { " (\(fixed(100 * speed / $0, 0)) % of peak)" } ?? ""
    let memory = ProcessMemory.now.map { "  \(bytes($0.resident))" } ?? ""
    let left = Double(steps - step) * seconds / count
    let line =
      "step \(padded("\(step)", -"\(steps)".count))/\(steps)  \(parts.joined(separator: "  "))  "
      + "|gradient| \(fixed(norm / count, 3))  lr \(scientific(rate))  "
      + "\(grouped(Int((Double(tokens) / seconds).rounded()))) tokens/s  "
      + "\(fixed(speed * 1e-9, 0)) GFLOP/s\(share)\(memory)  \(span(left)) left"
    sums = sums.map { _ in 0 }
    (norm, self.count, tokens) = (0, 0, 0)
    start = .now
    return line
  }

  /// Leaves the time since `moment` out of the present line.
  mutating func skip(since moment: ContinuousClock.Instant) {
    start += ContinuousClock.now - moment
  }

  /// Returns a time for a person.
  private func span(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 1e9).rounded())
    return whole < 60
      ? "\(whole) s"
      : whole < 3600
        ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}
