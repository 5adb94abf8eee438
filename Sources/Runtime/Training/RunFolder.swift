internal import Foundation
package import MoTIR

/// The folder of a training run.
///
/// `config.yaml` and `spec` say what was asked for, `metrics.jsonl` and `metrics.csv` what came of it; `checkpoints` has
/// a folder a checkpoint, and the links `latest` and `best` name two of them.
package struct RunFolder: Hashable, Sendable {
  /// The path.
  package let path: String

  /// The name of the file of settings.
  package static let configName = "config.yaml"

  private var checkpoints: String { "\(path)/checkpoints" }

  /// Creates a view of the folder at `path`.
  package init(path: String) { self.path = path }

  /// Makes the folder.
  ///
  /// - Parameter again: whether a run may have been there that never came to its first checkpoint.
  /// - Throws: `Diagnostic` if there is something in it already, or it cannot be made.
  package func create(again: Bool) throws(Diagnostic) {
    if !again, let names = try? FileManager.default.contentsOfDirectory(atPath: path),
      !names.isEmpty
    {
      throw Diagnostic(
        "\(path) is not empty",
        suggestion: "go on with its run by --resume auto, or name a new folder")
    }
    try makeFolder(checkpoints)
  }

  /// Returns the path of the file `name` in the folder.
  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Returns the folder of the checkpoint behind `step` updates.
  package func checkpoint(step: Int) -> String {
    let number = "\(step)"
    return "\(checkpoints)/step-"
      + String(repeating: "0", count: max(0, 8 - number.count)) + number
  }

  /// The steps of the checkpoints that are there, from the first.
  package var steps: [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
    return names.compactMap { $0.hasPrefix("step-") ? Int($0.dropFirst(5)) : nil }.sorted()
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
      do throws(Diagnostic) { return (folder, try Checkpoint(path: folder), damaged) } catch {
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

  /// Removes all checkpoints but the last `count` and the best, and what was never completed.
  package func prune(keeping count: Int) {
    let best = step(of: "best")
    for step in steps.dropLast(count) where step != best {
      removeFolder(checkpoint(step: step))
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
    for name in names where name.hasPrefix(".") {
      try? FileManager.default.removeItem(atPath: "\(checkpoints)/\(name)")
    }
  }
}
