package import MoTIR

extension Tokenizer {
  /// Creates the tokenizer that the shards in the folder at `path` were made with, for `module`.
  ///
  /// - Throws: `Diagnostics` if they are of other modalities, or a codebook is missing, damaged, or none.
  package init(module: Module, shards path: String) throws(Diagnostics) {
    let manifest = try Diagnostics.collecting { () throws(Diagnostic) in
      try ShardManifest(folder: path)
    }
    try manifest.check(against: module, folder: path)
    self = try Diagnostics.collecting { () throws(Diagnostic) in
      Tokenizer(
        module: module,
        pictures: try manifest.pictures?.opened(in: path, PictureCodebook.init),
        speech: try manifest.speech?.opened(in: path, SpeechCodebook.init),
        grid: try manifest.grid?.opened(in: path, PatchGrid.init))
    }
  }
}

extension ShardManifest.Codebook {
  /// Returns what `read` makes of the file in `folder`, which must be the one that was written.
  fileprivate func opened<Content>(
    in folder: String, _ read: (SafetensorsReader) throws(Diagnostic) -> Content
  ) throws(Diagnostic) -> Content {
    let mapped = try ShardManifest.open(file, digest: sha256, folder: folder)
    return try read(SafetensorsReader(path: "\(folder)/\(file)", file: mapped))
  }
}
