import ArgumentParser
import MoTIR
import Runtime

/// `motc tokenize`: files as shards of tokens.
struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turns a folder of captioned pictures, speech or text into shards of tokens.",
    discussion: """
      The folder has captions.txt with lines FILE<TAB>CAPTION (or manifest.json) and the PNG files that it names, \
      speech-units.txt with the units of each caption's speech, or text files *.txt alone. Modalities called text, \
      image and speech take what is theirs. Text is bytes; a picture is a square of patches, each the number of \
      the nearest one of a codebook, which is learned from the pictures and kept with the shards.

      Examples:
        motc tokenize examples/chameleon.swift-spec --data examples/data -o shards
        motc tokenize model.swift-spec --data more --codebook shards/pictures.safetensors -o more-shards
      """)

  /// What patches are made of.
  enum Pictures: String, ExpressibleByArgument, CaseIterable {
    /// Patches that are learned by k-means.
    case codebook
    /// Single pixels of 64 colours.
    case palette
  }

  /// In which order a document has its text and its content.
  enum Order: String, ExpressibleByArgument, CaseIterable {
    case both
    case textFirst = "text-first"
    case contentFirst = "content-first"

    /// `true` for each document that is made of an item, iff it begins with the text.
    var textFirst: [Bool] {
      switch self {
      case .both: [true, false]
      case .textFirst: [true]
      case .contentFirst: [false]
      }
    }
  }

  @OptionGroup var model: ModelArguments

  @Option(help: ArgumentHelp("The folder of files.", valueName: "folder"), completion: .directory)
  var data: String

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The folder to make.", valueName: "folder"),
    completion: .directory)
  var output: String

  @Option(help: "What pictures are made of: patches of a codebook, or pixels of 64 colours.")
  var pictures = Pictures.codebook

  @Option(
    help: ArgumentHelp("Take this codebook and learn none.", valueName: "file"), completion: .file()
  )
  var codebook: String?

  @Option(help: "Patches in a row of a picture, and rows of them.")
  var side = 8

  @Option(help: "Pixels in a row of a patch, and rows of them.")
  var patch = 4

  @Option(help: "Documents with text first, content first, or one of each.")
  var order = Order.both

  @Option(
    help: "The share of texts, with all that goes with them, that is held back for validation.")
  var validation = 0.05

  @Option(help: "Equal seeds give equal codebooks and hold back the same texts.")
  var seed: UInt64 = 0

  func validate() throws {
    guard 1...64 ~= side, 1...64 ~= patch else {
      throw ValidationError("--side and --patch are 1 to 64")
    }
    guard (0..<1).contains(validation) else {
      throw ValidationError("--validation is at least 0 and below 1, not \(validation)")
    }
  }

  func run() throws {
    let clock = StageClock()
    let module = try model.load(clock)
    let plain = Tokenizer(module: module)
    let items = try CorpusFolder(path: data).items(
      pictures: plain.modality(.image) != nil, speech: plain.modality(.speech) != nil)
    let codebook = try clock.measure("codebook") { try self.codebook(for: items, plain) }
    let tokenizer = Tokenizer(module: module, pictures: codebook)
    var writer = try ShardWriter(folder: output, module: module)
    try clock.measure("tokenize") {
      for item in items {
        let random = CounterRandom(seed: seed, name: item.text)
        let split: ShardManifest.Split = random.uniform(0) <= validation ? .validation : .train
        for textFirst in order.textFirst {
          let document = try tokenizer.document(item, textFirst: textFirst)
          try CannotRun.unless { try writer.append(document, to: split) }
          // Text alone has one order.
          if item.content == .none { break }
        }
      }
    }
    let manifest = try writer.finish(pictures: codebook)
    report(manifest, items.count)
  }

  private func report(_ manifest: ShardManifest, _ items: Int) {
    func text(_ shards: [ShardManifest.Shard]) -> String {
      "\(grouped(shards.reduce(0) { $0 + $1.documents })) documents, "
        + "\(grouped(shards.reduce(0) { $0 + $1.tokens })) tokens"
    }
    say(
      "\(data): \(grouped(items)) items → \(output): \(text(manifest.train)) to train on, "
        + "\(text(manifest.validation)) held back")
  }

  /// Returns the codebook that the pictures among `items` are coded by; `nil` if there are none.
  private func codebook(
    for items: [CorpusItem], _ tokenizer: Tokenizer
  ) throws -> PictureCodebook? {
    let paths = items.compactMap { item in
      if case .picture(let path) = item.content { path } else { nil }
    }
    guard let image = tokenizer.modality(.image), !paths.isEmpty else { return nil }
    if let codebook { return try PictureCodebook(path: codebook) }
    guard pictures == .codebook else { return .palette(side: side * patch) }
    // Enough pictures for the patches that are learned from, from all over the corpus.
    let most = max(1, PictureCodebook.sampleLimit / (side * side))
    let chosen = stride(from: 0, to: paths.count, by: (paths.count + most - 1) / most)
    let patches = try chosen.flatMap { index in
      PictureCodebook.patches(
        of: try CorpusFolder.picture(at: paths[index]), side: side, patch: patch)
    }
    return PictureCodebook.learned(
      from: patches, side: side, patch: patch, count: image.vocabulary.count, seed: seed)
  }
}
