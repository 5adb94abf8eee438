import ArgumentParser
import Lowering
import MoTIR
import Runtime

/// `motc run`: one evaluation of a compiled model.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Evaluates a compiled model once.",
    discussion: """
      Without targets in the input the result is logits f32 [B, S, V]; with targets it is loss f32 [] and \
      loss.OBJECTIVE, and with --grad also grad.PARAMETER of each parameter. Batch and sequence are \
      those of the input.

      Examples:
        motc run model.swift-spec --weights w.safetensors --input batch.safetensors -o out.safetensors
        motc run model.motir --weights w.safetensors --input batch.safetensors --grad -o grad.safetensors
      """)

  @OptionGroup var model: ModelArguments
  @OptionGroup var compile: CompileArguments
  @OptionGroup var execution: ExecutionArguments
  @OptionGroup var reports: ReportArguments

  @Option(
    help: ArgumentHelp(
      "Write what each thread did, and when, for chrome://tracing or Perfetto.", valueName: "json"),
    completion: .file())
  var trace: String?

  @Option(help: ArgumentHelp("The parameters.", valueName: "file"), completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp("The batch: tokens i32 [B, S] and more.", valueName: "file"),
    completion: .file())
  var input: String

  @Flag(help: "Compute the gradient of the loss for each parameter.")
  var grad = false

  @Option(help: ArgumentHelp("Results, separated by commas: logits, loss, …", valueName: "names"))
  var outputs: String?

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"),
    completion: .file())
  var output: String

  func run() throws {
    let options = try compile.optionsToRun()
    if options.disabled.contains(Switch.generatedMatmul.name) { useOwnOpenBLASKernels() }
    if let trace, trace != "-" { try requireWritable(trace) }
    let clock = StageClock()
    let file = try SafetensorsReader(path: input)
    let size = file.tensor("tokens").flatMap { $0.shape.count == 2 ? $0.shape : nil }
    let module = try model.load(clock, batch: size?[0], sequence: size?[1])
    let batch = try BatchBuilder(module: module).build(file.all)
    report(batch.warnings)
    let request = try Request(
      outputs.map(names(in:)), hasTargets: file.tensor("targets") != nil, grad: grad, of: module)
    try check(batch, for: request.functions, of: module)
    let tensors = try loadWeights(weights, of: module, clock)
    let build = Build(module, options, clock: clock, perfMap: reports.perfMap)
    let compiled = try build.model(
      request.functions.map(\.name), trains: false, pool: execution.makePool())
    try compiled.load(tensors)
    compiled.setInputs(batch)
    var recording = ChromeTrace()
    let results = try request.evaluate(compiled, module, clock, &recording)
    try write(results, to: output)
    if let trace { try recording.write(to: trace) }
    say("\(module.name): \(try summary(results)) → \(output)")
    if reports.time { clock.report() }
  }
}

/// Returns the scalars among `results` with their values, and how many other tensors there are.
private func summary(_ results: [Tensor]) throws -> String {
  let scalars = results.filter(\.shape.isEmpty)
  var parts = try scalars.map { "\($0.name) \(fixed(Double(try $0.floats().first ?? .nan), 4))" }
  let gradients = results.count { $0.name.hasPrefix(Graph.Output.gradientPrefix) }
  let others = results.count - scalars.count - gradients
  if gradients > 0 { parts.append("\(gradients) gradients") }
  if others > 0 { parts.append("\(others) other tensor\(others == 1 ? "" : "s")") }
  return parts.joined(separator: ", ")
}

/// What a run is to compute: outputs, and the functions that have them.
private struct Request {
  /// The functions, each once.
  private(set) var functions: [Function] = []
  private var outputs: [(name: String, function: String)] = []
  private let wantsGradients: Bool

  /// Creates the request for `names`, by default what the input suggests.
  ///
  /// - Throws: `Diagnostics` for an output that the module does not have.
  init(_ names: [String]?, hasTargets: Bool, grad: Bool, of module: Module) throws {
    wantsGradients = grad
    let preferred = grad ? ["gradients", "logits"] : ["loss", "logits"]
    var held = try preferred.filter { $0 == "gradients" || module.function($0) != nil }.map {
      try Compiler.function($0, of: module)
    }
    if !grad { held += module.functions.filter { !preferred.contains($0.name) } }
    let parts = held.first?.graph.outputs.map(\.name).filter { $0.hasPrefix("loss.") } ?? []
    let wanted = names ?? (grad || hasTargets ? ["loss"] + parts : ["logits"])
    for name in wanted { try add(name, from: held) }
    if grad, let gradients = held.first { use(gradients) }
  }

  private mutating func add(_ name: String, from held: [Function]) throws {
    guard let function = held.first(where: { $0.graph.output(name) != nil }) else {
      let known = held.flatMap(\.graph.outputs).filter { $0.gradientParameter == nil }.map(\.name)
      throw Diagnostic(
        "the model has no output '\(name)'",
        suggestion: "it has \(known.joined(separator: ", "))")
    }
    guard !outputs.contains(where: { $0.name == name }) else { return }
    outputs.append((name, function.name))
    use(function)
  }

  private mutating func use(_ function: Function) {
    if !functions.contains(where: { $0.name == function.name }) { functions.append(function) }
  }

  /// Runs the functions and returns the tensors that were asked for; `recording` gets what threads did.
  func evaluate(
    _ model: CompiledModel, _ module: Module, _ clock: StageClock, _ recording: inout ChromeTrace
  ) throws -> [Tensor] {
    var tensors: [Tensor] = []
    for function in functions {
      clock.measure("run @\(function.name)") { model.run(function.name) }
      if let timeline = model.timeline { recording.add(timeline) }
      // At once: the next function uses the same arena.
      for output in outputs where output.function == function.name {
        tensors.append(try tensor(output.name, of: function.name, model, module))
      }
    }
    if wantsGradients {
      tensors += model.tensors(in: .gradients, prefix: Graph.Output.gradientPrefix)
    }
    return tensors
  }

  private func tensor(
    _ name: String, of function: String, _ model: CompiledModel, _ module: Module
  ) throws -> Tensor {
    let binding = model.plan.entry(function)?.outputs.first { $0.name == name }
    guard let binding, let values = model.output(name, of: function) else {
      preconditionFailure("\(name) was not planned")
    }
    return try Tensor(name: name, shape: binding.type.shape(in: module), floats: values)
  }
}

extension ValueType {
  /// The shape in a file: rows are [B, S, width].
  fileprivate func shape(in module: Module) -> [Int] {
    switch self {
    case .tensor(_, let shape): shape
    case .rows(_, _, let count, let width): [count / module.sequence, module.sequence, width]
    case .plan: []
    }
  }
}
