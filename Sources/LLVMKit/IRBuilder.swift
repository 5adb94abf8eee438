internal import CLLVM

/// Builds one LLVM module, instruction by instruction.
///
/// It owns the context, the module and the instruction builder; all values and types that it hands out
/// belong to it.
package final class IRBuilder {
  let context: LLVMContextRef
  let module: LLVMModuleRef
  let builder: LLVMBuilderRef
  private var current: LLVMValueRef?
  /// The names of the functions defined so far, in order.
  package private(set) var definedNames: [String] = []

  /// Creates an empty module called `name`.
  package init(name: String) {
    context = LLVMContextCreate()
    module = LLVMModuleCreateWithNameInContext(name, context)
    builder = LLVMCreateBuilderInContext(context)
  }

  deinit {
    LLVMDisposeBuilder(builder)
    LLVMDisposeModule(module)
    LLVMContextDispose(context)
  }

  // MARK: Types

  package var i1: IRType { IRType(LLVMInt1TypeInContext(context)) }
  package var i8: IRType { IRType(LLVMInt8TypeInContext(context)) }
  package var i16: IRType { IRType(LLVMInt16TypeInContext(context)) }
  package var i32: IRType { IRType(LLVMInt32TypeInContext(context)) }
  package var i64: IRType { IRType(LLVMInt64TypeInContext(context)) }
  package var f32: IRType { IRType(LLVMFloatTypeInContext(context)) }
  package var f64: IRType { IRType(LLVMDoubleTypeInContext(context)) }
  package var bf16: IRType { IRType(LLVMBFloatTypeInContext(context)) }
  package var pointer: IRType { IRType(LLVMPointerTypeInContext(context, 0)) }
  package var void: IRType { IRType(LLVMVoidTypeInContext(context)) }

  /// Returns the type of `lanes` values of `type`.
  package func vector(_ type: IRType, _ lanes: Int) -> IRType {
    IRType(LLVMVectorType(type.ref, UInt32(lanes)))
  }

  // MARK: Constants

  /// Returns a constant of type i64.
  package func int(_ value: Int) -> IRValue { int(value, i64) }

  /// Returns an integer constant; of a vector type, a splat.
  package func int(_ value: Int, _ type: IRType) -> IRValue {
    constantSplat(
      IRValue(LLVMConstInt(type.scalar.ref, UInt64(bitPattern: Int64(value)), 1)), type.lanes)
  }

  /// Returns a floating-point constant of type f32, or of `type`; of a vector type, a splat.
  package func float(_ value: Double, _ type: IRType? = nil) -> IRValue {
    let type = type ?? f32
    return constantSplat(IRValue(LLVMConstReal(type.scalar.ref, value)), type.lanes)
  }

  /// Returns a vector constant with these lanes.
  package func constantVector(_ lanes: [IRValue]) -> IRValue {
    var refs: [LLVMValueRef?] = lanes.map(\.ref)
    return IRValue(LLVMConstVector(&refs, UInt32(refs.count)))
  }

  /// Returns the vector of booleans whose first `count` of `lanes` lanes are true.
  package func firstLanes(_ count: Int, of lanes: Int) -> IRValue {
    constantVector((0..<lanes).map { int($0 < count ? 1 : 0, i1) })
  }

  /// Returns the zero of `type`.
  package func zero(_ type: IRType) -> IRValue { IRValue(LLVMConstNull(type.ref)) }

  private func constantSplat(_ value: IRValue, _ lanes: Int) -> IRValue {
    lanes == 1 ? value : constantVector([IRValue](repeating: value, count: lanes))
  }

  /// Returns the address of a private constant array of i32; equal arrays share one.
  package func constantArray(_ values: [Int], name: String) -> IRValue {
    constant("\(name).\(values.map(String.init).joined(separator: "_"))") {
      var refs: [LLVMValueRef?] = values.map { int($0, i32).ref }
      return LLVMConstArray2(i32.ref, &refs, UInt64(refs.count))
    }
  }

  /// Returns the address of `count` f32 zeros.
  package func zeroArray(_ count: Int, name: String) -> IRValue {
    constant("\(name).\(count)") { LLVMConstNull(LLVMArrayType2(f32.ref, UInt64(count))) }
  }

  private func constant(_ name: String, _ make: () -> LLVMValueRef?) -> IRValue {
    if let existing = LLVMGetNamedGlobal(module, name) { return IRValue(existing) }
    let value = make()
    let global = LLVMAddGlobal(module, LLVMTypeOf(value), name)
    LLVMSetInitializer(global, value)
    LLVMSetGlobalConstant(global, 1)
    LLVMSetAlignment(global, 64)
    LLVMSetLinkage(global, LLVMPrivateLinkage)
    return IRValue(global)
  }

  // MARK: Functions

  /// Declares a function that is defined elsewhere.
  package func declare(
    _ name: String, _ parameters: [IRType], returns result: IRType, variadic: Bool = false
  ) -> IRFunction {
    var refs: [LLVMTypeRef?] = parameters.map(\.ref)
    let type = LLVMFunctionType(result.ref, &refs, UInt32(refs.count), variadic ? 1 : 0)
    let existing = LLVMGetNamedFunction(module, name)
    guard let ref = existing ?? LLVMAddFunction(module, name, type), let type else {
      preconditionFailure("LLVM returned no function")
    }
    return IRFunction(ref: ref, type: type)
  }

  /// Defines a function; `body` emits its instructions and ends with a return.
  ///
  /// - Parameter attributes: LLVM's names of string-free function attributes, such as `noinline`.
  package func define(
    _ name: String, _ parameters: [IRType], returns result: IRType, exported: Bool = true,
    attributes: [String] = [], target: [(String, String)] = [], _ body: ([IRValue]) -> Void
  ) -> IRFunction {
    let function = declare(name, parameters, returns: result)
    definedNames.append(name)
    LLVMSetLinkage(function.ref, exported ? LLVMExternalLinkage : LLVMInternalLinkage)
    for attribute in attributes + ["nounwind"] {
      let kind = LLVMGetEnumAttributeKindForName(attribute, attribute.utf8.count)
      let reference = LLVMCreateEnumAttribute(context, kind, 0)
      LLVMAddAttributeAtIndex(function.ref, LLVMAttributeIndex(bitPattern: -1), reference)
    }
    for (key, value) in target {
      let reference = LLVMCreateStringAttribute(
        context, key, UInt32(key.utf8.count), value, UInt32(value.utf8.count))
      LLVMAddAttributeAtIndex(function.ref, LLVMAttributeIndex(bitPattern: -1), reference)
    }
    let (outer, position) = (current, LLVMGetInsertBlock(builder))
    current = function.ref
    LLVMPositionBuilderAtEnd(builder, LLVMAppendBasicBlockInContext(context, function.ref, "entry"))
    body(function.parameters)
    current = outer
    if let position { LLVMPositionBuilderAtEnd(builder, position) }
    return function
  }

  /// Promises that the pointer parameters of `function` do not alias.
  package func markNoAlias(_ function: IRFunction, parameters: Range<Int>) {
    let name = "noalias"
    let kind = LLVMGetEnumAttributeKindForName(name, name.utf8.count)
    for index in parameters {
      let reference = LLVMCreateEnumAttribute(context, kind, 0)
      LLVMAddAttributeAtIndex(function.ref, LLVMAttributeIndex(index + 1), reference)
    }
  }

  /// Emits a call.
  @discardableResult
  package func call(_ function: IRFunction, _ arguments: [IRValue]) -> IRValue {
    var refs: [LLVMValueRef?] = arguments.map(\.ref)
    return IRValue(
      LLVMBuildCall2(builder, function.type, function.ref, &refs, UInt32(refs.count), ""))
  }

  /// Emits a call of LLVM's intrinsic `name`, overloaded on `types`.
  @discardableResult
  package func intrinsic(
    _ name: String, overloads types: [IRType], _ arguments: [IRValue]
  ) -> IRValue {
    let id = LLVMLookupIntrinsicID(name, name.utf8.count)
    precondition(id != 0, "LLVM has no intrinsic \(name)")
    var refs: [LLVMTypeRef?] = types.map(\.ref)
    let function = LLVMGetIntrinsicDeclaration(module, id, &refs, refs.count)
    guard let function, let type = LLVMGlobalGetValueType(function) else {
      preconditionFailure("LLVM returned no declaration of \(name)")
    }
    return call(IRFunction(ref: function, type: type), arguments)
  }

  /// Emits a return without a value.
  package func returnVoid() { LLVMBuildRetVoid(builder) }

  /// Emits a return of `value`.
  package func returnValue(_ value: IRValue) { LLVMBuildRet(builder, value.ref) }

  // MARK: Blocks

  func appendBlock(_ name: String) -> LLVMBasicBlockRef {
    guard let current, let block = LLVMAppendBasicBlockInContext(context, current, name) else {
      preconditionFailure("no function is being built")
    }
    return block
  }

  var insertionBlock: LLVMBasicBlockRef {
    guard let block = LLVMGetInsertBlock(builder) else {
      preconditionFailure("no function is being built")
    }
    return block
  }

  func moveTo(_ block: LLVMBasicBlockRef) { LLVMPositionBuilderAtEnd(builder, block) }
}
