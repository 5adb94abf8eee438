internal import Dispatch
internal import LLVMKit
internal import Synchronization

/// A plan as LLVM IR, ready to become text, assembly or objects.
package struct EmittedModule {
  let ir: IRBuilder
  let cpu: TargetCPU
  /// Bytes of scratch memory that each thread needs.
  package let scratchBytes: Int

  /// The module as LLVM IR text.
  package var text: String { ir.text }

  /// Returns the module as one object file, or as assembly text.
  ///
  /// - Throws: `LLVMError` if code generation fails.
  package func object(assembly: Bool = false) throws -> [UInt8] {
    try ir.emit(for: cpu, assembly: assembly)
  }

  /// Returns the module as objects that are linked together, made by up to `threads` threads, or as many
  /// as there are cores. They are the same for any number.
  ///
  /// - Throws: `LLVMError` if code generation fails.
  package func objects(threads: Int? = nil) throws -> [[UInt8]] {
    let (parts, cpu) = (ir.parts(partCount), self.cpu)
    let next = Atomic<Int>(0)
    let results = Mutex<[Result<[UInt8], LLVMError>?]>(Array(repeating: nil, count: parts.count))
    let workers = min(threads ?? parts.count, parts.count)
    DispatchQueue.concurrentPerform(iterations: workers) { _ in
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < parts.count else { return }
        let result = Result { () throws(LLVMError) in try parts[index].object(for: cpu) }
        results.withLock { $0[index] = result }
      }
    }
    return try results.withLock { try $0.compactMap { try $0?.get() } }
  }

  /// How many parts are worth their start: it depends on the module alone, never on the machine.
  private var partCount: Int { min(8, ir.instructionCount / 1500 + 1) }
}
