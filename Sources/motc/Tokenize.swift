import ArgumentParser
import MoTIR
import Runtime

/// `motc tokenize`: files as shards of tokens.
struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turns a folder of captioned pictures, speech or text into shards of tokens.",
    discussion: """
      The folder has captions.txt with lines FILE<TAB>CAPTION (or manifest.json) and the PNG and WAV files that it \
      names, or text files *.txt alone; speech-units.txt may have the units of each caption's speech in place of WAV \
      files. Modalities called text, image and speech take what is theirs. Text is bytes. A picture is a square of \
      patches, speech a row of units, 25 a second and repeats removed, each the number of the nearest one of a \
      codebook; codebooks are learned from the files and kept with the shards. Where image is a modality of \
      latents, its tokens are the patches themselves, in levels from -1 to 1.

      Examples:
        motc tokenize examples/chameleon.swift-spec --data examples/data -o shards
        motc tokenize model.swift-spec --data more --codebook shards/pictures.safetensors -o more-shards
        motc tokenize examples/spoken-shapes.swift-spec --data spoken --together -o spoken-shards
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

  @Option(
    help: ArgumentHelp(
      "What pictures are made of: patches of a codebook, or pixels of 64 colours. (default: codebook)"
    ))
  var pictures: Pictures?

  @Option(
    help: ArgumentHelp(
      "Take this codebook of pictures, with its sizes, and learn none.", valueName: "file"),
    completion: .file())
  var codebook: String?

  @Option(
    help: ArgumentHelp("Take this codebook of speech and learn none.", valueName: "file"),
    completion: .file())
  var speechCodebook: String?

  @Option(help: "Patches in a row of a picture, and rows of them. (default: 8)")
  var side: Int?

  @Option(help: "Pixels in a row of a patch, and rows of them. (default: 4)")
  var patch: Int?

  @Option(help: "Documents with text first, content first, or one of each.")
  var order = Order.both

  @Flag(
    help: ArgumentHelp(
      """
      Make one item of a picture and speech of one name, but for folder and ending, and one caption: text, picture and \
      speech, or speech, text and picture.
      """))
  var together = false

  @Option(
    help: "The share of texts, with all that goes with them, that is held back for validation.")
  var validation = 0.05

  @Option(help: "Equal seeds give equal codebooks and hold back the same texts.")
  var seed: UInt64 = 0

  func validate() throws {
    guard 1...64 ~= side ?? 8, 1...64 ~= patch ?? 4 else {
      throw ValidationError("--side and --patch are 1 to 64")
    }
    guard codebook == nil || (side == nil && patch == nil && pictures == nil) else {
      throw ValidationError(
        "--codebook says what pictures are made of: leave out --side, --patch and --pictures")
    }
    guard (0..<1).contains(validation) else {
      throw ValidationError("--validation is at least 0 and below 1, not \(validation)")
    }
  }

  func run() throws {
    let clock = StageClock()
    let module = try model.load(clock)
    let plain = Tokenizer(module: module)
    let files = try CorpusFolder(path: data).items(
      pictures: plain.modality(.image) != nil, speech: plain.modality(.speech) != nil)
    let items = together ? CorpusItem.joined(files) : files
    // Before codebooks are learned, which takes the longest.
    var writer = try ShardWriter(folder: output, module: module)
    let tokenizer = try clock.measure("codebook") {
      Tokenizer(
        module: module, pictures: try pictureCodebook(for: items, plain),
        speech: try speechCodebook(for: items, plain), grid: try grid(plain))
    }
    try clock.measure("tokenize") {
      for item in items {
        let random = CounterRandom(seed: seed, name: item.text)
        let split: ShardManifest.Split = random.uniform(0) <= validation ? .validation : .train
        let documents = try tokenizer.documents(of: item, textFirst: order.textFirst)
        for (document, textFirst) in zip(documents, order.textFirst) {
          let latents = try tokenizer.latents(of: item, textFirst: textFirst)
          try CannotRun.unless { try writer.append(document, latents: latents, to: split) }
        }
      }
    }
    let manifest = try writer.finish(
      pictures: tokenizer.pictures, speech: tokenizer.speech, grid: tokenizer.grid)
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

  /// Returns how pictures are cut if they are continuous tokens; `nil` if they are not.
  private func grid(_ tokenizer: Tokenizer) throws -> PatchGrid? {
    guard let image = tokenizer.modality(.image), image.isPictures else { return nil }
    guard codebook == nil, pictures == nil else {
      throw Diagnostic(
        "the tokens of modality '\(image.name)' are patches themselves, and need no codebook",
        suggestion: "leave --codebook and --pictures out")
    }
    return PatchGrid(side: side ?? 8, patch: patch ?? 4)
  }

  /// Returns the codebook that is given, or that the pictures among `items` are coded by; `nil` if there are none.
  private func pictureCodebook(
    for items: [CorpusItem], _ tokenizer: Tokenizer
  ) throws -> PictureCodebook? {
    let paths = items.flatMap(\.contents).compactMap { content in
      if case .picture(let path) = content { path } else { nil }
    }
    if let codebook { return try PictureCodebook(path: codebook) }
    guard let image = tokenizer.modality(.image), !image.isPictures, !paths.isEmpty else {
      return nil
    }
    let (side, patch) = (side ?? 8, patch ?? 4)
    guard pictures != .palette else { return .palette(side: side * patch) }
    let sample = try VectorSample(of: paths, width: 3 * patch * patch, seed: seed) { path in
      PictureCodebook.patches(of: try CorpusFolder.picture(at: path), side: side, patch: patch)
    }
    return PictureCodebook.learned(
      from: sample.values, side: side, patch: patch, count: image.vocabulary.count, seed: seed)
  }

  /// Returns the codebook that is given, or that the recordings among `items` are coded by; `nil` if there are none.
  private func speechCodebook(
    for items: [CorpusItem], _ tokenizer: Tokenizer
  ) throws -> SpeechCodebook? {
    let paths = items.flatMap(\.contents).compactMap { content in
      if case .recording(let path) = content { path } else { nil }
    }
    if let speechCodebook { return try SpeechCodebook(path: speechCodebook) }
    guard let speech = tokenizer.modality(.speech), !paths.isEmpty else { return nil }
    return try SpeechCodebook.learned(from: paths, count: speech.vocabulary.count, seed: seed)
  }
}
