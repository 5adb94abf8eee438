import Foundation
import MoTIR
import Runtime

/// Where the codebooks are that a model was trained with.
struct Codebooks {
  private let shards: String?
  private let folders: [String]

  /// Creates the view of the folder of shards that a user named, or of those that the weights at `path` are in: of a
  /// checkpoint, and of its run.
  init(_ shards: String?, weights path: String) {
    self.shards = shards
    var parents = [path.folderOfPath]
    for _ in 0..<2 { parents.append(parents[parents.count - 1].folderOfPath) }
    folders = parents
  }

  /// Returns the tokenizer of `module`, with the codebooks of shards, or that of pictures if the run has one.
  ///
  /// - Throws: `Diagnostic` if a codebook is damaged, or does not fit the model; `Diagnostics` if shards do not.
  func tokenizer(of module: Module) throws -> Tokenizer {
    if let shards { return try Tokenizer(module: module, shards: shards) }
    let plain = Tokenizer(module: module)
    guard let image = plain.modality(.image), let path = file(PictureCodebook.fileName) else {
      return plain
    }
    let codebook = try PictureCodebook(path: path)
    guard codebook.count <= image.vocabulary.count else {
      throw Diagnostic(
        "\(path) has \(codebook.count) codes, and modality 'image' has \(image.vocabulary.count) ids"
      )
    }
    return Tokenizer(module: module, pictures: codebook)
  }

  private func file(_ name: String) -> String? {
    folders.map { "\($0)/\(name)" }.first { FileManager.default.fileExists(atPath: $0) }
  }
}
