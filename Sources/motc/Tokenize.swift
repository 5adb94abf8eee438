import ArgumentParser
import MoTIR
import Runtime

/// `motc tokenize`: items as the batch that a training step would see.
struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a batch of captioned pictures or speech as tensors.",
    discussion: """
      The batch is the one that motc train takes at the same step with the same seed. It holds tokens, \
      modality, targets, positions, documents and segments, i32 [B, S] each.

      Examples:
        motc tokenize examples/chameleon.swift-spec --data examples/data -o batch.safetensors
        motc tokenize model.swift-spec --data items --step 7 --batch 1 -o step-7.safetensors
      """)

  @OptionGroup var model: ModelArguments

  @Option(
    help: ArgumentHelp("The folder: captions.txt and the items it names.", valueName: "folder"))
  var data: String

  @Option(help: "The step, from 0, whose batch it is.")
  var step = 0

  @Option(help: "Equal seeds give equal batches.")
  var seed: UInt64 = 0

  @Option(name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"))
  var output: String

  func validate() throws {
    guard step >= 0 else { throw ValidationError("--step is at least 0, not \(step)") }
  }

  func run() throws {
    let module = try model.load(StageClock())
    let corpus = try Corpus(path: data, module: module, seed: seed)
    let batch = try corpus.batch(step: step)
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
