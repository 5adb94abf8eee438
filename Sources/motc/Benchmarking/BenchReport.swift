import Lowering
import MoTIR
import Runtime

/// What `motc bench` measured; its JSON has these members, in snake case.
struct BenchReport: Encodable {
  /// The medians of one case.
  struct Throughput: Encodable {
    let tokensPerSecond: Double
    let gflops: Double
    let shareOfPeak: Double
    /// `nil` where the matrix unit is not used.
    let shareOfMatrixPeak: Double?
    let secondsPerStep: Double
  }

  /// What is a matter of memory: the optimizer's part of a training step, or decoding.
  struct Traffic: Encodable {
    /// `nil` for a part of a step.
    var tokensPerSecond: Double?
    let secondsPerStep: Double
    let gigabytesPerSecond: Double
    let shareOfMemoryBandwidth: Double?
  }

  /// What it ran on.
  struct Machine: Encodable {
    let cpu: String
    let threads: Int
    let peakGflops: Double
    let matrixPeakGflops: Double?
    /// GB/s
    let memoryBandwidth: Double?
    let openblas: String
    let llvm: String
  }

  /// One stage of an ablation.
  struct Stage: Encodable {
    /// `unfused`, or the pass that was turned on last.
    let stage: String
    /// Kernels of one step.
    let kernels: Int
    /// How many of them wait for the size of a segment.
    let syncs: Int
    /// Throughput over that of the stage before, by task; empty for the first.
    let overBefore: [String: Double]
    /// Throughput over that of the first stage, by task.
    let overFirst: [String: Double]
  }

  let model: String
  let batch: Int
  let sequence: Int
  let precision: String
  let mix: String
  let repeats: Int
  let machine: Machine
  /// By case.
  let train: [String: Throughput]?
  /// By case.
  let forward: [String: Throughput]?
  /// The entry `gradients` of a training step, by case.
  let gradients: [String: Throughput]?
  /// Head and loss, and the other parts of `gradients`, by case; where head and loss are a kernel.
  let head: [String: Throughput]?
  let layers: [String: Throughput]?
  /// The entry `update` of a training step, by case.
  let update: [String: Traffic]?
  /// By case.
  let decode: [String: Traffic]?
  /// The first mode's throughput over the second's, by task.
  let ratios: [String: Double]
  /// What is compared with the first case: throughput over its, by task and case.
  let overFirst: [String: [String: Double]]?
  /// The stages of an ablation.
  let ablation: [Stage]?
  /// Where there is one case.
  let memory: MemoryUse?
  /// The names of the cases, and whom each is compared with, in order.
  let cases: [Case]

  /// A case's name.
  struct Case: Encodable {
    let name: String
    let comparedWith: String?
  }

  /// Takes the medians of `rounds`.
  ///
  /// - Parameter isAblation: whether each case is a stage that follows on the one before.
  init(
    _ module: Module, _ rounds: BenchRounds, mix: TokenMix, isAblation: Bool, pool: ThreadPool,
    precision: Precision, memory: MemoryUse?
  ) {
    self.memory = memory
    model = module.name
    (batch, sequence, repeats) = (module.batch, module.sequence, rounds.count)
    (self.precision, self.mix) = (precision.rawValue, mix.text)
    let peaks = rounds.peaks
    machine = Machine(
      cpu: machineName, threads: pool.threads, peakGflops: peaks.vector / 1e9,
      matrixPeakGflops: peaks.matrix.map { $0 / 1e9 },
      memoryBandwidth: peaks.memory.map { $0 / 1e9 },
      openblas: OpenBLAS.core, llvm: Compiler.llvm)
    let tokens = Double(module.tokens)
    train = rounds.throughput(.train, \.all, tokens) { $0.flops(.train) }
    forward = rounds.throughput(.forward, \.all, tokens) { $0.flops(.forward) }
    gradients = rounds.throughput(.train, \.gradients, tokens) { $0.flops(.train) }
    head = rounds.throughput(.train, \.head, tokens, flops: \.headFlops)
    layers = rounds.throughput(.train, \.layers, tokens) { one in
      one.headFlops.map { one.flops(.train) - $0 }
    }
    update = rounds.traffic(.train, \.update, \.updateBytes)
    decode = rounds.traffic(.decode, \.all, \.decodeBytes, tokens: Double(module.batch))
    cases = rounds.cases.map { one in
      Case(name: one.name, comparedWith: one.base.map { rounds.cases[$0].name })
    }
    let measured = [
      ("train", train), ("gradients", gradients), ("layers", layers), ("forward", forward),
    ].compactMap { task, results in results.map { (task, $0) } }
    var speeds = Dictionary(uniqueKeysWithValues: measured).mapValues {
      $0.mapValues(\.tokensPerSecond)
    }
    speeds["decode"] = decode?.compactMapValues(\.tokensPerSecond)
    ratios = Self.ratios(of: cases, speeds)
    overFirst = Self.overFirst(cases, speeds)
    ablation = isAblation ? Self.stages(rounds, speeds) : nil
  }

  /// Parts of the task `train`.
  private static let partsOfTraining = ["gradients", "layers"]

  /// Returns the first mode's throughput over the second's, where there are two and nothing else.
  private static func ratios(
    of cases: [Case], _ speeds: [String: [String: Double]]
  ) -> [String: Double] {
    guard cases.count == 2, cases.allSatisfy({ $0.comparedWith == nil }) else { return [:] }
    return speeds.filter { !partsOfTraining.contains($0.key) }.compactMapValues { results in
      ratio(results, cases[0].name, cases[1].name)
    }
  }

  private static func overFirst(
    _ cases: [Case], _ speeds: [String: [String: Double]]
  ) -> [String: [String: Double]]? {
    guard cases.contains(where: { $0.comparedWith != nil }) else { return nil }
    return speeds.mapValues { results in
      var all: [String: Double] = [:]
      for one in cases {
        if let base = one.comparedWith { all[one.name] = ratio(results, one.name, base) }
      }
      return all
    }
  }

  private static func stages(
    _ rounds: BenchRounds, _ speeds: [String: [String: Double]]
  ) -> [Stage] {
    let names = rounds.cases.map(\.name)
    let tasks = speeds.filter { !partsOfTraining.contains($0.key) }
    return rounds.cases.enumerated().map { index, one in
      let (kernels, syncs) = one.subject.census(one.subject.tasks[0])
      return Stage(
        stage: one.name, kernels: kernels, syncs: syncs,
        overBefore: index == 0
          ? [:] : tasks.compactMapValues { ratio($0, one.name, names[index - 1]) },
        overFirst: tasks.compactMapValues { ratio($0, one.name, names[0]) })
    }
  }

  private static func ratio(
    _ results: [String: Double], _ name: String, _ base: String
  ) -> Double? {
    guard let value = results[name], let other = results[base] else { return nil }
    return value / other
  }
}

extension BenchRounds {
  /// Returns the throughput of a part of `task` by case, `nil` if nobody measured it.
  ///
  /// - Parameter flops: the part's matrix arithmetic; `nil` for a subject that has no such part.
  fileprivate func throughput(
    _ task: BenchTask, _ part: KeyPath<BenchTimes, Double>, _ tokens: Double,
    flops: (BenchSubject) -> Double?
  ) -> [String: BenchReport.Throughput]? {
    byCase(task, part) { one, seconds in
      guard let flops = flops(one.subject) else { return nil }
      let rate = flops / seconds
      return BenchReport.Throughput(
        tokensPerSecond: tokens / seconds, gflops: rate / 1e9, shareOfPeak: rate / peaks.vector,
        shareOfMatrixPeak: peaks.matrix.map { rate / $0 }, secondsPerStep: seconds)
    }
  }

  /// Returns a part of `task` that moves bytes by case, `nil` if nobody measured it.
  fileprivate func traffic(
    _ task: BenchTask, _ part: KeyPath<BenchTimes, Double>,
    _ bytes: KeyPath<BenchSubject, Double>, tokens: Double? = nil
  ) -> [String: BenchReport.Traffic]? {
    byCase(task, part) { one, seconds in
      let rate = one.subject[keyPath: bytes] / seconds
      return BenchReport.Traffic(
        tokensPerSecond: tokens.map { $0 / seconds }, secondsPerStep: seconds,
        gigabytesPerSecond: rate / 1e9, shareOfMemoryBandwidth: peaks.memory.map { rate / $0 })
    }
  }

  private func byCase<Result>(
    _ task: BenchTask, _ part: KeyPath<BenchTimes, Double>,
    _ result: (BenchCase, Double) -> Result?
  ) -> [String: Result]? {
    var results: [String: Result] = [:]
    for (index, one) in cases.enumerated() {
      if let seconds = seconds(task, index, part) { results[one.name] = result(one, seconds) }
    }
    return results.isEmpty ? nil : results
  }
}
