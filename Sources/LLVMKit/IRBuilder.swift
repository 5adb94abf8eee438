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

  /// Creates an empty module called `name`.
  package convenience init(name: String) {
    let context: LLVMContextRef = LLVMContextCreate()
    self.init(context: context, module: LLVMModuleCreateWithNameInContext(name, context))
  }

  /// Takes over `module` and its context.
  init(context: LLVMContextRef, module: LLVMModuleRef) {
    self.context = context
    self.module = module
    builder = LLVMCreateBuilderInContext(context)
  }

  deinit {
    LLVMDisposeBuilder(builder)
    LLVMDisposeModule(module)
    LLVMContextDispose(context)
  }

  // MARK: Types

  /// A boolean.
  package var i1: IRType { IRType(LLVMInt1TypeInContext(context)) }
  /// A byte.
  package var i8: IRType { IRType(LLVMInt8TypeInContext(context)) }
  /// A 16-bit integer, signed or not as instructions say.
  package var i16: IRType { IRType(LLVMInt16TypeInContext(context)) }
  /// A 32-bit integer.
  package var i32: IRType { IRType(LLVMInt32TypeInContext(context)) }
  /// A 64-bit integer.
  package var i64: IRType { IRType(LLVMInt64TypeInContext(context)) }
  /// A float of 32 bits.
  package var f32: IRType { IRType(LLVMFloatTypeInContext(context)) }
  /// A float of 64 bits.
  package var f64: IRType { IRType(LLVMDoubleTypeInContext(context)) }
  /// A float of 16 bits, 8 of them exponent.
  package var bf16: IRType { IRType(LLVMBFloatTypeInContext(context)) }
  /// An address.
  package var pointer: IRType { IRType(LLVMPointerTypeInContext(context, 0)) }
  /// The result of a function that returns nothing.
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

  /// A word of a constant table.
  package enum Word {
    /// A number, i64.
    case number(Int)
    /// The address of a function.
    case function(IRFunction)
  }

  /// Returns the address of a private constant table of 8-byte words.
  package func constantTable(_ words: [Word], name: String) -> IRValue {
    constant(name) {
      var refs: [LLVMValueRef?] = words.map { word in
        switch word {
        case .number(let number): int(number).ref
        case .function(let function): function.ref
        }
      }
      return LLVMConstStructInContext(context, &refs, UInt32(refs.count), 0)
    }
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

  /// Declares a function that is defined elsewhere: the one already declared or defined under `name`,
  /// if there is one.
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
  /// - Parameters:
  ///   - exported: whether other objects may call it; nobody but this module can otherwise.
  ///   - attributes: LLVM's names of function attributes without a value, such as `noinline`.
  ///   - target: function attributes with a value, such as `target-cpu`.
  package func define(
    _ name: String, _ parameters: [IRType], returns result: IRType, exported: Bool = false,
    attributes: [String] = [], target: [(String, String)] = [], _ body: ([IRValue]) -> Void
  ) -> IRFunction {
    let function = declare(name, parameters, returns: result)
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

  /// Emits a call.
  @discardableResult
  package func call(_ function: IRFunction, _ arguments: [IRValue]) -> IRValue {
    var refs: [LLVMValueRef?] = arguments.map(\.ref)
    return IRValue(
      LLVMBuildCall2(builder, function.type, function.ref, &refs, UInt32(refs.count), ""))
  }

  /// Emits a call of the function at `address`, which takes and returns what `model` does.
  package func call(at address: IRValue, as model: IRFunction, _ arguments: [IRValue]) {
    call(IRFunction(ref: address.ref, type: model.type), arguments)
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
