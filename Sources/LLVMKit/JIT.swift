internal import CLLVM
internal import Synchronization

/// Machine code in this process: objects are added, linked against symbols, and looked up by name.
///
/// JITLink maps code writable first and executable afterwards, so no page is ever both. The code
/// lives until the value is destroyed; addresses from `lookup` must not be used after that.
package struct JIT: ~Copyable {
  private let handle: LLVMOrcLLJITRef
  private let reports: Reports

  /// Creates an empty JIT that resolves what objects leave undefined from this process.
  ///
  /// - Throws: `LLVMError` if LLVM does not support this machine.
  package init() throws(LLVMError) {
    handle = try createJIT()
    reports = Reports()
    LLVMOrcExecutionSessionSetErrorReporter(
      LLVMOrcLLJITGetExecutionSession(handle),
      { context, error in
        guard let context, let error else { return }
        let reports = Unmanaged<Reports>.fromOpaque(context).takeUnretainedValue()
        reports.add(takeMessage(of: error))
      }, Unmanaged.passUnretained(reports).toOpaque())
  }

  deinit {
    // Nobody is left to tell about an error while everything goes.
    if let error = LLVMOrcDisposeLLJIT(handle) { LLVMConsumeError(error) }
    withExtendedLifetime(reports) {}
  }

  /// Links the object file in `object` once one of its symbols is looked up.
  ///
  /// - Parameter name: what errors call the object.
  /// - Throws: `LLVMError` if the bytes are no object file or define a symbol again.
  package mutating func add(object: [UInt8], name: String) throws(LLVMError) {
    let buffer = object.withUnsafeBytes { bytes in
      LLVMCreateMemoryBufferWithMemoryRangeCopy(
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, name)
    }
    // The JIT takes the buffer over, whether it succeeds or not.
    try check(LLVMOrcLLJITAddObjectFile(handle, LLVMOrcLLJITGetMainJITDylib(handle), buffer))
  }

  /// Makes `symbol` the name of `address` for all objects.
  ///
  /// - Throws: `LLVMError` if the name is taken.
  package mutating func define(
    symbol: String, address: UnsafeRawPointer
  ) throws(LLVMError) {
    var flags = LLVMJITSymbolFlags()
    flags.GenericFlags = UInt8(
      truncatingIfNeeded: LLVMJITSymbolGenericFlagsExported.rawValue
        | LLVMJITSymbolGenericFlagsCallable.rawValue)
    let evaluated = LLVMJITEvaluatedSymbol(
      Address: LLVMOrcExecutorAddress(UInt(bitPattern: address)), Flags: flags)
    var pair = LLVMOrcCSymbolMapPair(
      Name: LLVMOrcLLJITMangleAndIntern(handle, symbol), Sym: evaluated)
    let unit = LLVMOrcAbsoluteSymbols(&pair, 1)
    if let error = LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(handle), unit) {
      LLVMOrcDisposeMaterializationUnit(unit)
      try check(error)
    }
  }

  /// Returns the address of `name`, and links what it needs.
  ///
  /// - Throws: `LLVMError` if no object defines it, or if an object cannot be linked.
  package borrowing func lookup(_ name: String) throws(LLVMError) -> UnsafeRawPointer {
    var address: LLVMOrcExecutorAddress = 0
    if let error = LLVMOrcLLJITLookup(handle, &address, name) {
      let message = takeMessage(of: error)
      throw LLVMError(([message] + reports.take()).joined(separator: "; "))
    }
    guard let pointer = UnsafeRawPointer(bitPattern: UInt(address)) else {
      throw LLVMError("\(name) is at address 0")
    }
    return pointer
  }
}

/// Creates a JIT that links with JITLink and finds the symbols that this process exports.
private func createJIT() throws(LLVMError) -> LLVMOrcLLJITRef {
  guard NativeTarget.isAvailable else { throw LLVMError("this machine is not a known target") }
  let builder = LLVMOrcCreateLLJITBuilder()
  LLVMOrcLLJITBuilderSetObjectLinkingLayerCreator(
    builder,
    { _, session, _ in
      var layer: LLVMOrcObjectLayerRef?
      let error = LLVMOrcCreateObjectLinkingLayerWithInProcessMemoryManager(&layer, session)
      if let error { LLVMConsumeError(error) }
      return layer
    }, nil)
  var created: LLVMOrcLLJITRef?
  // The builder is gone after this, whether it succeeds or not.
  try check(LLVMOrcCreateLLJIT(&created, builder))
  guard let created else { throw LLVMError("the JIT was not created") }
  var generator: LLVMOrcDefinitionGeneratorRef?
  let error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
    &generator, LLVMOrcLLJITGetGlobalPrefix(created), nil, nil)
  if let error {
    if let second = LLVMOrcDisposeLLJIT(created) { LLVMConsumeError(second) }
    try check(error)
  }
  LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(created), generator)
  return created
}

/// What the JIT session reported beside the errors it returned: the causes of a failed link.
private final class Reports: Sendable {
  private let messages = Mutex<[String]>([])

  /// Keeps `message` for the next error.
  func add(_ message: String) { messages.withLock { $0.append(message) } }

  /// Returns what was reported since the last call.
  func take() -> [String] {
    messages.withLock { messages in
      defer { messages = [] }
      return messages
    }
  }
}
