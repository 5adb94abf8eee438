internal import CLLVM

// Arithmetic, memory and vector instructions. Floating-point instructions may be contracted into
// fused multiply-adds nowhere but where `multiplyAdd` asks for it.
extension IRBuilder {
  // MARK: Integers

  /// Adds integers; an overflow wraps around.
  package func add(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildAdd(builder, a.ref, b.ref, ""))
  }

  /// Subtracts integers; an overflow wraps around.
  package func sub(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildSub(builder, a.ref, b.ref, ""))
  }

  /// Multiplies integers; an overflow wraps around.
  package func mul(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildMul(builder, a.ref, b.ref, ""))
  }

  /// Divides unsigned integers, rounding down.
  package func udiv(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildUDiv(builder, a.ref, b.ref, ""))
  }

  /// Returns the remainder of unsigned integers.
  package func urem(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildURem(builder, a.ref, b.ref, ""))
  }

  /// Combines the bits of two integers by “and”.
  package func and(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildAnd(builder, a.ref, b.ref, ""))
  }

  /// Combines the bits of two integers by “or”.
  package func or(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildOr(builder, a.ref, b.ref, ""))
  }

  /// Combines the bits of two integers by “exclusive or”.
  package func xor(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildXor(builder, a.ref, b.ref, ""))
  }

  /// Shifts bits to the left; zeros come in.
  package func shiftLeft(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildShl(builder, a.ref, b.ref, ""))
  }

  /// Shifts bits to the right; zeros come in.
  package func shiftRight(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildLShr(builder, a.ref, b.ref, ""))
  }

  /// Shifts bits to the right; copies of the sign come in.
  package func shiftRightArithmetic(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildAShr(builder, a.ref, b.ref, ""))
  }

  /// How two numbers are compared.
  package enum Comparison {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
  }

  /// Compares signed integers.
  package func compare(_ comparison: Comparison, _ a: IRValue, _ b: IRValue) -> IRValue {
    let predicate =
      switch comparison {
      case .equal: LLVMIntEQ
      case .notEqual: LLVMIntNE
      case .less: LLVMIntSLT
      case .lessOrEqual: LLVMIntSLE
      case .greater: LLVMIntSGT
      case .greaterOrEqual: LLVMIntSGE
      }
    return IRValue(LLVMBuildICmp(builder, predicate, a.ref, b.ref, ""))
  }

  /// Returns the smaller of two signed integers.
  package func min(_ a: IRValue, _ b: IRValue) -> IRValue { select(compare(.less, a, b), a, b) }

  /// Returns the larger of two signed integers.
  package func max(_ a: IRValue, _ b: IRValue) -> IRValue { select(compare(.less, a, b), b, a) }

  /// Returns `a` where `condition` is true and `b` where it is false, lane by lane for vectors.
  package func select(_ condition: IRValue, _ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildSelect(builder, condition.ref, a.ref, b.ref, ""))
  }

  // MARK: Floating point

  /// Adds floating-point numbers.
  package func fadd(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildFAdd(builder, a.ref, b.ref, ""))
  }

  /// Subtracts floating-point numbers.
  package func fsub(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildFSub(builder, a.ref, b.ref, ""))
  }

  /// Multiplies floating-point numbers.
  package func fmul(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildFMul(builder, a.ref, b.ref, ""))
  }

  /// Divides floating-point numbers.
  package func fdiv(_ a: IRValue, _ b: IRValue) -> IRValue {
    IRValue(LLVMBuildFDiv(builder, a.ref, b.ref, ""))
  }

  /// Turns the sign of a floating-point number.
  package func fneg(_ a: IRValue) -> IRValue { IRValue(LLVMBuildFNeg(builder, a.ref, "")) }

  /// a · b + c, fused where the target has the instruction.
  package func multiplyAdd(_ a: IRValue, _ b: IRValue, _ c: IRValue) -> IRValue {
    intrinsic("llvm.fmuladd", overloads: [a.type], [a, b, c])
  }

  /// Compares floating-point numbers; false if one is NaN, but for `notEqual`, which is then true.
  package func fcompare(_ comparison: Comparison, _ a: IRValue, _ b: IRValue) -> IRValue {
    let predicate =
      switch comparison {
      case .equal: LLVMRealOEQ
      case .notEqual: LLVMRealUNE
      case .less: LLVMRealOLT
      case .lessOrEqual: LLVMRealOLE
      case .greater: LLVMRealOGT
      case .greaterOrEqual: LLVMRealOGE
      }
    return IRValue(LLVMBuildFCmp(builder, predicate, a.ref, b.ref, ""))
  }

  /// Returns the larger of two floating-point numbers, and `b` if one of them is NaN.
  package func fmax(_ a: IRValue, _ b: IRValue) -> IRValue {
    select(fcompare(.greater, a, b), a, b)
  }

  /// Returns the square root, correctly rounded.
  package func sqrt(_ a: IRValue) -> IRValue {
    intrinsic("llvm.sqrt", overloads: [a.type], [a])
  }

  // MARK: Conversions

  /// Reads the bits of `a` as a value of `type`, which is as wide.
  package func bitcast(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildBitCast(builder, a.ref, type.ref, ""))
  }

  /// Widens a signed integer.
  package func signExtend(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildSExt(builder, a.ref, type.ref, ""))
  }

  /// Widens an unsigned integer.
  package func zeroExtend(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildZExt(builder, a.ref, type.ref, ""))
  }

  /// Keeps the low bits of an integer.
  package func truncate(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildTrunc(builder, a.ref, type.ref, ""))
  }

  /// Converts a signed integer to floating point.
  package func signedToFloat(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildSIToFP(builder, a.ref, type.ref, ""))
  }

  /// Converts a floating-point number to a signed integer, towards 0.
  ///
  /// - Requires: the integer fits.
  package func floatToSigned(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildFPToSI(builder, a.ref, type.ref, ""))
  }

  /// Widens a floating-point number.
  package func floatExtend(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildFPExt(builder, a.ref, type.ref, ""))
  }

  /// Rounds a floating-point number to a narrower type.
  package func floatTruncate(_ a: IRValue, _ type: IRType) -> IRValue {
    IRValue(LLVMBuildFPTrunc(builder, a.ref, type.ref, ""))
  }

  // MARK: Memory

  /// Returns the address of element `index` of an array of `type` at `base`.
  package func element(_ base: IRValue, _ index: IRValue, _ type: IRType) -> IRValue {
    var indices: [LLVMValueRef?] = [index.ref]
    return IRValue(LLVMBuildInBoundsGEP2(builder, type.ref, base.ref, &indices, 1, ""))
  }

  /// Loads a `type` from `address`, which is a multiple of `align`: of one f32 unless told.
  package func load(_ type: IRType, _ address: IRValue, align: Int = 4) -> IRValue {
    let value = LLVMBuildLoad2(builder, type.ref, address.ref, "")
    LLVMSetAlignment(value, UInt32(align))
    return IRValue(value)
  }

  /// Stores `value` to `address`, which is a multiple of `align`: of one f32 unless told.
  package func store(_ value: IRValue, _ address: IRValue, align: Int = 4) {
    LLVMSetAlignment(LLVMBuildStore(builder, value.ref, address.ref), UInt32(align))
  }

  /// Asks for the cache line at `address` to be brought to a cache, or for writing to where this core alone has it;
  /// any address will do.
  package func prefetch(
    _ address: IRValue, into cache: CacheLevel = .second, forWriting: Bool = false
  ) {
    let data = int(1, i32)
    intrinsic(
      "llvm.prefetch", overloads: [pointer],
      [address, int(forWriting ? 1 : 0, i32), int(cache.rawValue, i32), data])
  }

  /// Stores `value` to memory past the caches, for what is not read soon.
  ///
  /// - Requires: `address` is a multiple of the value's size.
  package func stream(_ value: IRValue, _ address: IRValue) {
    let bytes = UInt32(4 * value.type.lanes)
    guard let instruction = LLVMBuildStore(builder, value.ref, address.ref) else { return }
    LLVMSetAlignment(instruction, bytes)
    let name = "nontemporal"
    let kind = LLVMGetMDKindIDInContext(context, name, UInt32(name.utf8.count))
    var one: [LLVMMetadataRef?] = [LLVMValueAsMetadata(LLVMConstInt(i32.ref, 1, 0))]
    let node = LLVMMDNodeInContext2(context, &one, one.count)
    LLVMSetMetadata(instruction, kind, LLVMMetadataAsValue(context, node))
  }

  /// Loads the lanes of `mask`; the others are 0.
  package func maskedLoad(_ type: IRType, _ address: IRValue, _ mask: IRValue) -> IRValue {
    intrinsic(
      "llvm.masked.load", overloads: [type, pointer], [address, mask, zero(type)])
  }

  /// Stores the lanes of `mask`.
  package func maskedStore(_ value: IRValue, _ address: IRValue, _ mask: IRValue) {
    intrinsic("llvm.masked.store", overloads: [value.type, pointer], [value, address, mask])
  }

  /// Sets `bytes` bytes at `address` to 0.
  package func clear(_ address: IRValue, bytes: IRValue) {
    LLVMBuildMemSet(
      builder, address.ref, int(0, IRType(LLVMInt8TypeInContext(context))).ref, bytes.ref, 4)
  }

  /// Copies `bytes` bytes between areas that do not overlap.
  package func copy(to: IRValue, from: IRValue, bytes: IRValue) {
    LLVMBuildMemCpy(builder, to.ref, 4, from.ref, 4, bytes.ref)
  }

  // MARK: Vectors

  /// Returns a vector with `value` in every lane.
  package func splat(_ value: IRValue, _ lanes: Int) -> IRValue {
    guard lanes > 1 else { return value }
    let type = vector(value.type, lanes)
    let poison = LLVMGetPoison(type.ref)
    let first = LLVMBuildInsertElement(builder, poison, value.ref, int(0, i32).ref, "")
    return IRValue(
      LLVMBuildShuffleVector(builder, first, poison, zero(vector(i32, lanes)).ref, ""))
  }

  /// Returns the lanes `lanes` of `a` and `b` taken one after the other.
  package func shuffle(_ a: IRValue, _ b: IRValue, _ lanes: [Int]) -> IRValue {
    let mask = constantVector(lanes.map { int($0, i32) })
    return IRValue(LLVMBuildShuffleVector(builder, a.ref, b.ref, mask.ref, ""))
  }

  /// Returns `vector` with `value` in lane `lane`.
  package func insert(_ value: IRValue, into vector: IRValue, lane: Int) -> IRValue {
    IRValue(LLVMBuildInsertElement(builder, vector.ref, value.ref, int(lane, i32).ref, ""))
  }

  /// Returns lane `lane`.
  package func extract(_ a: IRValue, _ lane: Int) -> IRValue {
    IRValue(LLVMBuildExtractElement(builder, a.ref, int(lane, i32).ref, ""))
  }

  /// Combines all lanes by `combine`, halving the vector: the order is fixed, so results repeat.
  package func reduce(_ a: IRValue, _ combine: (IRValue, IRValue) -> IRValue) -> IRValue {
    var value = a
    while value.type.lanes > 1 {
      let half = value.type.lanes / 2
      value = combine(
        shuffle(value, value, Array(0..<half)), shuffle(value, value, Array(half..<2 * half)))
    }
    return a.type.lanes > 1 ? extract(value, 0) : value
  }

  // MARK: Atomics

  /// Adds to a 32-bit integer in memory and returns what was there before; sequentially consistent.
  package func atomicAdd(_ address: IRValue, _ value: IRValue) -> IRValue {
    IRValue(
      LLVMBuildAtomicRMW(
        builder, LLVMAtomicRMWBinOpAdd, address.ref, value.ref,
        LLVMAtomicOrderingSequentiallyConsistent, 0))
  }

  /// Loads an i32 that other threads write.
  package func atomicLoad(_ address: IRValue) -> IRValue {
    let value = load(i32, address)
    LLVMSetOrdering(value.ref, LLVMAtomicOrderingSequentiallyConsistent)
    return value
  }

  /// Stores an i32 that other threads read.
  package func atomicStore(_ value: IRValue, _ address: IRValue) {
    let instruction = LLVMBuildStore(builder, value.ref, address.ref)
    LLVMSetAlignment(instruction, 4)
    LLVMSetOrdering(instruction, LLVMAtomicOrderingSequentiallyConsistent)
  }

  /// Reserves `bytes` bytes on the stack; call it in the function's entry block only.
  package func stack(bytes: Int) -> IRValue {
    let type = LLVMArrayType2(LLVMInt8TypeInContext(context), UInt64(bytes))
    let value = LLVMBuildAlloca(builder, type, "")
    LLVMSetAlignment(value, 64)
    return IRValue(value)
  }
}

/// A cache of a core, by LLVM's number for how near data are kept.
package enum CacheLevel: Int {
  case second = 2
  case first = 3
}
