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

  /// Returns the tokenizer of `module` with the codebooks of the shards, or those that the run has.
  ///
  /// - Throws: `Diagnostic` if a codebook is damaged, or does not fit the model; `Diagnostics` if shards do not.
  func tokenizer(of module: Module) throws -> Tokenizer {
    if let shards { return try Tokenizer(module: module, shards: shards) }
    let pictures = try file(PictureCodebook.fileName).map { try PictureCodebook(path: $0) }
    let speech = try file(SpeechCodebook.fileName).map { try SpeechCodebook(path: $0) }
    for (name, count) in [("image", pictures?.count), ("speech", speech?.count)] {
      guard let count, let modality = module.modalities.first(where: { $0.name == name }),
        modality.vocabulary.count < count
      else { continue }
      throw Diagnostic(
        "the codebook beside the weights has \(count) codes, and modality '\(name)' has "
          + "\(modality.vocabulary.count) ids",
        suggestion: "name the folder of shards that the model was trained on with --data")
    }
    return Tokenizer(module: module, pictures: pictures, speech: speech)
  }

  private func file(_ name: String) -> String? {
    folders.map { "\($0)/\(name)" }.first { FileManager.default.fileExists(atPath: $0) }
  }
}
