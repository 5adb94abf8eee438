internal import LLVMKit
public import MoTIR

/// How a module is to be compiled.
public struct CompileOptions: Hashable, Sendable {
  /// The passes that are left out, by name.
  public var disabled: Set<String>
  /// How precisely matmul operands are held.
  public var precision: Precision
  /// The CPU.
  public var target: TargetDescription
  /// The rows a modality from which on f32 is split for a matrix unit: with fewer, reading weights takes longer
  /// than multiplying by them, and split ones are half as long again.
  package var fewestSplitRows = 64

  /// Creates options.
  public init(
    disabled: Set<String> = [], precision: Precision = .f32, target: TargetDescription = .native
  ) {
    self.disabled = disabled
    self.precision = precision
    self.target = target
  }

  /// Who multiplies matrices.
  package var backend: MatmulBackend {
    disabled.contains(Switch.generatedMatmul.name) ? .blas : .generated
  }

  /// What matmul operands are made of where rows are many.
  package var operands: OperandFormat {
    let hasTiles = target.hasMatrixUnit && backend == .generated
    return switch precision {
    case .f32: hasTiles && !disabled.contains(Switch.splitF32.name) ? .splitF32 : .f32
    case .bf16: hasTiles ? .bf16Tiles : .bf16
    }
  }

  /// Returns what matmul operands of `module` are made of.
  package func operands(of module: Module) -> OperandFormat {
    let hasFewRows =
      module.context != nil || module.tokens < fewestSplitRows * module.modalities.count
    return operands == .splitF32 && hasFewRows ? .f32 : operands
  }
}

/// Takes a module through the stages: graph, passes, kernel plan, LLVM IR, objects.
public struct Compiler {
  /// The options.
  public let options: CompileOptions

  /// Creates a compiler.
  public init(_ options: CompileOptions = CompileOptions()) { self.options = options }

  /// Returns `functions` of `module` compiled: passes, kernel plan, LLVM IR, objects.
  ///
  /// - Parameter functions: by name; `gradients` is derived from `loss` where the module lacks it.
  /// - Throws: `Diagnostics` if the module lacks a function or a graph cannot be planned; anything else
  ///   is a defect of motc, or of LLVM.
  public func compile(
    _ module: Module, functions: [String] = ["gradients"]
  ) throws -> CompiledProgram {
    let optimized = try functions.map {
      try optimize(Compiler.function($0, of: module), of: module)
    }
    let plan = try plan(optimized, of: module)
    let emitted = try emit(plan)
    return CompiledProgram(
      plan: plan, objects: try emitted.objects(), scratchBytes: emitted.scratchBytes)
  }

  /// Returns function `name` of `module`: what it holds, or the gradients of its loss.
  ///
  /// - Throws: `Diagnostics` if the module has no such function, or its loss has no gradients.
  package static func function(
    _ name: String, of module: Module
  ) throws(Diagnostics) -> Function {
    if let function = module.function(name) { return function }
    if name == "gradients", let loss = module.function("loss") {
      return try differentiate(loss, in: module)
    }
    let held = module.functions.map { "@\($0.name)" }.joined(separator: ", ")
    throw Diagnostics([
      Diagnostic(
        "'\(module.name)' has no function @\(name)"
          + (name == "gradients" ? " and no @loss to take gradients of" : ""),
        suggestion: held.isEmpty ? nil : "it holds \(held)")
    ])
  }

  /// Returns what the passes that are not disabled make of `function`.
  ///
  /// - Parameter observe: called after each pass that ran, with its result.
  package func optimize(
    _ function: Function, of module: Module, observe: ((Pass, Graph) -> Void)? = nil
  ) throws -> Function {
    let graph = try Pipeline.optimize(
      function.graph, module: module,
      disabling: Switch.passes(in: options.disabled), observe: observe)
    return Function(name: function.name, graph: graph)
  }

  /// Returns the kernel plan of optimised functions.
  ///
  /// - Parameter functions: functions of `module` after the passes.
  /// - Throws: `Diagnostics` if kernels cannot compute a function, `Diagnostic` if the plan is broken,
  ///   which is a defect of motc.
  package func plan(_ functions: [Function], of module: Module) throws -> KernelPlan {
    var builder = PlanBuilder(
      module: module, tile: options.target.tile, operands: options.operands(of: module),
      backend: options.backend)
    let refusals = functions.flatMap { planViolations(of: $0, in: module) }
    if !refusals.isEmpty { throw Diagnostics(Array(refusals.prefix(20))) }
    for function in functions {
      builder = FunctionPlanner.plan(function, module: module, into: builder)
    }
    builder.planPack()
    if let gradients = functions.first(where: { $0.name == "gradients" }) {
      if gradients.graph.takesCounts { builder.planAccumulate() }
      builder.planUpdate()
    }
    if let violation = builder.plan.verify().first {
      throw Diagnostic("motc's kernel plan is broken: \(violation.message)")
    }
    return builder.plan
  }

  /// Returns the LLVM module of a plan, verified.
  ///
  /// - Throws: `Diagnostic` if LLVM finds it broken, which is a defect of motc.
  package func emit(_ plan: KernelPlan) throws -> EmittedModule {
    let code = CodeGenerator(plan: plan, target: options.target)
    try code.ir.target(options.target.cpu)
    code.emit()
    if let complaint = code.ir.verify() {
      throw Diagnostic("the emitted module is broken: \(complaint)")
    }
    return EmittedModule(ir: code.ir, cpu: options.target.cpu, scratchBytes: code.scratchBytes)
  }
}
