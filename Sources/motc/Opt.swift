import ArgumentParser
import Lowering
import MoTIR
import Runtime

/// `motc opt`: named passes on IR text.
struct Opt: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs passes on IR text, in the order given.",
    discussion: """
      Examples:
        motc opt --list-passes
        motc opt model.motir --passes cache-routing-plan,keep-grouped
      """)

  @Argument(
    help: ArgumentHelp("The IR text.", valueName: "file.motir"),
    completion: .file(extensions: ["motir"]))
  var file: String?

  @Option(help: ArgumentHelp("Passes, separated by commas; by default all.", valueName: "a,b"))
  var passes: String?

  @Flag(name: .customLong("list-passes"), help: "List the passes in their order.")
  var listPasses = false

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"),
    completion: .file())
  var output: String?

  func validate() throws {
    if file == nil, !listPasses { throw ValidationError("give a file, or --list-passes") }
    if let file, !file.hasSuffix(".motir") {
      throw ValidationError(
        "motc opt reads IR text (.motir); motc compile --emit grad writes it for a spec")
    }
    do { _ = try chosen() } catch let error as Diagnostic { throw ValidationError(usage: error) }
  }

  func run() throws {
    if listPasses {
      let rows = Switch.all.map { [$0.name, $0.summary] }
      return try Output(output).write(table(rows, indent: ""))
    }
    guard let file else { return }
    var module = try loadModule(path: file)
    let passes = try chosen()
    module.functions = try module.functions.map { function in
      Function(
        name: function.name,
        graph: try Pipeline.run(passes, on: function.graph, module: module))
    }
    try Output(output).write(module.text)
  }

  private func chosen() throws -> [Pass] {
    guard let passes else { return Pass.all }
    return try names(in: passes).map(Pass.named)
  }
}
