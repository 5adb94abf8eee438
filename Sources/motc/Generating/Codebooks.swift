import Foundation
import MoTIR
import Runtime

/// Where the codebooks are that a model was trained with.
struct Codebooks {
  /// What to do where they are not found.
  static let wayOut = "name the folder of shards that the model was trained on with --data"

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
    return Tokenizer(
      module: module,
      pictures: try codebook(
        PictureCodebook.fileName, of: .image, module, PictureCodebook.init, \.count),
      speech: try codebook(
        SpeechCodebook.fileName, of: .speech, module, SpeechCodebook.init, \.count),
      grid: try codebook(PatchGrid.fileName, of: .image, module, PatchGrid.init) { _ in 0 })
  }

  /// Returns what `read` makes of the nearest file called `name`, if the model has a use for it and there is one.
  private func codebook<Content>(
    _ name: String, of kind: Tokenizer.Kind, _ module: Module,
    _ read: (String) throws(Diagnostic) -> Content, _ count: (Content) -> Int
  ) throws(Diagnostic) -> Content? {
    let paths = folders.map { "\($0)/\(name)" }
    guard let modality = module.modalities.first(where: { $0.name == kind.rawValue }),
      let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) })
    else { return nil }
    let content: Content
    do throws(Diagnostic) {
      content = try read(path)
    } catch {
      throw Diagnostic(error.message, suggestion: error.suggestion ?? Self.wayOut)
    }
    guard count(content) > modality.vocabulary.count else { return content }
    throw Diagnostic(
      "the codebook \(path) has \(count(content)) codes, and modality '\(modality.name)' has "
        + "\(modality.vocabulary.count) ids", suggestion: Self.wayOut)
  }
}
