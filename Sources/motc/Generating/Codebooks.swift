import Foundation
import MoTIR
import Runtime

/// Where the codebooks are that a model was trained with.
struct Codebooks {
  private let folders: [String]
  private let isNamed: Bool

  /// Creates the view of the folder that a user named, or of those that the weights at `path` are in: of a
  /// checkpoint, and of its run.
  init(_ named: String?, weights path: String) {
    isNamed = named != nil
    var parents = [path.folderOfPath]
    for _ in 0..<2 { parents.append(parents[parents.count - 1].folderOfPath) }
    folders = named.map { [$0] } ?? parents
  }

  /// Returns the tokenizer of `module`, with the codebook of pictures if there is one.
  ///
  /// - Throws: `Diagnostic` if a codebook is damaged, or does not fit the model.
  func tokenizer(of module: Module) throws -> Tokenizer {
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
