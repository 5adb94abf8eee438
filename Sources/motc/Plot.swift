import ArgumentParser
import Foundation
import MoTIR
import Runtime

extension CurvesPlot.Axis: ExpressibleByArgument {}

/// `motc plot`: the curves of training runs.
struct Plot: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Draws the loss curves of training runs, as SVG or PNG.",
    discussion: """
      A RUN is the folder of motc train --out. Each objective has a panel: a line for the steps, which are averaged \
      where they are more than the picture shows, and points for the validations. gnuplot draws.

      Examples:
        motc plot runs/first
        motc plot runs/first runs/second --against flops -o both.png
      """)

  @Argument(help: ArgumentHelp("Folders of runs.", valueName: "run"), completion: .directory)
  var runs: [String]

  @Option(help: "What stands on the horizontal axis: steps, flops, seconds or tokens.")
  var against = CurvesPlot.Axis.steps

  @Option(
    help: ArgumentHelp(
      "Columns of the metrics, each for a panel; repeat it, or separate names by commas. By default the objectives.",
      valueName: "name"))
  var metric: [String] = []

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "The picture, .svg or .png; of one run curves.svg in its folder by default.",
      valueName: "file"), completion: .file())
  var output: String?

  func validate() throws {
    guard runs.count <= 24 else { throw ValidationError("at most 24 runs fit into a picture") }
    guard let output else {
      if runs.count > 1 { throw ValidationError("say by -o where the picture of many runs goes") }
      return
    }
    try Gnuplot.Format.check(output)
  }

  func run() throws {
    let output = output ?? "\(runs[0])/curves.svg"
    let gnuplot = try Gnuplot()
    let curves = try runs.map { path throws(Diagnostic) in
      try RunCurves(path: path, against: against.column)
    }
    try RunName.requireDifferent(curves.map(\.run))
    try requireWritable(output)
    let plot = CurvesPlot(runs: curves, metrics: try panels(of: curves), axis: against)
    let format = Gnuplot.Format(path: output) ?? .svg
    try Output(output).write(try gnuplot.picture(plot.script, size: plot.size, as: format))
    let what = plot.metrics.joined(separator: ", ")
    say("\(what) of \(runs.joined(separator: ", ")) → \(output)")
  }

  /// Returns the metrics that have a panel.
  ///
  /// - Throws: `Diagnostics` with those that no run has.
  private func panels(of curves: [RunCurves]) throws(Diagnostics) -> [String] {
    let known = unique(curves.flatMap(\.names))
    let wanted = unique(metric.flatMap(names))
    let problems = wanted.filter { !known.contains($0) }.map { name in
      Diagnostic(
        "no run has the metric '\(name)'", suggestion: "they have \(known.joined(separator: ", "))")
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    let objectives = known.filter { $0.hasPrefix("loss.") }
    let losses = objectives.isEmpty ? known.filter { $0 == "loss" } : objectives
    let chosen = wanted.isEmpty ? losses : wanted
    guard chosen.count <= 24 else {
      throw Diagnostics([
        Diagnostic("\(chosen.count) panels do not fit", suggestion: "name at most 24 by --metric")
      ])
    }
    guard chosen.isEmpty else { return chosen }
    throw Diagnostics([
      Diagnostic(
        "the metrics have no losses",
        suggestion: "name some by --metric: \(known.joined(separator: ", "))")
    ])
  }
}
