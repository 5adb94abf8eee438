import Foundation
import Lowering
import MoTIR
import Runtime

/// How a test compiles a graph, and on how many threads it runs.
struct Compilation: Sendable, CustomStringConvertible {
  /// Passes that are left out, and `generated-matmul` where OpenBLAS multiplies.
  var disabled: Set<String> = []
  var target = "native"
  var precision = Precision.f32
  var threads = 2
  var guarding = Guarding.regions
  /// What the second cache is said to hold of an operand, in place of what the target has.
  var operandBytes: Int?

  /// Which memory lies between pages that nobody may touch; what nobody has written holds NaNs then.
  enum Guarding: Sendable {
    case none
    /// All buffers of a region together.
    case regions
    /// Each buffer, but parameters and what is laid out as they are if there are updates.
    case buffers(GuardedPlan.Edge, updates: Bool)
  }

  /// Everything fused.
  static let fused = Compilation()
  /// Every op a kernel of its own, matmuls by OpenBLAS: the baseline.
  static let unfused = Compilation(disabled: Set(Pass.all.map(\.name) + ["generated-matmul"]))

  /// Returns this compilation for another target.
  func on(_ target: String) -> Compilation {
    var copy = self
    copy.target = target
    return copy
  }

  /// Returns this compilation at another precision.
  func at(_ precision: Precision) -> Compilation {
    var copy = self
    copy.precision = precision
    return copy
  }

  /// Returns this compilation for another number of threads.
  func with(threads: Int) -> Compilation {
    var copy = self
    copy.threads = threads
    return copy
  }

  /// Returns this compilation with guards about every buffer, which touches one at `edge`.
  func guarded(at edge: GuardedPlan.Edge, updates: Bool = false) -> Compilation {
    var copy = self
    copy.guarding = .buffers(edge, updates: updates)
    return copy
  }

  var description: String {
    let name =
      disabled.isEmpty
      ? "fused"
      : disabled == Self.unfused.disabled
        ? "unfused" : "without \(disabled.sorted().joined(separator: ", "))"
    let edge = if case .buffers(let edge, _) = guarding { " guarded at its \(edge)" } else { "" }
    return "\(name) \(precision) \(target) ×\(threads)\(edge)"
  }

  /// The compiler.
  func compiler() throws -> Compiler {
    var target = try TargetDescription(named: target)
    if let operandBytes { target.operandBytes = operandBytes }
    var options = CompileOptions(disabled: disabled, precision: precision, target: target)
    // Test models are too small to be worth it.
    options.fewestSplitRows = 0
    return Compiler(options)
  }

  /// Returns what the passes make of `functions`.
  func optimize(_ functions: [Function], of module: Module) throws -> [Function] {
    try functions.map { function in
      let graph = try Pipeline.optimize(
        function.graph, module: module, disabling: Switch.passes(in: disabled))
      return Function(name: function.name, graph: graph)
    }
  }

  /// Returns the kernel plan of `functions`.
  func plan(_ functions: [Function], of module: Module) throws -> KernelPlan {
    try compiler().plan(try optimize(functions, of: module), of: module)
  }

  /// Returns the object code of `functions`.
  func build(_ functions: [Function], of module: Module) throws -> CompiledObject {
    let (plan, traps) = try trapped(plan(functions, of: module))
    let emitted = try compiler().emit(plan)
    if let path = ProcessInfo.processInfo.environment["MOTC_DUMP"] {
      try emitted.text.write(
        toFile: "\(path)/\(module.name).\(disabled.count).ll", atomically: true, encoding: .utf8)
    }
    return CompiledObject(
      plan: plan, objects: try emitted.objects(), scratchBytes: emitted.scratchBytes, traps: traps)
  }

  /// Returns the plan to compile, and what catches kernels that leave their memory.
  private func trapped(_ plan: KernelPlan) throws -> (KernelPlan, MemoryTraps?) {
    switch guarding {
    case .none: return (plan, nil)
    case .regions: return (plan, MemoryTraps())
    case .buffers(let edge, let updates):
      let guarded = GuardedPlan(plan, edge: edge, page: AlignedBuffer.page, updates: updates)
      if let violation = guarded.plan.verify().first { throw violation }
      return (guarded.plan, MemoryTraps(guards: guarded.guards))
    }
  }

  /// Returns `functions` as a model in memory.
  func model(_ functions: [Function], of module: Module) throws -> CompiledModel {
    try build(functions, of: module).model(threads: threads)
  }
}

/// What a compilation made, for any number of threads.
struct CompiledObject: Sendable {
  let plan: KernelPlan
  let objects: [[UInt8]]
  let scratchBytes: Int
  let traps: MemoryTraps?

  /// Returns a model in memory.
  func model(threads: Int) throws -> CompiledModel {
    try CompiledModel(
      plan: plan, objects: objects, scratchBytes: scratchBytes, pool: ThreadPool(threads: threads),
      traps: traps)
  }
}

extension CompiledModel {
  /// Sets parameters, packed forms and inputs.
  func load(_ values: AgreementValues) {
    load(values.parameters)
    setInputs(values.rows, continuous: values.continuous, plan: values.plan)
  }

  /// Sets parameters and packed forms.
  func load(_ parameters: [String: [Double]]) {
    for placement in plan.parameters {
      let target = floats(placement.master)
      for (index, value) in (parameters[placement.declaration.name] ?? []).enumerated() {
        target[index] = Float(value)
      }
    }
    run("pack")
  }

  /// Returns all outputs of entry `entry`, by name.
  func outputs(of entry: String) -> [String: [Float]] {
    let names = plan.entry(entry)?.outputs.map(\.name) ?? []
    return Dictionary(
      names.map { ($0, output($0, of: entry) ?? []) }, uniquingKeysWith: { first, _ in first })
  }

  /// Returns the bits of every parameter, one after another.
  var parameterBits: [UInt32] {
    plan.parameters.flatMap { floats($0.master).map(\.bitPattern) }
  }

  /// Returns the bytes of all buffers of these regions.
  func contents(of regions: Region...) -> [[UInt8]] {
    plan.buffers.indices.filter { regions.contains(plan.buffers[$0].region) }.map {
      Array(memory(BufferID($0)))
    }
  }
}
