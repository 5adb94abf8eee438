import Lowering
import MoTIR
import Runtime

// What must hold of a model and a batch before compiled code may see them.

/// Checks that the functions' inputs are what a batch holds, and that positions are within tables.
///
/// - Throws: `Diagnostics` with everything that is wrong.
func check(_ batch: Batch, for functions: [Function], of module: Module) throws {
  let known = Set(batch.inputs.map(\.name) + ["plan"])
  var problems: [Diagnostic] = []
  var hasRotary = false
  for function in functions {
    for node in function.graph.nodes {
      if case .rotary = node.op { hasRotary = true }
      guard case .input(let name) = node.op, !known.contains(name) else { continue }
      problems.append(
        Diagnostic(
          "@\(function.name) takes the input '\(name)', which no file holds yet",
          at: node.location))
    }
  }
  let limit = rotaryPositions(sequence: module.sequence)
  if hasRotary, let index = batch.positions.firstIndex(where: { $0 >= limit }) {
    let (row, column) = index.quotientAndRemainder(dividingBy: module.sequence)
    problems.append(
      Diagnostic(
        "positions: \(batch.positions[index]) at [\(row), \(column)] is beyond the rotary table's "
          + "\(limit) positions", suggestion: "count positions from 0, or choose a longer sequence")
    )
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
