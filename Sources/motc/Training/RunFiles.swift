import MoTIR
import Runtime

/// What the folder of a run keeps from its beginning, read before anything can change: the spec, and the codebooks,
/// without which nobody could show what the model says.
struct RunFiles {
  /// The files, by name.
  let all: [(name: String, bytes: [UInt8])]

  /// Reads the spec at `spec`, and the codebooks of the shards in the folder `data`.
  ///
  /// - Throws: `Diagnostic` if one cannot be read.
  init(spec: String, data: String) throws(Diagnostic) {
    let name = spec.hasSuffix(".motir") ? "model.motir" : "model.swift-spec"
    var all = [(name: name, bytes: try smallFile(spec))]
    for (name, path) in try ShardManifest.codebooks(folder: data) {
      all.append((name, try smallFile(path)))
    }
    self.all = all
  }
}
