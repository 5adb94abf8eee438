import ArgumentParser
import Lowering
import MoTIR
import Runtime

/// `motc train`: a training run, from its first step or from where it stopped.
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a model on shards of tokens.",
    discussion: """
      Settings come from options, then from --config, then from defaults; the folder of the run keeps them in \
      config.yaml. It also gets metrics.jsonl and metrics.csv, and checkpoints: --resume auto goes on from the \
      newest one, bit for bit. Ctrl-C saves a checkpoint and stops with exit code 130 (SIGTERM: 143), a second one \
      stops at once. A gradient that is not finite stops the run before weights change, with exit code 1.

      Examples:
        motc train examples/chameleon.swift-spec --data shards --out runs/first --steps 200
        motc train examples/chameleon.swift-spec --data shards --out runs/first --resume auto
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments
  @OptionGroup var reports: ReportArguments
  @OptionGroup(title: "Settings") var settings: SettingsArguments

  @Option(
    help: ArgumentHelp("The folder of shards (motc tokenize).", valueName: "folder"),
    completion: .directory)
  var data: String

  @Option(help: ArgumentHelp("The folder of the run.", valueName: "folder"), completion: .directory)
  var out: String

  @Option(
    help: ArgumentHelp("Begin with these weights, unless the run goes on.", valueName: "file"),
    completion: .file())
  var weights: String?

  /// Where a run goes on.
  enum Resume: String, ExpressibleByArgument, CaseIterable {
    /// Behind its newest checkpoint, or at the beginning if it has none.
    case auto
  }

  @Option(help: "Go on from the newest checkpoint of the run; begin if there is none.")
  var resume: Resume?

  func run() throws {
    let options = try compile.optionsToRun()
    if options.disabled.contains(Switch.generatedMatmul.name) { useOwnOpenBLASKernels() }
    let folder = RunFolder(path: out)
    let start = try checkpoint(in: folder)
    let settings = try settings.resolved(default: resume == nil ? nil : folder.config)
    let clock = StageClock()
    let files = try RunFiles(spec: model.spec, data: data)
    let module = try model.load(clock)
    let identity = try RunIdentity(module, options, settings, data: data)
    if let start { try identity.check(start.checkpoint, at: start.path) }
    let source = try source(of: module, settings, start?.checkpoint)
    let heldBack = try TokenShards(folder: data, split: .validation, module: module)
    let accumulation = try Accumulation(module, batches: settings.accumulate)
    let build = Build(accumulation.module, options, clock: clock, perfMap: reports.perfMap)
    let compiled = try model(build, settings, in: folder, from: start?.path)
    if reports.time { clock.report() }
    let run = try TrainingRun(
      compiled, build, settings, accumulation, folder, identity: identity, from: start?.checkpoint)
    try run.begin(start == nil ? files : nil)
    try run.train(source, validation: heldBack)
  }

  /// Returns the checkpoint to go on from, with its folder; `nil` for a run from the beginning.
  ///
  /// Nobody else can train in the folder of a run that goes on from here on: checkpoints that are read stay.
  private func checkpoint(
    in folder: RunFolder
  ) throws -> (path: String, checkpoint: Checkpoint)? {
    guard resume != nil, !folder.steps.isEmpty else { return nil }
    try CannotRun.unless { try folder.lock() }
    guard let newest = try folder.newest() else { return nil }
    report(
      newest.damaged.map { problem in
        Diagnostic(problem.message, suggestion: "an older checkpoint is taken", severity: .warning)
      })
    return (newest.path, newest.checkpoint)
  }

  /// Returns the batches behind `checkpoint`, or from the first.
  private func source(
    of module: Module, _ settings: TrainingSettings, _ checkpoint: Checkpoint?
  ) throws -> sending BatchSource {
    let dropout = try ConditionDropout(settings.conditionDropout, of: module)
    return try BatchSource(
      TokenShards(folder: data, split: .train, module: module), module: module,
      seed: UInt64(settings.seed), dropout: dropout,
      position: checkpoint?.position ?? DataPosition())
  }

  /// Returns the compiled model with the weights that training begins with, those of the checkpoint at `path` if
  /// there is one; the folder of a run that begins is made when nothing else can fail.
  private func model(
    _ build: Build, _ settings: TrainingSettings, in folder: RunFolder, from path: String?
  ) throws -> CompiledModel {
    let (module, clock) = (build.module, build.clock)
    let tensors = try weights.map { try loadWeights($0, of: module, clock) }
    let compiled = try build.model(["gradients", "loss"], trains: true, pool: execution.makePool())
    if let path {
      try clock.measure("load checkpoint") {
        try Checkpoint.load(path, into: compiled, of: module)
      }
      return compiled
    }
    try CannotRun.unless { try folder.begin(again: resume != nil) }
    if let tensors {
      try compiled.load(tensors)
    } else {
      clock.measure("initialize") { compiled.initialize(seed: UInt64(settings.seed)) }
    }
    return compiled
  }
}

/// The settings that options give.
struct SettingsArguments: ParsableArguments {
  @Option(help: ArgumentHelp("A YAML file of settings.", valueName: "file"), completion: .file())
  var config: String?

  @Option(help: "Updates of the weights.") var steps: String?
  @Option(help: "Batches of an update: their gradients are added up.") var accumulate: String?
  @Option(name: .customLong("learning-rate"), help: "The highest learning rate.")
  var learningRate: String?
  @Option(help: "Steps in which the rate rises from 0.") var warmup: String?
  @Option(help: "How the rate goes on: cosine or constant.") var schedule: String?
  @Option(name: .customLong("final-fraction"), help: "The last rate over the highest.")
  var finalFraction: String?
  @Option(help: "The decay of the first moments.") var beta1: String?
  @Option(help: "The decay of the second moments.") var beta2: String?
  @Option(help: "Added to the root of the second moment.") var epsilon: String?
  @Option(name: .customLong("weight-decay"), help: "The weight decay, of matrices alone.")
  var weightDecay: String?
  @Option(help: "The largest norm of all gradients together; 0 for no limit.") var clip: String?
  @Option(
    name: .customLong("condition-dropout"),
    help: "How likely a picture of continuous tokens is learned without the text before it.")
  var conditionDropout: String?
  @Option(help: "Equal seeds give equal first weights and equal batches.") var seed: String?
  @Option(name: .customLong("log-every"), help: "Steps between two lines of progress.")
  var logEvery: String?
  @Option(name: .customLong("validate-every"), help: "Steps between two validations; 0 for none.")
  var validateEvery: String?
  @Option(name: .customLong("validation-batches"), help: "The most batches of a validation.")
  var validationBatches: String?
  @Option(
    name: .customLong("checkpoint-every"),
    help: "Steps between two checkpoints; 0 for one at the end.")
  var checkpointEvery: String?
  @Option(help: "How many of the last checkpoints are kept, besides the best.") var keep: String?

  func validate() throws {
    do { _ = try TrainingSettings(path: nil, overrides: given) } catch {
      throw ValidationError(error.all.map(\.message).joined(separator: "; "))
    }
  }

  /// Returns the settings of options, over those of the file, over defaults.
  ///
  /// - Parameter other: the file, where none is named.
  func resolved(default other: String?) throws(Diagnostics) -> TrainingSettings {
    try TrainingSettings(path: config ?? other, overrides: given)
  }

  /// The settings that are given, by name.
  private var given: [String: String] {
    let options = [
      "steps": steps, "accumulate": accumulate, "learning_rate": learningRate, "warmup": warmup,
      "schedule": schedule,
      "final_fraction": finalFraction, "beta1": beta1, "beta2": beta2, "epsilon": epsilon,
      "weight_decay": weightDecay, "clip": clip, "condition_dropout": conditionDropout,
      "seed": seed, "log_every": logEvery,
      "validate_every": validateEvery, "validation_batches": validationBatches,
      "checkpoint_every": checkpointEvery, "keep": keep,
    ]
    return options.compactMapValues(\.self)
  }
}
