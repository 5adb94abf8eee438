import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// `motc inspect`: what a model is made of, and what it costs.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Shows parameters, arithmetic, memory and routing of a model, or of several side by side.",
    discussion: """
      Memory of inference is that of a batch's logits, or with --context that of generation.

      Examples:
        motc inspect examples/chameleon.swift-spec --context 320
        motc inspect examples/mot-7b.swift-spec --json
        motc inspect examples/dense.swift-spec --compare examples/chameleon.swift-spec
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Models to put beside it, with differences and ratios.", valueName: "specs"),
    completion: .model)
  var compare: [String] = []

  @Option(
    help: ArgumentHelp(
      "Draw a bar chart of parameters and arithmetic by component.", valueName: "file"),
    completion: .file(extensions: ["svg"]))
  var svg: String?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    // Each has a colour of its own.
    guard compare.count < plotColours.count else {
      throw ValidationError("--compare takes at most \(plotColours.count - 1) models")
    }
    guard let svg, Gnuplot.Format(path: svg) != .svg else { return }
    throw ValidationError("the name of the chart ends with .svg, not so '\(svg)'")
  }

  func run() throws {
    let clock = StageClock()
    let gnuplot = try svg.map { path in
      try requireWritable(path)
      return try Gnuplot()
    }
    let options = try compile.options()
    let threads = execution.makePool().threads
    let models = try ([model.spec] + compare).map { path in
      let module = try model.load(clock, other: path)
      return try Inspection(Build(module, options, clock: clock), threads: threads)
    }
    let comparison = Comparison(models)
    if let svg, let gnuplot {
      let plot = try CostsPlot(comparison)
      try Output(svg).write(try gnuplot.picture(plot.script, size: plot.size))
    }
    if compare.isEmpty {
      try json ? write(models[0]) : Output(nil).write(models[0].text)
    } else {
      try json ? write(comparison) : Output(nil).write(comparison.text)
    }
  }

  /// Prints `report` as JSON.
  private func write(_ report: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try Output(nil).write(try encoder.encode(report) + Data("\n".utf8))
  }
}
