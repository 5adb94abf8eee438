import Foundation
import MoTIR
import Runtime

/// Pictures that a model draws for captions which it was not trained on, and captions for such pictures, in folders
/// that a corpus's own checker reads.
struct GeneratedScenes {
  /// The folder to make.
  let folder: String
  /// How many of each.
  let count: Int
  /// The shards that documents come from, with the codebooks that they were made with.
  let data: String
  /// Which documents.
  let split: ShardManifest.Split
  /// How tokens are drawn.
  let settings: SamplingSettings
  /// How continuous ones are made.
  let denoising: DenoisingSettings

  /// A document cut in two: what the model is given, and what is true of it.
  private struct Scene {
    let prompt: [Int]
    /// The continuous tokens of the prompt, by the name of their modality.
    let latents: [String: [Float]]
    let caption: String
  }

  /// What a document goes on with.
  private struct Answer {
    var tokens: [Int] = []
    /// The continuous tokens of its last span.
    var latents: [Float] = []
  }

  /// Generates everything with `model`, which was compiled from the decoder's functions of `module`.
  ///
  /// - Throws: `Diagnostic` if the shards hold no captioned pictures, `CannotRun` if files cannot be written.
  func make(with model: CompiledModel, _ module: Module) throws {
    let tokenizer = try Tokenizer(module: module, shards: data)
    guard let image = tokenizer.modality(.image), let begin = image.begin, let end = image.end,
      image.latents == nil ? tokenizer.pictures != nil : tokenizer.denoises(image)
    else { throw Diagnostic("\(data) has no pictures between markers to generate") }
    let shards = try TokenShards(folder: data, split: split, module: module)
    let (captions, pictures) = try scenes(in: shards, begin, end, module, tokenizer)
    guard !captions.isEmpty || !pictures.isEmpty else {
      throw Diagnostic("\(data) has no captioned pictures among its \(split.rawValue) documents")
    }
    let generator = Generator(module, Decoder(model, module), tokenizer, settings, denoising)
    try draw(captions, generator, tokenizer, until: end)
    try describe(pictures, generator, tokenizer)
  }

  /// Returns the first documents of `shards` that begin with a caption, cut behind the marker of their picture, and
  /// those that begin with a picture, cut behind it.
  private func scenes(
    in shards: TokenShards, _ begin: Int, _ end: Int, _ module: Module, _ tokenizer: Tokenizer
  ) throws -> (captions: [Scene], pictures: [Scene]) {
    var (captions, pictures): ([Scene], [Scene]) = ([], [])
    for number in 0..<shards.count where captions.count < count || pictures.count < count {
      let tokens = try shards.tokens(of: number)
      guard let first = tokens.firstIndex(of: begin), let last = tokens.firstIndex(of: end) else {
        continue
      }
      func scene(cutAt place: Int, _ caption: ArraySlice<Int>) throws -> Scene {
        Scene(
          prompt: Array(tokens[..<place]),
          latents: try shards.latents(of: number, 0..<place, in: module),
          caption: line(tokenizer.text(Array(caption))))
      }
      if first > 0, captions.count < count {
        captions.append(try scene(cutAt: first + 1, tokens[...first]))
      } else if first == 0, last + 1 < tokens.count, pictures.count < count {
        pictures.append(try scene(cutAt: last + 1, tokens[(last + 1)...]))
      }
    }
    return (captions, pictures)
  }

  /// Draws a picture for each caption: `captions.txt`, `pictures/000000.png` and so on.
  private func draw(
    _ scenes: [Scene], _ generator: Generator, _ tokenizer: Tokenizer, until end: Int
  ) throws {
    // Continuous tokens come all at once, with their last marker.
    let limit = (tokenizer.pictures?.tokens ?? 0) + 1
    let drawn = try generate(scenes, generator, limit: limit) { $0.last != end }
    try makeFolder("pictures")
    var lines = ""
    for (number, answer) in drawn.enumerated() {
      let name = "pictures/\(numbered(number, digits: 6)).png"
      let picture = picture(answer.tokens, answer.latents, tokenizer)
      try write(try picture.png(), to: name)
      lines += "\(name)\t\(scenes[number].caption)\n"
    }
    try write(Array(lines.utf8), to: "captions.txt")
  }

  /// Says what is on each picture: `said/captions.txt`, with `said/truth.txt` and the pictures beside it.
  private func describe(
    _ scenes: [Scene], _ generator: Generator, _ tokenizer: Tokenizer
  ) throws {
    let newline = try tokenizer.tokens(text: "\n")[0]
    let said = try generate(scenes, generator, limit: 128) { $0.last != newline }
    try makeFolder("said/pictures")
    var (lines, truth) = ("", "")
    for (scene, (number, answer)) in zip(scenes, said.enumerated()) {
      let name = "pictures/\(numbered(number, digits: 6)).png"
      let numbers = scene.latents[Tokenizer.Kind.image.rawValue] ?? []
      try write(try picture(scene.prompt, numbers, tokenizer).png(), to: "said/\(name)")
      lines += "\(name)\t\(line(tokenizer.text(answer.tokens)))\n"
      truth += "\(name)\t\(scene.caption)\n"
    }
    try write(Array(lines.utf8), to: "said/captions.txt")
    try write(Array(truth.utf8), to: "said/truth.txt")
  }

  /// Returns what each scene goes on with, while `goesOn` is true of it.
  private func generate(
    _ scenes: [Scene], _ generator: Generator, limit: Int, while goesOn: ([Int]) -> Bool
  ) throws -> [Answer] {
    var results = scenes.map { _ in Answer() }
    for first in stride(from: 0, to: scenes.count, by: generator.sequences) {
      let end = min(scenes.count, first + generator.sequences)
      try generator.run(
        scenes[first..<end].map(\.prompt), latents: scenes[first..<end].map(\.latents),
        numberedFrom: first, limit: limit,
        takeBlock: { number, latents in results[number].latents = latents },
        { number, token in
          results[number].tokens.append(token)
          return goesOn(results[number].tokens)
        })
    }
    return results
  }

  /// Returns the picture of the first image tokens among `tokens`, or of `latents` if its tokens are continuous.
  private func picture(_ tokens: [Int], _ latents: [Float], _ tokenizer: Tokenizer) -> Picture {
    tokenizer.grid?.picture(of: latents) ?? tokenizer.picture(tokens)
  }

  // MARK: Files

  /// Returns `text` as a line of captions has it.
  private func line(_ text: String) -> String {
    var stream = TextStream()
    let shown = text.utf8.map { stream.append($0) }.joined() + stream.flush()
    return String(shown.map { $0.isNewline || $0 == "\t" ? " " : $0 })
      .trimmingCharacters(in: .whitespaces)
  }

  private func makeFolder(_ name: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    } catch {
      throw CannotRun(Diagnostic("cannot make the folder \(folder)/\(name)"))
    }
  }

  private func write(_ bytes: [UInt8], to name: String) throws {
    try Output("\(folder)/\(name)").write(bytes)
  }
}
