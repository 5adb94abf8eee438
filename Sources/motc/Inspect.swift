import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// `motc inspect`: what a model is made of, and what it costs.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows parameters, arithmetic, memory and routing of a model.",
    discussion: """
      Examples:
        motc inspect examples/chameleon.swift-spec
        motc inspect examples/mot-7b.swift-spec --json
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let clock = StageClock()
    let module = try model.load(clock)
    let build = Build(module, try compile.options(), clock: clock)
    let report = try Inspection(build, threads: execution.makePool().threads)
    guard json else { return try Output(nil).write(report.text) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try Output(nil).write(try encoder.encode(report) + Data("\n".utf8))
  }
}
