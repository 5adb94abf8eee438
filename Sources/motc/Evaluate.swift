import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// `motc eval`: how well a model knows what it was not trained on.
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measures loss and perplexity by modality, and what a model draws and says.",
    discussion: """
      Losses are means over the targets of a modality, in nats, of the documents that are held back; of continuous \
      tokens they are the mean square of what is wrong with the noise, and have no perplexity. With --generate \
      the model also draws a picture for each of so many held-back captions, and says what it sees on as many \
      held-back pictures: --out gets captions.txt with the pictures, and said/captions.txt with what it said. \
      --checker names a program that scores the first folder, and the second by --truth with the first one's captions.

      Examples:
        motc eval model.swift-spec --weights run/best/weights.safetensors --data shards
        motc eval examples/shapes.swift-spec --weights run/best/weights.safetensors --data shards --generate 100 \
      --out drawn --checker examples/shapes/check.py
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments
  @OptionGroup var sampling: SamplingArguments
  @OptionGroup(title: "Continuous tokens") var denoising: DenoisingArguments

  @Option(help: ArgumentHelp("The parameters.", valueName: "file"), completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp("The folder of shards (motc tokenize).", valueName: "folder"),
    completion: .directory)
  var data: String

  @Option(help: "Which documents: validation or train.")
  var split = ShardManifest.Split.validation

  @Option(help: "The most batches to measure losses on.")
  var batches = 64

  @Option(help: "Draw and describe so many documents too.")
  var generate: Int?

  @Option(
    help: ArgumentHelp("The folder to make for what is generated.", valueName: "folder"),
    completion: .directory)
  var out: String?

  @Option(
    help: ArgumentHelp("A program that scores what was generated.", valueName: "file"),
    completion: .file())
  var checker: String?

  @Option(
    help: ArgumentHelp("Write the results here too.", valueName: "file"), completion: .file())
  var json: String?

  func validate() throws {
    guard batches >= 0 else { throw ValidationError("--batches is at least 0, not \(batches)") }
    if let generate, generate < 1 {
      throw ValidationError("--generate is at least 1, not \(generate)")
    }
    guard (generate == nil) == (out == nil) else {
      throw ValidationError("--generate and --out stand together")
    }
    guard checker == nil || generate != nil else {
      throw ValidationError("--checker scores what --generate makes")
    }
  }

  func run() throws {
    let options = try compile.optionsToRun()
    if options.disabled.contains(Switch.generatedMatmul.name) { useOwnOpenBLASKernels() }
    if let json, json != "-" { try requireWritable(json) }
    let clock = StageClock()
    let pool = execution.makePool()
    var results = EvaluationResults()
    if batches > 0 {
      results.losses = try losses(options, clock, pool)
      try Output(nil).write(results.lossTable)
    }
    if let generate, let out {
      let scene = GeneratedScenes(
        folder: out, count: generate, data: data, split: split, settings: sampling.settings,
        denoising: denoising.settings)
      let module = try generatingModule(clock)
      let tensors = try loadWeights(weights, of: module, clock)
      let compiled = try Build(module, options, clock: clock)
        .model(Decoder.functions(of: module), trains: false, pool: pool)
      try compiled.load(tensors)
      try scene.make(with: compiled, module)
      if let checker { results.scores = try Checker(path: checker).scores(of: out) }
      try Output(nil).write(results.scoreText)
    }
    guard let json else { return }
    try Output(json).write(try results.json())
  }

  /// Returns the model at the sizes at which documents are made.
  private func generatingModule(_ clock: StageClock) throws -> Module {
    let module = try model.load(clock, batch: 8, sequence: 64, context: .ofModel)
    try module.requireGeneration()
    guard denoising.settings.guidance == 1 || module.batch > 1 else {
      throw Diagnostic(
        "--guidance takes two sequences a document, and the batch has 1",
        suggestion: model.batch == nil
          ? "write the text with motc compile --batch 2" : "give --batch 2 or more")
    }
    return module
  }

  /// Returns the losses of the documents, by modality.
  private func losses(
    _ options: CompileOptions, _ clock: StageClock, _ pool: ThreadPool
  ) throws -> [Validation.Loss] {
    var module = try model.load(clock)
    module.functions = [try module.lossByModality()]
    let shards = try TokenShards(folder: data, split: split, module: module)
    try shards.requireDocuments()
    let tensors = try loadWeights(weights, of: module, clock)
    let compiled = try Build(module, options, clock: clock)
      .model(["loss"], trains: false, pool: pool)
    try compiled.load(tensors)
    return try Validation(shards, module, batches: batches, by: .modalities)
      .measureParts(compiled)
  }
}

extension ShardManifest.Split: ExpressibleByArgument {}
