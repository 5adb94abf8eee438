import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// `motc generate`: text, pictures and speech from a trained model.
struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Goes on with a text, draws a picture for it, or says what a picture shows.",
    discussion: """
      A document begins with --picture or --speech, then --prompt; --begin opens a span of another modality behind \
      them. Text goes to stdout as it comes; pictures are PNG files, and speech is WAV files. What comes next is \
      drawn from the tokens that may come next: inside of a span the codes of its modality, outside of one text, or \
      a span's beginning. A picture of continuous tokens is made of noise, in --steps steps.

      Examples:
        motc generate model.swift-spec --weights run/latest/weights.safetensors --prompt "a red circle on white" \
      --begin image -o circle.png
        motc generate model.swift-spec --weights run/latest/weights.safetensors --picture circle.png
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments
  @OptionGroup var sampling: SamplingArguments
  @OptionGroup(title: "Continuous tokens") var denoising: DenoisingArguments

  @Option(help: ArgumentHelp("The parameters.", valueName: "file"), completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp(
      "The shards whose codebooks the model was trained with; by default those of the run that the weights are in.",
      valueName: "folder"), completion: .directory)
  var data: String?

  @Option(help: "Text to go on with, or to draw.")
  var prompt = ""

  @Option(
    help: ArgumentHelp("A PNG file that the document begins with.", valueName: "file"),
    completion: .file(extensions: ["png"]))
  var picture: String?

  @Option(
    help: ArgumentHelp("A WAV file that the document begins with.", valueName: "file"),
    completion: .file(extensions: ["wav"]))
  var speech: String?

  @Option(
    help: ArgumentHelp("Go on in this modality: a span of it is opened.", valueName: "modality"))
  var begin: String?

  @Option(help: "The most tokens to generate.")
  var tokens = 256

  @Option(
    help: ArgumentHelp(
      "End behind this text, \\n for a newline; by default a caption ends with its line, and other text with --tokens.",
      valueName: "text"))
  var stop: String?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "The file for a picture or for speech; further ones get numbers, and PNG and WAV files their own endings.",
      valueName: "file"),
    completion: .file())
  var output: String?

  @Flag(help: "Print the time of each stage to stderr.")
  var time = false

  func validate() throws {
    guard tokens >= 1 else { throw ValidationError("--tokens is at least 1, not \(tokens)") }
    guard picture != nil || speech != nil || !prompt.isEmpty || begin != nil else {
      throw ValidationError(
        "give --prompt, --picture, --speech or --begin: a document begins with something")
    }
    guard stop != "" else { throw ValidationError("--stop is not empty") }
    guard output != "-" else {
      throw ValidationError("--output is a file: text alone goes to stdout")
    }
  }

  func run() throws {
    let options = try compile.optionsToRun()
    if options.disabled.contains(Switch.generatedMatmul.name) { useOwnOpenBLASKernels() }
    if let path = output ?? begin.map({ _ in "generated" }) { try requireWritable(path) }
    let clock = StageClock()
    let sequences = denoising.settings.guidance == 1 ? 1 : 2
    let module = try model.load(clock, batch: sequences, sequence: 64, context: .ofModel)
    guard module.batch == sequences else {
      throw Diagnostic(
        "motc generate makes one document"
          + (sequences == 2 ? ", in two sequences for --guidance" : "")
          + ", not a batch of \(module.batch)",
        suggestion: model.batch == nil
          ? "write the text with motc compile --batch \(sequences)" : "leave --batch out")
    }
    try module.requireGeneration()
    let codebooks = Codebooks(data, weights: weights)
    let tokenizer = try codebooks.tokenizer(of: module)
    let document = try Prompt(self, module, tokenizer)
    try module.requireRoom(for: document.tokens.count)
    let tensors = try loadWeights(weights, of: module, clock)
    let build = Build(module, options, clock: clock)
    let compiled = try build.model(
      Decoder.functions(of: module), trains: false, pool: execution.makePool())
    try compiled.load(tensors)
    let generator = Generator(
      module, Decoder(compiled, module), tokenizer, sampling.settings, denoising.settings)
    var writer = DocumentWriter(module, tokenizer, output: output, stop: stopText)
    try clock.measure("generate") { try writer.write(from: generator, document, limit: tokens) }
    if time { clock.report() }
  }

  /// What ends the document.
  private var stopText: String? {
    if let stop { return stop.replacing("\\n", with: "\n") }
    return (picture ?? speech) != nil && begin == nil ? "\n" : nil
  }
}

/// How tokens are drawn.
struct SamplingArguments: ParsableArguments {
  @Option(help: "What logits are divided by: below 1 for likelier tokens, 0 for the likeliest.")
  var temperature = 1.0

  @Option(name: .customLong("top-k"), help: "Draw from this many of the likeliest tokens.")
  var topK: Int?

  @Option(
    name: .customLong("top-p"),
    help: "Draw from the likeliest tokens that have this probability together.")
  var topP = 1.0

  @Option(help: "Equal seeds draw equal tokens.")
  var seed: UInt64 = 0

  func validate() throws {
    guard temperature >= 0, temperature.isFinite else {
      throw ValidationError("--temperature is 0 or above, not \(temperature)")
    }
    if let topK, topK < 1 { throw ValidationError("--top-k is at least 1, not \(topK)") }
    guard topP > 0, topP <= 1 else {
      throw ValidationError("--top-p is above 0 and at most 1, not \(topP)")
    }
  }

  /// The settings of a sampler.
  var settings: SamplingSettings {
    SamplingSettings(temperature: temperature, topK: topK, topP: topP, seed: seed)
  }
}

/// How continuous tokens are made of noise.
struct DenoisingArguments: ParsableArguments {
  @Option(help: "Steps from noise to a picture.")
  var steps = 50

  @Option(
    help:
      "How far the text before a picture is followed: 1 as the model has it, above more, 0 not at all."
  )
  var guidance = 1.0

  @Option(
    help: "The share of new noise in each step: 0 for none (DDIM, Euler), 1 for that of DDPM.")
  var eta = 0.0

  func validate() throws {
    guard 1...100_000 ~= steps else {
      throw ValidationError("--steps is 1 to 100000, not \(steps)")
    }
    guard guidance >= 0, guidance.isFinite else {
      throw ValidationError("--guidance is 0 or above, not \(guidance)")
    }
    guard (0...1).contains(eta) else { throw ValidationError("--eta is 0 to 1, not \(eta)") }
  }

  /// The settings of a denoiser.
  var settings: DenoisingSettings {
    DenoisingSettings(steps: steps, guidance: guidance, eta: eta)
  }
}
