internal import CLLVM

/// What LLVM reported as wrong.
package struct LLVMError: Error, Hashable, Sendable, CustomStringConvertible {
  /// LLVM's own words.
  package let message: String

  /// Creates an error that says `message`.
  package init(_ message: String) { self.message = message }

  /// LLVM's own words.
  package var description: String { "LLVM: \(message)" }
}

/// Throws what `error` says and disposes of it; does nothing for success, which is `nil`.
func check(_ error: LLVMErrorRef?) throws(LLVMError) {
  guard let error else { return }
  throw LLVMError(takeMessage(of: error))
}

/// Returns what `error` says and disposes of it.
func takeMessage(of error: LLVMErrorRef) -> String {
  guard let text = LLVMGetErrorMessage(error) else { return "unknown error" }
  defer { LLVMDisposeErrorMessage(text) }
  return String(cString: text)
}
