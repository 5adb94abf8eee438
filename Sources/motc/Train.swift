import ArgumentParser
import Lowering
import MoTIR
import Runtime

/// `motc train`: AdamW steps on a folder of captioned items.
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a model on a folder of captioned pictures or speech.",
    discussion: """
      Stops with exit code 1 and leaves no file if a gradient is not finite.

      Examples:
        motc train examples/chameleon.swift-spec --data examples/data --steps 200 -o w.safetensors
        motc train model.swift-spec --data items --steps 50 --rate 1e-3 --weights w.safetensors \
      -o w2.safetensors
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments
  @OptionGroup var reports: ReportArguments
  @OptionGroup var optimizer: OptimizerArguments

  @Option(
    help: ArgumentHelp("The folder: captions.txt and the items it names.", valueName: "folder"))
  var data: String

  @Option(help: "Steps to take.")
  var steps: Int

  @Option(help: "Equal seeds give equal first weights and equal batches.")
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("Start from these weights.", valueName: "file"))
  var weights: String?

  @Option(name: .customLong("log-every"), help: "Print a line every so many steps.")
  var logEvery = 10

  @Option(name: .shortAndLong, help: ArgumentHelp("Write the weights here.", valueName: "file"))
  var output: String?

  func validate() throws {
    guard steps >= 1, logEvery >= 1 else {
      throw ValidationError("--steps and --log-every are at least 1")
    }
  }

  func run() throws {
    let options = try compile.optionsToRun()
    if options.disabled.contains(Switch.generatedMatmul.name) { useOwnOpenBLASKernels() }
    if let output { try requireWritable(output) }
    let clock = StageClock()
    let module = try model.load(clock)
    let corpus = try clock.measure("read \(data)") {
      try Corpus(path: data, module: module, seed: seed)
    }
    let build = Build(module, options, clock: clock, perfMap: reports.perfMap)
    try check(corpus.batch(step: 0), for: build.functions(["gradients"]), of: module)
    let tensors = try weights.map { try loadWeights($0, of: module, clock) }
    let compiled = try build.model(["gradients"], trains: true, pool: execution.makePool())
    if let tensors {
      try clock.measure("load weights") { try compiled.load(tensors) }
    } else {
      clock.measure("initialize") { compiled.initialize(seed: seed) }
    }
    say(
      "\(module.name): \(corpus.count) items, \(module.batch) x \(module.sequence) tokens a step, "
        + "\(compiled.pool.threads) threads")
    if reports.time { clock.report() }
    try train(compiled, module, corpus)
    guard let output else { return }
    try write(
      try compiled.parameterTensors(of: module),
      metadata: ["model": module.name, "seed": "\(seed)", "steps": "\(steps)"], to: output)
    say("weights → \(output)")
  }

  private func train(_ model: CompiledModel, _ module: Module, _ corpus: Corpus) throws {
    let settings = optimizer.settings
    var log = TrainingLog(model, module, steps: steps)
    for step in 1...steps {
      model.setInputs(try corpus.batch(step: step - 1))
      model.run("gradients")
      let outcome = model.update(settings, step: step)
      if outcome.isRefused {
        throw Diagnostic(
          "step \(step): the gradients are not finite, so the weights were left as they were",
          suggestion: "choose a smaller --rate, or look at the data of this step")
      }
      log.add(model, outcome)
      if step.isMultiple(of: logEvery) || step == 1 || step == steps { log.print(step) }
    }
  }
}

/// AdamW's settings.
struct OptimizerArguments: ParsableArguments {
  @Option(help: "The learning rate.")
  var rate: Float = 3e-4
  @Option(help: "The decay of the first moments.")
  var beta1: Float = 0.9
  @Option(help: "The decay of the second moments.")
  var beta2: Float = 0.95
  @Option(help: "Added to the root of the second moment.")
  var epsilon: Float = 1e-8
  @Option(help: "The weight decay.")
  var decay: Float = 0.1
  @Option(help: "The largest norm of all gradients together; 0 for no limit.")
  var clip: Float = 1

  func validate() throws {
    for (name, value) in [
      ("--rate", rate), ("--epsilon", epsilon), ("--decay", decay), ("--clip", clip),
    ] where !(value >= 0 && value.isFinite) {
      throw ValidationError("\(name) is at least 0, not \(value)")
    }
    for (name, value) in [("--beta1", beta1), ("--beta2", beta2)] where !(0..<1).contains(value) {
      throw ValidationError("\(name) is at least 0 and below 1, not \(value)")
    }
  }

  /// The settings of each step.
  var settings: AdamW {
    var settings = AdamW(rate: rate)
    (settings.beta1, settings.beta2, settings.epsilon) = (beta1, beta2, epsilon)
    (settings.decay, settings.clip) = (decay, clip)
    return settings
  }
}
