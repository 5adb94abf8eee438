internal import Foundation
internal import Glibc
package import MoTIR

/// The folder of a training run.
///
/// `config.yaml` and a copy of the spec say what was asked for, `metrics.jsonl` and `metrics.csv` what came of it;
/// `checkpoints` has a folder a checkpoint, and the links `latest` and `best` name two of them.
package struct RunFolder: Sendable {
  /// The path.
  package let path: String

  /// The name of the file of settings.
  package static let configName = "config.yaml"

  private var checkpoints: String { "\(path)/checkpoints" }

  /// Creates a view of the folder at `path`.
  package init(path: String) { self.path = path }

  /// Makes the folder for a run that begins, and keeps other processes from training in it.
  ///
  /// - Parameter again: whether a run may have been there that never came to its first checkpoint.
  /// - Throws: `Diagnostic` if there is something in it already, or it cannot be made, or another trains in it.
  package func begin(again: Bool) throws(Diagnostic) {
    try create(again: again)
    try lock()
    guard steps.isEmpty else {
      throw Diagnostic(
        "another process began to train in \(path) meanwhile",
        suggestion: "go on with its run by --resume auto")
    }
  }

  /// Makes the folder.
  ///
  /// - Parameter again: whether a run may have been there that never came to its first checkpoint.
  /// - Throws: `Diagnostic` if there is something in it already, or it cannot be made.
  private func create(again: Bool) throws(Diagnostic) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    guard again || names.isEmpty else {
      throw Diagnostic(
        "\(path) is not empty",
        suggestion: "go on with its run by --resume auto, or name a new folder")
    }
    let own = ["checkpoints", Self.configName, "latest", "best"] + MetricsFile.names
    let others = names.filter { name in
      !own.contains(name) && !name.hasPrefix(".") && !name.hasPrefix("model.")
    }
    guard others.isEmpty else {
      throw Diagnostic(
        "\(path) is not the folder of a run: it has \(quoted(others.sorted()[0]))",
        suggestion: "name a new folder")
    }
    try makeFolder(checkpoints)
  }

  /// Keeps other processes from training in the folder for as long as this one lives.
  ///
  /// - Throws: `Diagnostic` if another does.
  package func lock() throws(Diagnostic) {
    let file = "\(path)/.lock"
    let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw fileError("cannot open", file) }
    // The descriptor stays open: the system gives the lock back when the process ends.
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw Diagnostic("another process trains in \(path)", suggestion: "wait for its end")
    }
  }

  /// The file of settings, if there is one.
  package var config: String? {
    FileManager.default.fileExists(atPath: file(Self.configName)) ? file(Self.configName) : nil
  }

  /// Returns the path of the file `name` in the folder.
  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Returns the folder of the checkpoint behind `step` updates.
  package func checkpoint(step: Int) -> String {
    "\(checkpoints)/step-\(numbered(step, digits: 8))"
  }

  /// The steps of the checkpoints that are there, from the first.
  package var steps: [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
    return names.compactMap { name in
      let step = name.hasPrefix("step-") ? Int(name.dropFirst(5)) : nil
      return step.flatMap { checkpoint(step: $0).nameOfPath == name ? $0 : nil }
    }.sorted()
  }

  /// Returns the newest checkpoint that is complete, with its folder, and what is wrong with newer ones; `nil` if there
  /// is none at all.
  ///
  /// - Throws: `Diagnostics` if all are damaged.
  package func newest() throws(Diagnostics) -> (
    path: String, checkpoint: Checkpoint, damaged: [Diagnostic]
  )? {
    var damaged: [Diagnostic] = []
    for step in steps.reversed() {
      let folder = checkpoint(step: step)
      do throws(Diagnostic) {
        let found = try Checkpoint(path: folder)
        guard found.step == step else { throw Diagnostic("\(folder) is of step \(found.step)") }
        return (folder, found, damaged)
      } catch {
        damaged.append(error)
      }
    }
    guard damaged.isEmpty else { throw Diagnostics(damaged) }
    return nil
  }

  /// Names the checkpoint behind `step` updates `name`.
  ///
  /// - Throws: `Diagnostic` if the link cannot be made.
  package func link(_ name: String, to step: Int) throws(Diagnostic) {
    try replaceLink("\(path)/\(name)", by: "checkpoints/\(checkpoint(step: step).nameOfPath)")
  }

  /// The step of the checkpoint that `name` names, if there is one.
  package func step(of name: String) -> Int? {
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(path)/\(name)")
    return target?.nameOfPath.split(separator: "-").last.flatMap { Int($0) }
  }

  /// Removes all checkpoints but the best and the last `count` up to `last`, and what was never completed.
  ///
  /// Those of later steps were damaged, or the run would have gone on from them.
  package func prune(keeping count: Int, last: Int) {
    let best = step(of: "best")
    let kept = steps.filter { $0 <= last }.suffix(count)
    for step in steps where !kept.contains(step) && step != best {
      removeFolder(checkpoint(step: step))
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
    for name in names where name.hasPrefix(".") {
      try? FileManager.default.removeItem(atPath: "\(checkpoints)/\(name)")
    }
  }
}
