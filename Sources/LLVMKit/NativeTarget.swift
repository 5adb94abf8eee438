internal import CLLVM

/// The machine that runs this process, as LLVM's code generator knows it.
enum NativeTarget {
  /// `true` iff LLVM can generate code for this machine; reading it registers the target, once.
  static let isAvailable: Bool =
    LLVMInitializeNativeTarget() == 0 && LLVMInitializeNativeAsmPrinter() == 0
    && LLVMInitializeNativeAsmParser() == 0
}
