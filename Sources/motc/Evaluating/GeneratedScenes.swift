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

  /// A document cut in two: what the model is given, and what is true of it.
  private struct Scene {
    let prompt: [Int]
    let caption: String
  }

  /// Generates everything with `model`, which was compiled from the decoder's functions of `module`.
  ///
  /// - Throws: `Diagnostic` if the shards hold no captioned pictures, `CannotRun` if files cannot be written.
  func make(with model: CompiledModel, _ module: Module) throws {
    let tokenizer = try Tokenizer(module: module, shards: data)
    guard let image = tokenizer.modality(.image), let begin = image.begin, let end = image.end,
      tokenizer.pictures != nil
    else { throw Diagnostic("\(data) has no pictures between markers to generate") }
    let shards = try TokenShards(folder: data, split: split, module: module)
    var (captions, pictures): ([Scene], [Scene]) = ([], [])
    for number in 0..<shards.count where captions.count < count || pictures.count < count {
      let tokens = try shards.tokens(of: number)
      guard let first = tokens.firstIndex(of: begin), let last = tokens.firstIndex(of: end) else {
        continue
      }
      if first > 0, captions.count < count {
        let prompt = Array(tokens[...first])
        captions.append(Scene(prompt: prompt, caption: line(tokenizer.text(prompt))))
      } else if first == 0, last + 1 < tokens.count, pictures.count < count {
        let caption = tokenizer.text(Array(tokens[(last + 1)...]))
        pictures.append(Scene(prompt: Array(tokens[...last]), caption: line(caption)))
      }
    }
    guard !captions.isEmpty || !pictures.isEmpty else {
      throw Diagnostic("\(data) has no captioned pictures among its \(split.rawValue) documents")
    }
    let generator = Generator(module, Decoder(model, module), tokenizer, settings)
    try draw(captions, generator, tokenizer, until: end)
    try describe(pictures, generator, tokenizer)
  }

  /// Draws a picture for each caption: `captions.txt`, `pictures/000000.png` and so on.
  private func draw(
    _ scenes: [Scene], _ generator: Generator, _ tokenizer: Tokenizer, until end: Int
  ) throws {
    guard let pictures = tokenizer.pictures else { return }
    let drawn = try generate(scenes, generator, limit: pictures.tokens + 1) { $0.last != end }
    try makeFolder("pictures")
    var lines = ""
    for (number, tokens) in drawn.enumerated() {
      let name = "pictures/\(numbered(number, digits: 6)).png"
      try write(try tokenizer.picture(tokens).png(), to: name)
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
    for (number, tokens) in said.enumerated() {
      let name = "pictures/\(numbered(number, digits: 6)).png"
      try write(try tokenizer.picture(scenes[number].prompt).png(), to: "said/\(name)")
      lines += "\(name)\t\(line(tokenizer.text(tokens)))\n"
      truth += "\(name)\t\(scenes[number].caption)\n"
    }
    try write(Array(lines.utf8), to: "said/captions.txt")
    try write(Array(truth.utf8), to: "said/truth.txt")
  }

  /// Returns what each scene goes on with, while `goesOn` is true of it.
  private func generate(
    _ scenes: [Scene], _ generator: Generator, limit: Int, while goesOn: ([Int]) -> Bool
  ) throws -> [[Int]] {
    var results = scenes.map { _ in [Int]() }
    for first in stride(from: 0, to: scenes.count, by: generator.sequences) {
      let end = min(scenes.count, first + generator.sequences)
      try generator.run(
        scenes[first..<end].map(\.prompt), numberedFrom: first, limit: limit
      ) { number, token in
        results[number].append(token)
        return goesOn(results[number])
      }
    }
    return results
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
