import ArgumentParser
import Foundation
import MoTIR
import Runtime

/// `motc match`: what share of a run's steps others take for the same losses.
struct Match: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Matches runs by validation loss: what share of one's steps the others take.",
    discussion: """
      For each validation of BASE at which its loss is lower than before, the steps are found at which another run \
      reaches that loss, between two of its validations by a straight line. The share is the slope of the line through \
      the origin that fits these pairs; the same of arithmetic, of seconds of training, which has no validations and \
      no checkpoints, and of tokens. Losses that the other run does not reach, or was below at its first validation, \
      have no pair and are counted. Fewer than 3 pairs give no share. All runs must be validated on the same documents.

      Examples:
        motc match runs/dense runs/mot
        motc match runs/dense runs/mot runs/merged --against flops -o match.svg --json
      """)

  @Argument(
    help: ArgumentHelp("The folder of the run to compare with.", valueName: "base"),
    completion: .directory)
  var base: String

  @Argument(help: ArgumentHelp("Folders of other runs.", valueName: "run"), completion: .directory)
  var runs: [String]

  @Option(help: "What the picture has on its axes: steps, flops, seconds or tokens.")
  var against = CurvesPlot.Axis.steps

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("A picture of pairs and lines, .svg or .png.", valueName: "file"),
    completion: .file())
  var output: String?

  @Flag(help: "Print JSON, with every pair.")
  var json = false

  func validate() throws {
    guard runs.count <= 24 else { throw ValidationError("at most 24 runs are matched at once") }
    try output.map(Gnuplot.Format.check)
  }

  func run() throws {
    if let output { try requireWritable(output) }
    let gnuplot = try output.map { _ in try Gnuplot() }
    let all = try ([base] + runs).map { path throws(Diagnostic) in try Evaluations(path: path) }
    try RunName.requireDifferent(all.map(\.run))
    warnOfOtherData(all.map(\.run))
    let found = MatchReport(
      base: all[0].run, matches: all.dropFirst().map { RunMatch(all[0], $0) })
    guard found.matches.contains(where: { !$0.losses.isEmpty }) else {
      throw Diagnostic(
        "no run has a loss of \(base)",
        suggestion: "it has \(all[0].names.joined(separator: ", "))")
    }
    if let output, let gnuplot { try draw(found, with: gnuplot, to: output) }
    if json { return try Output(nil).write(try found.json()) }
    try Output(nil).write(found.text)
  }

  /// Warns of runs that were trained, and so validated, on other documents than the first.
  private func warnOfOtherData(_ runs: [RunName]) {
    guard let data = runs[0].data else { return }
    report(
      runs.filter { $0.data ?? data != data }.map { run in
        Diagnostic(
          "\(run.path) was trained on other shards than \(base): losses of other documents say nothing",
          severity: .warning)
      })
  }

  private func draw(_ found: MatchReport, with gnuplot: Gnuplot, to output: String) throws {
    let plot = MatchPlot(report: found, axis: against)
    guard (1...24).contains(plot.count) else {
      throw Diagnostic(
        plot.count == 0
          ? "there is no pair to draw" : "\(plot.count) panels do not fit; at most 24 do")
    }
    let format = Gnuplot.Format(path: output) ?? .svg
    try Output(output).write(try gnuplot.picture(plot.script, size: plot.size, as: format))
  }
}
