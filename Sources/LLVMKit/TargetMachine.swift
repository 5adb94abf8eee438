internal import CLLVM

/// A CPU to compile for: its triple, name and features, as LLVM knows them.
package struct TargetCPU: Hashable, Sendable {
  /// The target triple.
  package let triple: String
  /// LLVM's name of the CPU.
  package let name: String
  /// The features, each with `+` or `-`, separated by commas.
  package let features: String

  /// The CPU that this process runs on.
  package static let host: TargetCPU = {
    let triple = takeString(LLVMGetDefaultTargetTriple())
    return TargetCPU(
      triple: triple, name: takeString(LLVMGetHostCPUName()),
      features: takeString(LLVMGetHostCPUFeatures()))
  }()

  /// `true` iff this process may use the host's tile registers (AMX), for which it asks the system.
  package static let mayUseTileRegisters: Bool =
    host.has("amx-tile") && motc_request_tile_registers() == 0

  /// Creates the CPU or level `name`, such as `x86-64-v3`, with the features that its name implies.
  package init(named name: String) {
    self.init(triple: TargetCPU.host.triple, name: name, features: "")
  }

  init(triple: String, name: String, features: String) {
    self.triple = triple
    self.name = name
    self.features = features
  }

  /// `true` iff LLVM's list for the host has `feature`.
  package func has(_ feature: String) -> Bool {
    features.split(separator: ",").contains("+\(feature)")
  }
}

/// LLVM's version as `major.minor.patch`.
package func llvmVersion() -> String {
  var (major, minor, patch): (UInt32, UInt32, UInt32) = (0, 0, 0)
  LLVMGetVersion(&major, &minor, &patch)
  return "\(major).\(minor).\(patch)"
}

/// Returns LLVM's string as a Swift string and frees it.
func takeString(_ text: UnsafeMutablePointer<CChar>?) -> String {
  guard let text else { return "" }
  defer { LLVMDisposeMessage(text) }
  return String(cString: text)
}

extension IRBuilder {
  /// The module as text.
  package var text: String { takeString(LLVMPrintModuleToString(module)) }

  /// Returns LLVM's complaint about the module, or `nil` if it is well formed.
  package func verify() -> String? {
    var message: UnsafeMutablePointer<CChar>?
    let broken = LLVMVerifyModule(module, LLVMReturnStatusAction, &message)
    let text = takeString(message)
    return broken == 0 ? nil : text
  }

  /// Sets the module's triple and data layout to those of `cpu`.
  ///
  /// - Throws: `LLVMError` if LLVM has no such target.
  package func target(_ cpu: TargetCPU) throws(LLVMError) {
    let machine = try makeMachine(cpu)
    defer { LLVMDisposeTargetMachine(machine) }
    LLVMSetTarget(module, cpu.triple)
    let layout = LLVMCreateTargetDataLayout(machine)
    LLVMSetModuleDataLayout(module, layout)
    LLVMDisposeTargetData(layout)
  }

  /// Returns the module as an object file, or as assembly text.
  ///
  /// - Throws: `LLVMError` if code generation fails.
  package func emit(for cpu: TargetCPU, assembly: Bool = false) throws(LLVMError) -> [UInt8] {
    let machine = try makeMachine(cpu)
    defer { LLVMDisposeTargetMachine(machine) }
    var message: UnsafeMutablePointer<CChar>?
    var buffer: LLVMMemoryBufferRef?
    let kind = assembly ? LLVMAssemblyFile : LLVMObjectFile
    guard LLVMTargetMachineEmitToMemoryBuffer(machine, module, kind, &message, &buffer) == 0 else {
      throw LLVMError(takeString(message))
    }
    defer { LLVMDisposeMemoryBuffer(buffer) }
    let bytes = UnsafeRawBufferPointer(
      start: LLVMGetBufferStart(buffer), count: LLVMGetBufferSize(buffer))
    return Array(bytes)
  }

  private func makeMachine(_ cpu: TargetCPU) throws(LLVMError) -> LLVMTargetMachineRef {
    guard NativeTarget.isAvailable else { throw LLVMError("this machine is not a known target") }
    var target: LLVMTargetRef?
    var message: UnsafeMutablePointer<CChar>?
    guard LLVMGetTargetFromTriple(cpu.triple, &target, &message) == 0 else {
      throw LLVMError(takeString(message))
    }
    guard
      let machine = LLVMCreateTargetMachine(
        target, cpu.triple, cpu.name, cpu.features, LLVMCodeGenLevelDefault, LLVMRelocPIC,
        LLVMCodeModelDefault)
    else { throw LLVMError("LLVM has no code generator for \(cpu.triple)") }
    return machine
  }
}
