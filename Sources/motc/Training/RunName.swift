import Foundation
import MoTIR
import Runtime

/// The folder of a run, as a person named it.
struct RunName {
  /// What was typed.
  let path: String

  /// The folder from the root, which is one whatever a person typed.
  private var fullPath: String { URL(fileURLWithPath: path).standardizedFileURL.path }

  /// The name of the folder.
  private var name: String { fullPath.nameOfPath }

  /// Returns the name of the folder, with the path that was typed where another of `runs` has the same name.
  func label(among runs: [RunName]) -> String {
    runs.count { $0.name == name } == 1 ? name : path
  }

  /// The digest of the shards that the run is trained on, if it has a checkpoint.
  var data: String? {
    let folder = RunFolder(path: path)
    guard let step = folder.step(of: "latest") else { return nil }
    return try? Checkpoint(stateOf: folder.checkpoint(step: step)).identity["data"]
  }

  /// Checks that no folder is named twice.
  ///
  /// - Throws: `Diagnostic` with the first that is.
  static func requireDifferent(_ runs: [RunName]) throws(Diagnostic) {
    let paths = runs.map(\.fullPath)
    guard let twice = paths.indices.first(where: { paths[..<$0].contains(paths[$0]) }) else {
      return
    }
    throw Diagnostic("\(runs[twice].path) is named twice")
  }

  /// Calls `body` with the finite numbers of each line of the run's metrics, and its number from 1.
  ///
  /// - Throws: `Diagnostic` if there are no metrics, or they are damaged, and what `body` throws.
  func forEachStep(
    _ body: (_ line: Int, [MetricsReader.Number]) throws(Diagnostic) -> Void
  ) throws(Diagnostic) {
    guard try MetricsReader(run: path).forEachLine(body) else { return }
    report([
      Diagnostic(
        "\(path): the last line of the metrics ends early and is left out", severity: .warning)
    ])
  }
}
