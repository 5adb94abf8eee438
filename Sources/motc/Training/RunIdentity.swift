import Lowering
import MoTIR
import Runtime

/// What a run depends on: one that goes on elsewhere must be the same in all of it.
struct RunIdentity {
  /// The values as text, in order.
  let values: [(name: String, value: String)]
  /// What may change the last bits, but not what is computed.
  let machine: String

  /// Creates the identity of training `module` on the shards in the folder `data`.
  ///
  /// - Throws: `Diagnostic` if the shards have no manifest.
  init(
    _ module: Module, _ options: CompileOptions, _ settings: TrainingSettings, data: String
  ) throws {
    values =
      [
        ("batch", "\(module.batch)"), ("sequence", "\(module.sequence)"),
        ("model", Digest(fields: [Array(module.text(locations: false).utf8)]).description),
        ("data", try ShardManifest.digest(folder: data).description),
        ("precision", options.precision.rawValue),
        ("disabled", options.disabled.sorted().joined(separator: " ")),
      ]
      + TrainingSettings.keys.filter(\.shapesResult).map { ($0.name, settings[$0]) }
    machine = Digest(fields: [Array(options.target.identity.utf8)]).description
  }

  /// Settings that a checkpoint has not, since it was written before there were such, were as they are by default.
  private static let defaults = Dictionary(
    TrainingSettings.keys.filter(\.shapesResult).map { ($0.name, TrainingSettings()[$0]) },
    uniquingKeysWith: { first, _ in first })

  /// The values by name, as a checkpoint keeps them.
  var dictionary: [String: String] {
    Dictionary(values + [("machine", machine)], uniquingKeysWith: { first, _ in first })
  }

  /// Checks that `checkpoint`, in the folder at `path`, is of such a run.
  ///
  /// - Throws: `Diagnostics` with everything that differs.
  func check(_ checkpoint: Checkpoint, at path: String) throws(Diagnostics) {
    func before(_ name: String) -> String? { checkpoint.identity[name] ?? Self.defaults[name] }
    var differing = values.filter { before($0.name) != $0.value }
    // The model's text has its sizes.
    if differing.contains(where: { ["batch", "sequence"].contains($0.name) }) {
      differing.removeAll { $0.name == "model" }
    }
    if differing.isEmpty, checkpoint.identity["machine"] != machine {
      report([
        Diagnostic(
          "the checkpoint is of another kind of CPU: the last bits may differ from a run that "
            + "never stopped", severity: .warning)
      ])
    }
    guard !differing.isEmpty else { return }
    let problems = differing.map { name, value in
      let isDigest = ["model", "data"].contains(name)
      return Diagnostic(
        isDigest
          ? "\(path): the \(name) is not that of the run"
          : "\(path): \(name) is \(value), but was \(before(name) ?? "nothing")")
    }
    let way = Diagnostic(
      "a run goes on only as it began",
      suggestion: "give what it had, or begin a new run by --weights \(path)/weights.safetensors")
    throw Diagnostics(problems + [way])
  }
}
