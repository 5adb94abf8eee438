internal import LLVMKit
package import MoTIR

// What tells one compilation from another: equal texts give equal objects, if motc itself is the same.

extension TargetDescription {
  /// The CPU as text: triple, name and features, and what code generation takes from them.
  package var identity: String {
    "\(cpu.triple) \(cpu.name) \(cpu.features) lanes \(lanes) bf16 \(hasBF16DotProduct) "
      + "tiles \(hasMatrixUnit) operand \(operandBytes)"
  }
}

extension Compiler {
  /// The version of LLVM in use.
  package static var llvm: String { llvmVersion() }

  /// Returns a text that is different for functions, options or versions of LLVM that may compile to
  /// different code. Source lines are left out: moving a line in a spec compiles nothing anew.
  package func identity(of functions: [Function], in module: Module) -> String {
    var module = module
    module.functions = functions
    let lines = [
      "llvm \(Compiler.llvm)", options.target.identity, options.operands(of: module).rawValue,
      options.disabled.sorted().joined(separator: ","), module.text(locations: false),
    ]
    return lines.joined(separator: "\n")
  }
}
