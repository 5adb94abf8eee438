internal import CLLVM

/// Returns the object file of the LLVM module that `text` spells, for this machine, at -O2's code
/// generation level and without any pass over the IR before.
///
/// - Throws: `LLVMError` if the text is not LLVM IR.
package func compileIR(text: String) throws(LLVMError) -> [UInt8] {
  let context = LLVMContextCreate()
  defer { LLVMContextDispose(context) }
  var module: LLVMModuleRef?
  var message: UnsafeMutablePointer<CChar>?
  let buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, text.utf8.count, "text")
  guard LLVMParseIRInContext(context, buffer, &module, &message) == 0, let module else {
    throw LLVMError(take(message))
  }
  defer { LLVMDisposeModule(module) }
  let machine = try nativeMachine()
  defer { LLVMDisposeTargetMachine(machine) }
  var object: LLVMMemoryBufferRef?
  guard
    LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMObjectFile, &message, &object) == 0,
    let object
  else { throw LLVMError(take(message)) }
  defer { LLVMDisposeMemoryBuffer(object) }
  let bytes = UnsafeRawBufferPointer(
    start: LLVMGetBufferStart(object), count: LLVMGetBufferSize(object))
  return Array(bytes)
}

/// Creates a target machine for this processor, with position-independent code as the JIT wants it.
private func nativeMachine() throws(LLVMError) -> LLVMTargetMachineRef {
  guard NativeTarget.isAvailable else { throw LLVMError("this machine is not a known target") }
  let triple = LLVMGetDefaultTargetTriple()
  let processor = LLVMGetHostCPUName()
  let features = LLVMGetHostCPUFeatures()
  defer { for text in [triple, processor, features] { LLVMDisposeMessage(text) } }
  var target: LLVMTargetRef?
  var message: UnsafeMutablePointer<CChar>?
  guard LLVMGetTargetFromTriple(triple, &target, &message) == 0 else {
    throw LLVMError(take(message))
  }
  let machine = LLVMCreateTargetMachine(
    target, triple, processor, features, LLVMCodeGenLevelDefault, LLVMRelocPIC,
    LLVMCodeModelJITDefault)
  guard let machine else { throw LLVMError("no code generator for this machine") }
  return machine
}

/// Returns the text of `message` and disposes of it.
private func take(_ message: UnsafeMutablePointer<CChar>?) -> String {
  guard let message else { return "unknown error" }
  defer { LLVMDisposeMessage(message) }
  return String(cString: message)
}
