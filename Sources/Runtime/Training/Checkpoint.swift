internal import Foundation
package import MoTIR

/// All that a training run needs to go on as if it had never stopped, in a folder of its own: `weights.safetensors`,
/// `optimizer.safetensors` and, naming both with their digests, `state.json`.
package struct Checkpoint: Codable, Sendable {
  /// A file beside the state.
  struct File: Codable, Hashable, Sendable {
    let bytes: Int
    let sha256: String
  }

  private static let currentVersion = 1
  private static let stateName = "state.json"
  static let weightsName = "weights.safetensors"
  static let momentsName = "optimizer.safetensors"

  private var version = currentVersion
  /// Updates that were made.
  package let step: Int
  /// Tokens that were trained on, padding not counted.
  package let tokens: Int
  /// Where the next batch begins.
  package let position: DataPosition
  /// What the run depends on, as text by name: a run goes on only if it is the same.
  package let identity: [String: String]
  /// Bytes of each metrics file, by name, that belong to the steps so far.
  package let metrics: [String: Int]
  /// Seconds of training so far.
  package let seconds: Double
  /// The validation loss of these weights, if it was measured and is finite.
  package let validation: Double?
  private var files: [String: File] = [:]

  /// Creates the state behind `step` updates.
  package init(
    step: Int, tokens: Int, position: DataPosition, identity: [String: String],
    metrics: [String: Int],
    seconds: Double, validation: Double?
  ) {
    self.step = step
    self.tokens = tokens
    self.position = position
    self.identity = identity
    self.metrics = metrics
    self.seconds = seconds
    self.validation = validation
  }

  // MARK: Writing

  /// Writes the checkpoint to the folder at `path`, which appears when it is complete and safe on the disk.
  ///
  /// - Throws: `Diagnostic` if it cannot be written; nothing is left behind then.
  package func write(_ model: CompiledModel, of module: Module, to path: String) throws {
    let temporary = "\(path.folderOfPath)/.\(path.nameOfPath).tmp"
    try? FileManager.default.removeItem(atPath: temporary)
    do {
      try makeFolder(temporary)
      try Self.requireFinite(model)
      var state = self
      for (name, regions) in [
        (Self.weightsName, [(Region.parameters, "")]),
        (Self.momentsName, [(.firstMoments, "first."), (.secondMoments, "second.")]),
      ] {
        let tensors = regions.flatMap { model.tensors(in: $0.0, prefix: $0.1) }
        let file = "\(temporary)/\(name)"
        try SafetensorsWriter.write(
          tensors, metadata: ["model": module.name, "step": "\(step)"], to: file)
        state.files[name] = try Self.measured(file)
      }
      try writeJSON(state, to: "\(temporary)/\(Self.stateName)")
      try renameFolder(temporary, to: path)
    } catch {
      try? FileManager.default.removeItem(atPath: temporary)
      throw error
    }
  }

  /// Checks that a run can go on from the present weights and moments.
  private static func requireFinite(_ model: CompiledModel) throws(Diagnostic) {
    for region in [Region.parameters, .firstMoments, .secondMoments] {
      for tensor in model.tensors(in: region) {
        guard let index = tensor.firstNonFinite() else { continue }
        throw Diagnostic(
          "the update made \(tensor.name) infinite or no number at \(tensor.position(index)); the "
            + "checkpoints before it are kept",
          suggestion: "choose a smaller learning rate, or smaller betas")
      }
    }
  }

  private static func measured(_ path: String) throws(Diagnostic) -> File {
    let file = try MappedFile(path: path)
    return File(bytes: file.bytes.count, sha256: file.digest().description)
  }

  // MARK: Reading

  /// Reads the state in the folder at `path`, and checks that its files are those that were written.
  ///
  /// - Throws: `Diagnostic` if one is missing or damaged.
  package init(path: String) throws(Diagnostic) {
    try self.init(stateOf: path)
    for name in [Self.weightsName, Self.momentsName] {
      guard try Self.measured("\(path)/\(name)") == files[name] else {
        throw Diagnostic("\(path)/\(name) is not the file that was written: it is damaged")
      }
    }
  }

  /// Reads the state in the folder at `path` alone.
  ///
  /// - Throws: `Diagnostic` if it is missing or holds what no run can have.
  package init(stateOf path: String) throws(Diagnostic) {
    let state = "\(path)/\(Self.stateName)"
    let bytes = try MappedFile.contents(state, limit: 1 << 20)
    guard let found = try? JSONDecoder().decode(Checkpoint.self, from: Data(bytes))
    else { throw Diagnostic("\(state) is no state of a training run") }
    self = found
    guard version == Self.currentVersion else {
      throw Diagnostic(
        "\(state) is of form \(version), but this motc reads form \(Self.currentVersion)")
    }
    let counts = [step, tokens, position.epoch, position.row] + metrics.values
    guard counts.allSatisfy((0...1 << 53).contains), (0...1e15).contains(seconds),
      Set(metrics.keys) == Set(MetricsFile.names)
    else { throw Diagnostic("\(state) holds what no run can have") }
  }

  /// Fills `model` with the weights and moments in the folder at `path`.
  ///
  /// - Throws: `Diagnostics` with every tensor that is not the model's.
  package static func load(_ path: String, into model: CompiledModel, of module: Module) throws {
    let weights = try SafetensorsReader(path: "\(path)/\(weightsName)")
    let moments = try SafetensorsReader(path: "\(path)/\(momentsName)")
    let names = module.trainedTensors
    let tensors = try moments.load(
      expected: ["first.", "second."].flatMap { prefix in
        names.map { (name: prefix + $0.name, shape: $0.shape) }
      })
    try model.load(try weights.load(expected: module.expectedTensors))
    try model.load(Array(tensors.prefix(names.count)), into: .firstMoments)
    try model.load(Array(tensors.suffix(names.count)), into: .secondMoments)
  }
}
