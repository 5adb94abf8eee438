import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// `motc bench`: throughput, mode against mode in one run.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures tokens a second of training and of the forward pass.",
    discussion: """
      Modes take turns, so that what else the machine does meets all of them; medians are printed. The \
      share of the peak is that of a loop of multiply-adds on registers, measured in the same run. \
      Tokens are random, in equal spans of each modality.

      Examples:
        motc bench examples/benchmark.swift-spec
        motc bench examples/benchmark-small.swift-spec --compare fused --repeat 9 --json bench.json
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments
  @OptionGroup var reports: ReportArguments

  @Option(help: ArgumentHelp("Modes: fused, unfused.", valueName: "modes"))
  var compare = "fused,unfused"

  @Option(help: ArgumentHelp("What to measure: train, forward.", valueName: "tasks"))
  var tasks = "train,forward"

  @Option(name: .customLong("repeat"), help: "Measurements of each mode.")
  var rounds = 5

  @Flag(help: "Print where the time goes, kernel by kernel.")
  var kernels = false

  @Option(help: ArgumentHelp("Write the results here too.", valueName: "file"))
  var json: String?

  func validate() throws {
    guard (1...1000).contains(rounds) else {
      throw ValidationError("--repeat is 1 to 1000, not \(rounds)")
    }
    let modes = names(in: compare)
    guard !modes.isEmpty, Set(modes).count == modes.count,
      modes.allSatisfy({ BenchMode(rawValue: $0) != nil })
    else { throw ValidationError("--compare takes fused and unfused, not '\(compare)'") }
    let tasks = names(in: tasks)
    guard !tasks.isEmpty, tasks.allSatisfy({ BenchTask(rawValue: $0) != nil }) else {
      throw ValidationError("--tasks takes train and forward, not '\(self.tasks)'")
    }
  }

  func run() throws {
    let modes = names(in: compare).compactMap(BenchMode.init)
    if modes.contains(.unfused) { useOwnOpenBLASKernels() }
    if let json, json != "-" { try requireWritable(json) }
    let clock = StageClock()
    let module = try model.load(clock)
    let pool = execution.makePool()
    let batch = try syntheticBatch(module)
    let tensors = try clock.measure("initialize") { try initialTensors(of: module, seed: 0) }
    let wanted = BenchTask.allCases.filter { names(in: tasks).contains($0.rawValue) }
    var subjects: [BenchSubject] = []
    for mode in modes {
      let options = try compile.optionsToRun(fuse: mode.fusion)
      let build = Build(module, options, clock: clock, perfMap: reports.perfMap)
      subjects.append(
        try BenchSubject(mode, build, tensors, batch, pool, wanted, profiles: kernels))
    }
    let probe = try PeakMeter(try compile.optionsToRun(), pool)
    let report = try BenchReport(
      module: module, subjects: subjects, probe: probe, rounds: rounds, pool: pool,
      precision: compile.precision, clock: clock)
    try Output(nil).write(report.text)
    for subject in subjects {
      if let profile = subject.profile {
        try Output(nil).write("\n\(subject.mode)\n\(profile.text)")
      }
    }
    if reports.time { clock.report() }
    guard let json else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    try Output(json).write(try encoder.encode(report) + Data("\n".utf8))
  }
}

/// Returns a batch of random tokens: in each sequence, every modality has an equal contiguous span.
private func syntheticBatch(_ module: Module) throws -> Batch {
  var random = FixedRandom(state: 1)
  let kinds = module.modalities.count
  let modality = (0..<module.tokens).map { $0 % module.sequence * kinds / module.sequence }
  var rows = BatchBuilder.Rows(
    tokens: modality.map { kind in
      let ids = module.modalities[kind].vocabulary
      return ids.isEmpty ? ids.lowerBound : Int.random(in: ids, using: &random)
    })
  rows.modality = modality
  return try BatchBuilder(module: module).build(rows)
}

/// Random numbers that are the same in every run.
private struct FixedRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
