import Lowering
import MoTIR
import Runtime

/// What `motc bench` measured; its JSON has these members, in snake case.
struct BenchReport: Encodable {
  /// One mode's medians.
  struct Throughput: Encodable {
    let tokensPerSecond: Double
    let gflops: Double
    let shareOfPeak: Double
    let secondsPerStep: Double
  }

  /// What it ran on.
  struct Machine: Encodable {
    let cpu: String
    let threads: Int
    let peakGflops: Double
    let openblas: String
    let llvm: String
  }

  let model: String
  let batch: Int
  let sequence: Int
  let precision: String
  let repeats: Int
  let machine: Machine
  /// By mode.
  private(set) var train: [String: Throughput]?
  private(set) var forward: [String: Throughput]?
  /// The first mode's throughput over the second's, by task.
  private(set) var ratios: [String: Double] = [:]
  private let modes: [String]

  private enum CodingKeys: String, CodingKey {
    case model
    case batch
    case sequence
    case precision
    case repeats
    case machine
    case train
    case forward
    case ratios
  }

  /// Measures `subjects` in turn, `rounds` times.
  init(
    module: Module, subjects: [BenchSubject], probe: PeakMeter, rounds: Int, pool: ThreadPool,
    precision: Precision, clock: StageClock
  ) throws {
    model = module.name
    (batch, sequence, repeats) = (module.batch, module.sequence, rounds)
    self.precision = precision.rawValue
    modes = subjects.map(\.mode.rawValue)
    let tasks = subjects.first?.tasks ?? []
    var peaks: [Double] = []
    var times: [String: [Double]] = [:]
    for round in 1...rounds {
      try clock.measure("round \(round) of \(rounds)") {
        peaks.append(probe.measure())
        for task in tasks {
          for subject in subjects {
            times["\(task) \(subject.mode)", default: []].append(try subject.measure(task))
          }
        }
      }
    }
    let peak = median(peaks)
    machine = Machine(
      cpu: machineName, threads: pool.threads, peakGflops: peak / 1e9, openblas: OpenBLAS.core,
      llvm: Compiler.llvm)
    for task in tasks {
      var results: [String: Throughput] = [:]
      for subject in subjects {
        let seconds = median(times["\(task) \(subject.mode)"] ?? [.nan])
        let rate = subject.flops(task) / seconds
        results[subject.mode.rawValue] = Throughput(
          tokensPerSecond: Double(module.tokens) / seconds, gflops: rate / 1e9,
          shareOfPeak: rate / peak, secondsPerStep: seconds)
      }
      keep(results, of: task)
    }
  }

  private mutating func keep(_ results: [String: Throughput], of task: BenchTask) {
    switch task {
    case .train: train = results
    case .forward: forward = results
    }
    guard modes.count == 2, let first = results[modes[0]], let second = results[modes[1]] else {
      return
    }
    ratios[task.rawValue] = first.tokensPerSecond / second.tokensPerSecond
  }

  /// The report for people.
  var text: String {
    var rows = [["", "", "tokens/s", "GFLOP/s", "of peak", "ms a step"]]
    for (task, results) in [(BenchTask.train, train), (.forward, forward)] {
      guard let results else { continue }
      for mode in modes {
        guard let result = results[mode] else { continue }
        rows.append([
          task.rawValue, mode, grouped(Int(result.tokensPerSecond.rounded())),
          fixed(result.gflops, 1), "\(fixed(100 * result.shareOfPeak, 1)) %",
          fixed(1000 * result.secondsPerStep, 2),
        ])
      }
      if let ratio = ratios[task.rawValue] {
        rows.append([task.rawValue, "\(modes[0]) / \(modes[1])", "\(fixed(ratio, 2))x"])
      }
    }
    return """
      \(model): batch \(batch) x \(sequence) tokens, \(precision), medians of \(repeats)
      \(machine.cpu), \(machine.threads) threads, measured peak \(fixed(machine.peakGflops, 1)) GFLOP/s, \
      OpenBLAS \(machine.openblas)
      \(table(rows, right: [2, 3, 4, 5]))
      """
  }
}
