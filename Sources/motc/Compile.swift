import ArgumentParser
import Lowering
import MoTIR
import Runtime

/// `motc compile`: one stage of a model, as text or as an object.
struct Compile: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Takes a model to one stage of compilation and prints it.",
    discussion: """
      Stages: graph, the IR as built; grad, with @gradients; opt, after the passes; plan, the kernels; \
      ll, asm and obj, what LLVM makes of them; ready, code in memory that could run: nothing is printed.

      Examples:
        motc compile examples/chameleon.swift-spec --emit opt
        motc compile examples/mot-7b.swift-spec --emit ll -o mot-7b.ll --time
      """)

  /// What can be printed.
  enum Stage: String, ExpressibleByArgument, CaseIterable {
    case graph
    case grad
    case opt
    case plan
    case ll
    case asm
    case obj
    case ready
  }

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments

  @Option(help: "The stage.")
  var emit: Stage

  @Option(
    name: .customLong("function"),
    help: ArgumentHelp(
      "loss, logits or gradients; may be repeated. By default gradients, with the optimizer step.",
      valueName: "name"))
  var functions: [String] = []

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"),
    completion: .file())
  var output: String?

  @Option(
    name: .customLong("print-after"),
    help: ArgumentHelp(
      "Print the IR to stderr after the passes whose names match.", valueName: "regex"))
  var printAfter: String?

  @Flag(help: "Print the time of each stage and pass to stderr.")
  var time = false

  func validate() throws {
    if let printAfter, (try? Regex(printAfter)) == nil {
      throw ValidationError("--print-after: '\(printAfter)' is not a regular expression")
    }
  }

  func run() throws {
    let clock = StageClock()
    if emit == .obj { try Output(output).requireBinary() }
    let module = try model.load(clock)
    if emit == .ready { return try makeReady(module, clock) }
    let build = Build(module, try compile.options(), clock: clock)
    var summary = Summary(module: module.name)
    try Output(output).write(try stage(build, &summary))
    if let output, output != "-" { say(summary.text(file: output)) }
    if time { clock.report() }
  }

  /// Puts the functions in memory, from the object cache if they are there: what a run does before it
  /// has weights.
  private func makeReady(_ module: Module, _ clock: StageClock) throws {
    let build = Build(module, try compile.optionsToRun(), clock: clock)
    let names = functions.isEmpty ? [defaultFunction(module)] : functions
    _ = try build.model(names, trains: names.contains("gradients"), pool: ThreadPool())
    if time { clock.report() }
  }

  /// Returns the bytes of the stage that was asked for.
  private func stage(_ build: Build, _ summary: inout Summary) throws -> [UInt8] {
    var module = build.module
    if emit == .graph {
      if !functions.isEmpty { module.functions = try build.functions(functions) }
      summary.graph = module.functions.reduce(0) { $0 + $1.graph.nodes.count }
      return Array(module.text.utf8)
    }
    let chosen = try build.functions(functions.isEmpty ? [defaultFunction(module)] : functions)
    summary.graph = chosen.reduce(0) { $0 + $1.graph.nodes.count }
    if emit == .grad {
      let names = Set(chosen.map(\.name))
      module.functions = module.functions.filter { !names.contains($0.name) } + chosen
      return Array(module.text.utf8)
    }
    let optimized = try build.optimize(chosen, observe: try printer())
    summary.optimized = optimized.reduce(0) { $0 + $1.graph.nodes.count }
    if emit == .opt {
      module.functions = optimized
      return Array(module.text.utf8)
    }
    let plan = try build.plan(optimized)
    let calls = plan.entries.flatMap(\.calls)
    summary.calls = calls.count
    summary.kernels = Set(calls.map(\.kernel)).count
    if emit == .plan { return Array(plan.text.utf8) }
    return try backEnd(build, plan, &summary)
  }

  private func backEnd(
    _ build: Build, _ plan: KernelPlan, _ summary: inout Summary
  ) throws -> [UInt8] {
    let emitted = try build.emit(plan)
    guard emit == .ll else {
      return try CannotRun.unless {
        try build.clock.measure("codegen") { try emitted.object(assembly: emit == .asm) }
      }
    }
    let text = Array(emitted.text.utf8)
    summary.lines = text.count { $0 == UInt8(ascii: "\n") }
    return text
  }

  /// Returns what prints the IR after the passes that were asked for.
  private func printer() throws -> ((Function, Pass, Graph) -> Void)? {
    guard let printAfter else { return nil }
    let regex = try Regex(printAfter)
    return { function, pass, graph in
      guard pass.name.contains(regex) else { return }
      say("// @\(function.name) after \(pass.name)\n\(graph.text)")
    }
  }
}

/// Returns the function that most is to be learned from: the training step if there is a loss.
func defaultFunction(_ module: Module) -> String {
  let held = module.functions.map(\.name)
  if held.contains("gradients") || held.contains("loss") { return "gradients" }
  return held.first ?? "gradients"
}

/// The sizes of a model at each stage, for one line.
private struct Summary {
  let module: String
  var graph: Int?
  var optimized: Int?
  var calls: Int?
  var kernels = 0
  var lines: Int?

  init(module: String) { self.module = module }

  func text(file: String) -> String {
    var parts: [String] = []
    if let graph { parts.append("\(grouped(graph)) graph nodes") }
    if let optimized { parts.append("\(grouped(optimized)) after the passes") }
    if let calls { parts.append("\(grouped(calls)) kernel calls of \(kernels) kernels") }
    if let lines { parts.append("\(grouped(lines)) lines of LLVM IR") }
    return "\(module): \((parts + [file]).joined(separator: " → "))"
  }
}
