internal import Foundation
package import MoTIR

/// What a folder of token shards holds, as its `manifest.json` says.
///
/// A shard is a safetensors file with `tokens` I32 [N], document after document, and `ends` I32 [D], the end of
/// each document in it, and `latents.NAME` F32 [T, C], the tokens of a continuous modality, one after another.
package struct ShardManifest: Codable, Hashable, Sendable {
  /// A modality, as the spec that the tokens were made for declares it.
  package struct Modality: Codable, Hashable, Sendable {
    /// The name.
    package let name: String
    /// The first and the last id of its vocabulary.
    package let first: Int
    package let last: Int
    /// The numbers of a token, if tokens are continuous.
    package let latents: Int?
    /// The ids that open and close a span.
    package let begin: Int?
    package let end: Int?
  }

  /// A file of documents.
  package struct Shard: Codable, Hashable, Sendable {
    /// The name of the file, in the folder.
    package let file: String
    /// How many documents it has.
    package let documents: Int
    /// How many tokens they have together.
    package let tokens: Int
    /// The digest of the file.
    let sha256: String
  }

  /// The codebook of pictures or of speech.
  struct Codebook: Codable, Hashable, Sendable {
    /// The name of the file, in the folder.
    let file: String
    /// The digest of the file.
    let sha256: String
  }

  /// Which documents are held back.
  package enum Split: String, Hashable, Sendable, CaseIterable {
    case train
    case validation
  }

  /// The name of the file.
  static let fileName = "manifest.json"
  /// The form that this motc writes and reads.
  private static let currentVersion = 1

  /// The form of the folder.
  private let version: Int
  /// The modalities, in the spec's order.
  let modalities: [Modality]
  /// The codebook of pictures, if there are any.
  let pictures: Codebook?
  /// The codebook of speech, if there are recordings.
  let speech: Codebook?
  /// How pictures are cut, if they are continuous tokens.
  let grid: Codebook?
  /// What is trained on.
  package let train: [Shard]
  /// What is held back.
  package let validation: [Shard]

  init(
    _ module: Module, pictures: Codebook?, speech: Codebook?, grid: Codebook?, train: [Shard],
    validation: [Shard]
  ) {
    version = Self.currentVersion
    modalities = module.modalities.map(Modality.init)
    self.pictures = pictures
    self.speech = speech
    self.grid = grid
    self.train = train
    self.validation = validation
  }

  /// Reads the manifest of the folder at `path`.
  ///
  /// - Throws: `Diagnostic` if there is none, or it is of another form.
  package init(folder path: String) throws(Diagnostic) {
    let file = "\(path)/\(Self.fileName)"
    let bytes = try MappedFile.contents(file, limit: 16 << 20)
    do {
      self = try JSONDecoder().decode(ShardManifest.self, from: Data(bytes))
    } catch {
      throw Diagnostic(
        "\(file) is no manifest of token shards",
        suggestion: "make shards of a folder of text, pictures or speech by motc tokenize")
    }
    guard version == Self.currentVersion else {
      throw Diagnostic(
        "\(file) is of form \(version), but this motc reads form \(Self.currentVersion)",
        suggestion: "make the shards again by motc tokenize")
    }
    let names = (train + validation).map(\.file) + [pictures, speech, grid].compactMap(\.?.file)
    guard names.allSatisfy({ !$0.contains("/") && !$0.isEmpty && $0 != ".." }) else {
      throw Diagnostic("\(file) names a file outside its folder")
    }
  }

  /// Returns what tells these shards, in the folder at `path`, from others.
  ///
  /// - Throws: `Diagnostic` if the manifest cannot be read.
  package static func digest(folder path: String) throws(Diagnostic) -> Digest {
    try MappedFile(path: "\(path)/\(fileName)").digest()
  }

  /// Returns the paths of the codebooks of the folder at `path`, and what they are called wherever they are kept.
  ///
  /// - Throws: `Diagnostic` if it has no manifest.
  package static func codebooks(
    folder path: String
  ) throws(Diagnostic) -> [(name: String, path: String)] {
    let manifest = try ShardManifest(folder: path)
    return [
      (PictureCodebook.fileName, manifest.pictures), (SpeechCodebook.fileName, manifest.speech),
      (PatchGrid.fileName, manifest.grid),
    ].compactMap { name, codebook in codebook.map { (name, "\(path)/\($0.file)") } }
  }

  /// Opens a file of the folder at `path`.
  ///
  /// - Parameter digest: what the manifest says of it.
  /// - Throws: `Diagnostic` if it is missing, or not the file that was written.
  static func open(
    _ file: String, digest: String, folder path: String
  ) throws(Diagnostic) -> MappedFile {
    let mapped = try MappedFile(path: "\(path)/\(file)")
    guard mapped.digest().description == digest else {
      throw Diagnostic(
        "\(path)/\(file) is not the file that was written: it is damaged",
        suggestion: "make the shards again by motc tokenize")
    }
    return mapped
  }

  /// Writes the manifest to the folder at `path`.
  ///
  /// - Throws: `Diagnostic` if it cannot be written.
  func write(folder path: String) throws {
    try writeJSON(self, to: "\(path)/\(Self.fileName)")
  }

  /// Checks that the tokens are those of `module`'s modalities.
  ///
  /// - Throws: `Diagnostics` with every modality that differs.
  func check(against module: Module, folder path: String) throws(Diagnostics) {
    let wanted = module.modalities.map(Modality.init)
    guard wanted != modalities else { return }
    func text(_ modality: Modality?) -> String {
      guard let modality else { return "none" }
      let marks = [("begin", modality.begin), ("end", modality.end)]
        .compactMap { name, id in id.map { " \(name) \($0)" } }.joined()
      let tokens =
        modality.latents.map { "latents \($0)" } ?? "\(modality.first)...\(modality.last)"
      return "\(quoted(modality.name)) \(tokens)\(marks)"
    }
    let problems = (0..<max(wanted.count, modalities.count)).compactMap { index -> Diagnostic? in
      let ours = index < wanted.count ? wanted[index] : nil
      let theirs = index < modalities.count ? modalities[index] : nil
      guard ours != theirs else { return nil }
      return Diagnostic(
        "\(path): modality \(index) of the shards is \(text(theirs)), of the model \(text(ours))",
        suggestion: "make shards for this model by motc tokenize")
    }
    throw Diagnostics(problems)
  }
}

extension ShardManifest.Modality {
  fileprivate init(_ modality: ModalityDeclaration) {
    self.init(
      name: modality.name, first: modality.vocabulary.lowerBound,
      last: modality.vocabulary.upperBound - 1, latents: modality.latents, begin: modality.begin,
      end: modality.end)
  }
}
