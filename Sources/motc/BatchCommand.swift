import ArgumentParser
import MoTIR
import Runtime

/// `motc batch`: a batch of a corpus as tensors.
struct BatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "batch",
    abstract: "Writes a batch of a folder of shards as tensors.",
    discussion: """
      The batch is the one that motc train takes at the same step with the same seed. It holds tokens, \
      modality, targets, positions, documents and segments, i32 [B, S] each.

      Examples:
        motc batch examples/chameleon.swift-spec --data shards -o batch.safetensors
        motc batch model.swift-spec --data shards --step 7 --batch 1 -o step-7.safetensors
      """)

  @OptionGroup var model: ModelArguments

  @Option(
    help: ArgumentHelp("The folder of shards (motc tokenize).", valueName: "folder"),
    completion: .directory)
  var data: String

  @Option(help: "The step, from 1, whose batch it is.")
  var step = 1

  @Option(help: "Equal seeds give equal batches.")
  var seed: UInt64 = 0

  @Option(
    name: .customLong("condition-dropout"),
    help: "The setting of motc train: pictures that have lost the text before them are documents.")
  var conditionDropout = 0.0

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"),
    completion: .file())
  var output: String

  func validate() throws {
    guard step >= 1 else { throw ValidationError("--step is at least 1, not \(step)") }
    guard (0...1).contains(conditionDropout) else {
      throw ValidationError("--condition-dropout is 0 to 1, not \(conditionDropout)")
    }
  }

  func run() throws {
    let module = try model.load(StageClock())
    let shards = try TokenShards(folder: data, split: .train, module: module)
    var source = try BatchSource(
      shards, module: module, seed: seed, dropout: ConditionDropout(conditionDropout, of: module))
    var batch = try source.next()
    for _ in 1..<step { batch = try source.next() }
    try write(
      try batch.tensors(),
      metadata: ["model": module.name, "seed": "\(seed)", "step": "\(step)"], to: output)
    let counts = module.modalities.indices.map { index in
      let count = batch.modality.count { $0 == Int32(index) }
      return "\(grouped(count)) \(module.modalities[index].name)"
    }
    say(
      "\(module.name): \(module.batch) x \(module.sequence) tokens, "
        + "\(counts.joined(separator: ", ")) → \(output)")
  }
}
