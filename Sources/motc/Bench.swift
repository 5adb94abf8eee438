import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// `motc bench`: throughput, case against case in one run.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures tokens a second of training, of the forward pass and of decoding.",
    discussion: """
      All that is compared takes turns, so that what else the machine does meets all of it; medians are \
      printed. Shares are of what loops reach that are measured in the same run: multiply-adds on \
      registers (of tiles, too, where bf16 has a matrix unit), and a stream that reads four arrays and \
      writes three in place, as the optimizer does. Tokens are random, in one span of each modality. Decoding is one \
      token a sequence behind --context others; its share is of a stream that only reads.

      Examples:
        motc bench examples/benchmark.swift-spec
        motc bench examples/benchmark-small.swift-spec --compare fused --repeat 9 --json bench.json
        motc bench examples/benchmark-small.swift-spec --ablate --svg pictures
        motc bench examples/benchmark.swift-spec --mix even --mix 95,5 --mix random
        motc bench examples/benchmark-dense.swift-spec --against examples/benchmark-8.swift-spec
        motc bench examples/benchmark-decode.swift-spec --tasks decode --precision bf16 --compare fused
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments
  @OptionGroup var reports: ReportArguments

  @Option(
    help: ArgumentHelp(
      "Modes: fused, unfused. Both unless mixes or specs are compared.", valueName: "modes"))
  var compare: String?

  @Flag(help: "Turn the passes on one after the other, and measure each stage.")
  var ablate = false

  @Option(
    help: ArgumentHelp(
      "Percent of each sequence by modality, such as 95,5; or even, or random. Repeat it to compare.",
      valueName: "mix"))
  var mix: [String] = []

  @Option(
    help: ArgumentHelp(
      "Compare with this model of the same batch. Repeat it to compare more.", valueName: "spec"),
    completion: .model)
  var against: [String] = []

  @Option(help: ArgumentHelp("What to measure: train, forward; or decode.", valueName: "tasks"))
  var tasks = "train,forward"

  @Option(name: .customLong("repeat"), help: "Measurements of each case.")
  var rounds = 5

  @Flag(help: "Print the time of each kernel, and how long threads wait before it (ms).")
  var kernels = false

  @Option(help: ArgumentHelp("Write the results here too.", valueName: "file"), completion: .file())
  var json: String?

  @Option(
    help: ArgumentHelp(
      "Draw roofline.svg here, and with --ablate ablation.svg; takes gnuplot.", valueName: "folder"),
    completion: .directory
  )
  var svg: String?

  func validate() throws {
    guard (1...1000).contains(rounds) else {
      throw ValidationError("--repeat is 1 to 1000, not \(rounds)")
    }
    let modes = names(in: modeNames)
    guard !modes.isEmpty, Set(modes).count == modes.count,
      modes.allSatisfy({ BenchMode(rawValue: $0) != nil })
    else { throw ValidationError("--compare takes fused and unfused, not '\(modeNames)'") }
    let tasks = names(in: tasks)
    guard !tasks.isEmpty, tasks.allSatisfy({ BenchTask(rawValue: $0) != nil }) else {
      throw ValidationError("--tasks takes train and forward, or decode, not '\(self.tasks)'")
    }
    // A model that decodes is compiled for it.
    guard tasks.count == 1 || !tasks.contains(BenchTask.decode.rawValue) else {
      throw ValidationError("--tasks decode stands alone")
    }
    guard !ablate || (compare == nil && against.isEmpty && mix.count < 2) else {
      throw ValidationError("--ablate takes no --compare, no --against and one --mix at most")
    }
    do throws(Diagnostic) {
      let mixes = try mixes()
      guard Set(mixes).count == mixes.count else { throw Diagnostic("--mix is twice the same") }
    } catch {
      throw ValidationError(usage: error)
    }
  }

  /// Whether one thing is compared with others, not mode with mode.
  private var hasVariants: Bool { mix.count > 1 || !against.isEmpty }

  private var modeNames: String { compare ?? (hasVariants ? "fused" : "fused,unfused") }

  private func mixes() throws(Diagnostic) -> [TokenMix] {
    var mixes: [TokenMix] = []
    for text in mix { mixes.append(try TokenMix(text)) }
    return mixes.isEmpty ? [.even] : mixes
  }

  func run() throws {
    let modes = names(in: modeNames).compactMap(BenchMode.init)
    if ablate || modes.contains(.unfused) { useOwnOpenBLASKernels() }
    if let json, json != "-" { try requireWritable(json) }
    let plots = try svg.map { try BenchPlots(folder: $0) }
    let clock = StageClock()
    let mixes = try mixes()
    let wanted = BenchTask.allCases.filter { names(in: tasks).contains($0.rawValue) }
    let modules = try modules(clock, context: wanted.contains(.decode) ? .ofModel : .none)
    let pool = execution.makePool()
    let maker = BenchMaker(
      compile: compile, perfMap: reports.perfMap, pool: pool, clock: clock, tasks: wanted)
    let profiles = kernels || svg != nil
    let before = ProcessMemory.now
    let cases =
      ablate
      ? try maker.ablation(modules[0], mix: mixes[0], profiles: profiles)
      : try maker.comparison(modules, modes: modes, mixes: mixes, profiles: profiles)
    // Before the meters, which have memory of their own.
    let memory = cases.count == 1 ? cases[0].subject.memoryUse(since: before) : nil
    let options = try compile.optionsToRun()
    let meters = try MachineMeters(
      options.target, options.operands(of: modules[0]), pool,
      memory: wanted.contains(.decode)
        ? .read : wanted.contains(.train) || svg != nil ? .update : nil)
    let measured = try BenchRounds(cases, count: rounds, meters: meters, clock: clock)
    let report = BenchReport(
      modules[0], measured, mix: mixes[0], isAblation: ablate, pool: pool,
      precision: compile.precision, memory: memory)
    try Output(nil).write(report.text)
    if kernels { try writeProfiles(cases) }
    if reports.time { clock.report() }
    try plots?.write(report, cases)
    guard let json else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    try Output(json).write(try encoder.encode(report) + Data("\n".utf8))
  }

  /// Returns the model, and those that it is compared with.
  private func modules(_ clock: StageClock, context: Model.Context) throws -> [Module] {
    let first = try model.load(clock, context: context)
    var modules = [first]
    for file in against {
      let other = try model.load(clock, other: file, context: context)
      guard (first.batch, first.sequence) == (other.batch, other.sequence) else {
        throw Diagnostic(
          "'\(first.name)' has batch \(first.batch) x \(first.sequence) tokens, and '\(other.name)' has "
            + "\(other.batch) x \(other.sequence)", suggestion: "give all --batch and --sequence")
      }
      guard !modules.dropFirst().contains(where: { $0.name == other.name }) else {
        throw Diagnostic(
          "two of the models that are compared are called '\(other.name)'",
          suggestion: "give them names of their own")
      }
      modules.append(other)
    }
    return modules
  }

  private func writeProfiles(_ cases: [BenchCase]) throws {
    // Mixes share a subject, and what it did.
    var last: BenchSubject?
    for one in cases where one.subject !== last {
      last = one.subject
      guard let profile = one.subject.profile else { continue }
      try Output(nil).write("\n\(one.name)\n\(profile.text)")
    }
  }
}
