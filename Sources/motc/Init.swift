import ArgumentParser
import MoTIR
import Runtime

/// `motc init`: initial parameters.
struct Init: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes the initial parameters of a model.",
    discussion: """
      A value depends on the seed, the tensor's name and its index alone.

      Examples:
        motc init examples/chameleon.swift-spec --seed 1 -o chameleon.safetensors
        motc init model.motir -o model.safetensors
      """)

  @OptionGroup var model: ModelArguments

  @Option(help: "Equal seeds give equal parameters.")
  var seed: UInt64 = 0

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"),
    completion: .file())
  var output: String

  func run() throws {
    let clock = StageClock()
    let module = try model.load(clock)
    let tensors = try clock.measure("initialize") {
      try initialTensors(of: module, seed: seed)
    }
    try clock.measure("write") {
      try write(tensors, metadata: ["model": module.name, "seed": "\(seed)"], to: output)
    }
    let count = tensors.reduce(0) { $0 + $1.count }
    say("\(module.name): \(grouped(count)) parameters in \(tensors.count) tensors → \(output)")
  }
}

/// Returns the first values of a module's tensors.
///
/// - Throws: `CannotRun` if memory is short.
func initialTensors(of module: Module, seed: UInt64) throws -> [Tensor] {
  try requireMemory(module.parameters.reduce(0) { $0 + 4 * $1.type.elementCount })
  return try CannotRun.unless { try ParameterInitializer(seed: seed).tensors(of: module) }
}
