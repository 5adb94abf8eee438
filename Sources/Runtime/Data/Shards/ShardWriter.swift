internal import Foundation
package import MoTIR

/// Writes documents of tokens to a folder of shards.
package struct ShardWriter {
  /// Numbers of a shard, ids or latents, but for one that ends with a longer document.
  private static let shardNumbers = 1 << 24

  private let folder: String
  private let module: Module
  private var open: [ShardManifest.Split: Open] = [:]
  private var shards: [ShardManifest.Split: [ShardManifest.Shard]] = [:]

  /// A shard that is being filled.
  private struct Open {
    var tokens: [Int32] = []
    var ends: [Int32] = []
    /// Continuous tokens, by the name of their modality.
    var latents: [String: [Float]] = [:]

    var numbers: Int { tokens.count + latents.reduce(0) { $0 + $1.value.count } }
  }

  /// Creates the folder at `path`, for documents of `module`'s modalities.
  ///
  /// - Throws: `Diagnostic` if it holds something already, or cannot be made.
  package init(folder path: String, module: Module) throws {
    if let names = try? FileManager.default.contentsOfDirectory(atPath: path), !names.isEmpty {
      throw Diagnostic(
        "\(path) is not empty", suggestion: "name a new folder, or remove what is in this one")
    }
    try makeFolder(path)
    folder = path
    self.module = module
  }

  /// Adds a document to a split.
  ///
  /// - Parameter latents: the numbers of its continuous tokens, by the name of their modality.
  /// - Throws: `Diagnostic` if a full shard cannot be written.
  package mutating func append(
    _ document: [Int], latents: [String: [Float]] = [:], to split: ShardManifest.Split
  ) throws {
    guard !document.isEmpty else { return }
    // Taken out, or each document would copy all before it.
    var shard = open.removeValue(forKey: split) ?? Open()
    shard.tokens += document.map(Int32.init)
    shard.ends.append(Int32(shard.tokens.count))
    for (name, numbers) in latents { shard.latents[name, default: []] += numbers }
    open[split] = shard
    if shard.numbers >= Self.shardNumbers { try close(split) }
  }

  /// Writes what is left, the codebooks, and last of all the manifest: without it the folder holds no shards.
  ///
  /// - Throws: `Diagnostic` if they cannot be written, or there is nothing to train on.
  package mutating func finish(
    pictures: PictureCodebook? = nil, speech: SpeechCodebook? = nil, grid: PatchGrid? = nil
  ) throws -> ShardManifest {
    for split in ShardManifest.Split.allCases where open[split] != nil { try close(split) }
    guard shards[.train] != nil else {
      throw Diagnostic(
        "there is nothing to train on in \(folder): all documents are held back",
        suggestion: "choose --validation 0, or take more documents")
    }
    let manifest = ShardManifest(
      module, pictures: try pictures.map { try write(PictureCodebook.fileName, $0.write) },
      speech: try speech.map { try write(SpeechCodebook.fileName, $0.write) },
      grid: try grid.map { try write(PatchGrid.fileName, $0.write) },
      train: shards[.train] ?? [],
      validation: shards[.validation] ?? [])
    try manifest.write(folder: folder)
    return manifest
  }

  /// Writes a codebook to `file` in the folder.
  private func write(
    _ file: String, _ write: (String) throws -> Void
  ) throws -> ShardManifest.Codebook {
    try write("\(folder)/\(file)")
    return ShardManifest.Codebook(file: file, sha256: try digest(file))
  }

  private mutating func close(_ split: ShardManifest.Split) throws {
    guard let shard = open.removeValue(forKey: split) else { return }
    let number = numbered(shards[split]?.count ?? 0, digits: 5)
    let file = "\(split.rawValue)-\(number).safetensors"
    try SafetensorsWriter.write(
      [
        Tensor(name: "tokens", shape: [shard.tokens.count], integers: shard.tokens),
        Tensor(name: "ends", shape: [shard.ends.count], integers: shard.ends),
      ] + latents(of: shard), to: "\(folder)/\(file)")
    shards[split, default: []].append(
      ShardManifest.Shard(
        file: file, documents: shard.ends.count, tokens: shard.tokens.count,
        sha256: try digest(file)))
  }

  /// Returns the continuous tokens of `shard`, one tensor a modality.
  private func latents(of shard: Open) throws -> [Tensor] {
    try module.modalities.compactMap { modality in
      guard let width = modality.latents else { return nil }
      let numbers = shard.latents[modality.name] ?? []
      return try Tensor(
        name: Module.ContinuousInput.latents.name(of: modality.name),
        shape: [numbers.count / width, width], floats: numbers)
    }
  }

  private func digest(_ file: String) throws -> String {
    try MappedFile(path: "\(folder)/\(file)").digest().description
  }
}
