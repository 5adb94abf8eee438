internal import LLVMKit
package import MoTIR

/// How a module is to be compiled.
package struct CompileOptions: Hashable, Sendable {
  /// The passes that are left out, by name.
  package var disabled: Set<String>
  /// How precisely matmul operands are held.
  package var precision: Precision
  /// The CPU.
  package var target: TargetDescription

  /// Creates options.
  package init(
    disabled: Set<String> = [], precision: Precision = .f32, target: TargetDescription
  ) {
    self.disabled = disabled
    self.precision = precision
    self.target = target
  }
}

/// Takes a module through the stages: graph, passes, kernel plan, LLVM IR, object.
package struct Compiler {
  /// The options.
  package let options: CompileOptions

  /// Creates a compiler.
  package init(_ options: CompileOptions) { self.options = options }

  /// Returns the kernel plan of optimised functions.
  ///
  /// - Parameter functions: functions of `module` after the passes.
  package func plan(_ functions: [Function], of module: Module) -> KernelPlan {
    let backend: MatmulBackend =
      options.disabled.contains(Switch.generatedMatmul.name) ? .blas : .generated
    var builder = PlanBuilder(
      module: module, tile: options.target.tile, precision: options.precision, backend: backend)
    for function in functions {
      builder = FunctionPlanner.plan(function, module: module, into: builder)
    }
    builder.planPack()
    if functions.contains(where: { $0.name == "gradients" }) { builder.planUpdate() }
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

/// A plan as LLVM IR, ready to become text, assembly or an object.
package struct EmittedModule {
  let ir: IRBuilder
  let cpu: TargetCPU
  /// Bytes of scratch memory that each thread needs.
  package let scratchBytes: Int

  /// The names of all functions in it, kernels and entries, in order.
  package var symbols: [String] { ir.definedNames }

  /// The module as LLVM IR text.
  package var text: String { ir.text }

  /// Returns the module as an object file, or as assembly text.
  ///
  /// - Throws: `LLVMError` if code generation fails.
  package func object(assembly: Bool = false) throws -> [UInt8] {
    try ir.emit(for: cpu, assembly: assembly)
  }
}
