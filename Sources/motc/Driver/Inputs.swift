import Lowering
import MoTIR
import Runtime

// What must hold of a model and a batch before compiled code may see them.

/// Checks that the functions' inputs are what a batch holds.
///
/// - Throws: `Diagnostics` with everything that is wrong.
func check(_ batch: Batch, for functions: [Function], of module: Module) throws {
  let known = Set(batch.inputs.map(\.name) + batch.continuous.keys + ["plan"])
  var problems: [Diagnostic] = []
  for function in functions {
    let rows = module.tokens(of: function.name)
    if rows != module.tokens {
      problems.append(
        Diagnostic(
          "@\(function.name) takes \(rows) of the batch's \(module.tokens) tokens",
          suggestion: "motc generate runs it"))
    }
    for node in function.graph.nodes {
      guard case .input(let name) = node.op, !known.contains(name) else { continue }
      if module.continuousInputs[name] != nil {
        let problem = Diagnostic(
          "@\(function.name) takes the input '\(name)', which the file does not have",
          suggestion: "give it as F32 [tokens, \(module.continuousInputs[name] ?? 0)]")
        if !problems.contains(problem) { problems.append(problem) }
        continue
      }
      problems.append(
        Diagnostic(
          "@\(function.name) takes the input '\(name)', which no file holds yet",
          at: node.location))
    }
  }
  guard problems.isEmpty else { throw Diagnostics(problems) }
}

/// Returns the weights in the file at `path`, checked against `module`.
///
/// - Throws: `Diagnostics` with every tensor that is missing, unexpected, misshapen or not finite.
func loadWeights(_ path: String, of module: Module, _ clock: StageClock) throws -> [Tensor] {
  try clock.measure("read weights") {
    try SafetensorsReader(path: path).load(expected: module.expectedTensors)
  }
}
