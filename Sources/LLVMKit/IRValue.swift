internal import CLLVM

/// A value of LLVM IR. It lives as long as the `IRBuilder` that made it.
package struct IRValue {
  let ref: LLVMValueRef

  init(_ ref: LLVMValueRef?) {
    guard let ref else { preconditionFailure("LLVM returned no value") }
    self.ref = ref
  }

  /// The value's type.
  package var type: IRType { IRType(LLVMTypeOf(ref)) }
}

/// A type of LLVM IR. It lives as long as the `IRBuilder` that made it.
package struct IRType: Equatable {
  let ref: LLVMTypeRef

  init(_ ref: LLVMTypeRef?) {
    guard let ref else { preconditionFailure("LLVM returned no type") }
    self.ref = ref
  }

  /// The number of lanes of a vector type, and 1 for any other.
  package var lanes: Int {
    LLVMGetTypeKind(ref) == LLVMVectorTypeKind ? Int(LLVMGetVectorSize(ref)) : 1
  }

  /// The lane type of a vector type, and the type itself for any other.
  package var scalar: IRType {
    LLVMGetTypeKind(ref) == LLVMVectorTypeKind ? IRType(LLVMGetElementType(ref)) : self
  }
}

/// A function of LLVM IR.
package struct IRFunction {
  let ref: LLVMValueRef
  let type: LLVMTypeRef

  /// The function's parameters.
  package var parameters: [IRValue] {
    (0..<LLVMCountParams(ref)).map { IRValue(LLVMGetParam(ref, $0)) }
  }
}
