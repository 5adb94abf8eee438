import ArgumentParser
import MoTIR
import Runtime

/// `motc convert`: weights under other names.
struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turns checkpoints of other projects into motc's, and back.",
    discussion: """
      A scheme of names says how another project calls each tensor of SPEC, and lays it out: hf (one set of weights, \
      as in the transformers library), moe-gen (BAGEL), list (the code of the paper on mixtures of transformers), or \
      a file of YAML, which docs/checkpoints.md describes. Numbers stay what they are, to the bit; there and back \
      gives the file that was. Whatever is missing, unexpected or misshapen is listed, and nothing is written then.

      Examples:
        motc convert model.swift-spec --weights model.safetensors.index.json --names hf -o w.safetensors
        motc convert model.swift-spec --weights w.safetensors --to --map names.yaml -o theirs.safetensors
      """)

  /// Which way it goes.
  enum Direction: EnumerableFlag {
    /// The input has the other project's names.
    case from
    /// The output gets them.
    case to

    static func help(for value: Direction) -> ArgumentHelp? {
      switch value {
      case .from: "The files have these names, and motc's are written (the default)."
      case .to: "The files have motc's names, and these are written."
      }
    }
  }

  @OptionGroup var model: ModelArguments

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "The parameters: one or several .safetensors, or a .safetensors.index.json.",
      valueName: "file"), completion: .file())
  var weights: [String]

  @Option(help: "The other project's names: hf, moe-gen or list.")
  var names: String?

  @Option(help: ArgumentHelp("A YAML file of names.", valueName: "file"), completion: .file())
  var map: String?

  @Flag(exclusivity: .exclusive) var direction = Direction.from

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"),
    completion: .file())
  var output: String

  func validate() throws {
    guard (names == nil) != (map == nil) else {
      throw ValidationError("give one of --names and --map")
    }
    if let names, !NameScheme.known.contains(names) {
      throw ValidationError(
        "--names is one of \(NameScheme.known.joined(separator: ", ")), not '\(names)'")
    }
    guard weights.count == 1 || !weights.contains(where: Self.isIndex) else {
      throw ValidationError("an index names all files: give nothing beside it")
    }
  }

  func run() throws {
    let clock = StageClock()
    let scheme =
      try map.map { path throws(Diagnostics) in try NameScheme(path: path) }
      ?? NameScheme(named: names ?? "")
    try requireWritable(output)
    let module = try model.load(clock)
    let table = try NameTable(module, scheme)
    let files =
      try weights.count == 1 && Self.isIndex(weights[0])
      ? WeightIndex.read(weights[0]) : SafetensorsReader(paths: weights)
    let tensors = try clock.measure("convert") {
      direction == .from ? try table.ours(from: files) : try table.theirs(from: files)
    }
    var metadata = Dictionary(files.metadata.map { ($0.key, $0.value) }) { first, _ in first }
    // The transformers library reads no file without it.
    metadata["format"] = direction == .to ? "pt" : nil
    try clock.measure("write") { try write(tensors, metadata: metadata, to: output) }
    let count = tensors.reduce(0) { $0 + $1.count }
    say("\(module.name): \(grouped(count)) parameters in \(tensors.count) tensors → \(output)")
  }

  /// `true` iff the file at `path` lists others.
  private static func isIndex(_ path: String) -> Bool { path.hasSuffix(".json") }
}
