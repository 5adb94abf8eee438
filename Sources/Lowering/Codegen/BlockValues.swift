internal import LLVMKit
internal import MoTIR

// Reading and writing a row's values, wherever they live.
extension BlockEmitter {
  /// Returns `active` lanes of the row of `value` from `column` on; a scalar if the value is 1 wide.
  func read(_ value: Int, _ column: IRValue, _ active: Int) -> IRValue {
    if let register = registers[value] { return register }
    let description = program.values[value]
    if case .constant(let number) = description.source {
      return ir.float(number, description.width == 1 && active == 1 ? ir.f32 : code.vector)
    }
    if case .scalar(let argument) = description.source {
      return ir.load(ir.f32, frame.arguments[argument])
    }
    let element = description.element == .f32 ? ir.f32 : ir.i32
    return code.load(
      address(of: value, column), active, scalar: description.width == 1, element: element)
  }

  /// Returns the only element of a value of width 1, or a scalar.
  func readNarrow(_ value: Int) -> IRValue {
    let description = program.values[value]
    if case .constant(let number) = description.source { return ir.float(number) }
    if case .scalar(let argument) = description.source {
      return ir.load(ir.f32, frame.arguments[argument])
    }
    return ir.load(
      description.element == .f32 ? ir.f32 : ir.i32, address(of: value, ir.int(0)))
  }

  /// Returns the address of column `column` of the row of `value`.
  func address(of value: Int, _ column: IRValue) -> IRValue {
    guard let row else { preconditionFailure("no row is being worked on") }
    let width = ir.int(program.values[value].width)
    if case .rows(let argument, let access) = program.values[value].source {
      let index = access == .identity ? row.index : routed(row)
      return code.at(frame.arguments[argument], ir.add(ir.mul(index, width), column))
    }
    switch layout.homes[value] {
    case .row(let offset): return code.at(scratch(offset), column)
    case .block(let offset, let leading):
      return code.at(scratch(offset), ir.add(ir.mul(row.inBlock, ir.int(leading)), column))
    case .strip(let offset, let leading):
      let inStrip = ir.sub(column, strip?.start ?? ir.int(0))
      return code.at(scratch(offset), ir.add(ir.mul(row.inBlock, ir.int(leading)), inStrip))
    case .stored: return code.at(storedRow(value, row.index), column)
    case .register: preconditionFailure("a value is read outside of its column loop")
    }
  }

  /// Adds lanes of the row to the partial sum of its grain.
  func addToSum(
    _ value: Int, _ column: IRValue, _ lanes: IRValue, _ active: Int, scalar: Bool
  ) {
    guard let row else { preconditionFailure("no row is being worked on") }
    let address = code.at(sumAddress(value, inBlock: row.inBlock), column)
    let sum = code.load(address, active, scalar: scalar)
    code.store(ir.fadd(sum, lanes), address, active)
  }

  private func routed(_ row: Row) -> IRValue {
    guard let routed = row.routed else { preconditionFailure("the block has no plan") }
    return routed
  }

  /// Writes lanes of `value` to where later items read them, if `home` asks so, and to its store.
  func write(_ value: Int, _ column: IRValue, _ lanes: IRValue, _ active: Int, home: Bool = true) {
    var needsStore = program.values[value].store != nil
    switch layout.homes[value] {
    case .register: break
    case .row: if home { code.store(lanes, address(of: value, column), active) }
    case .block, .strip: code.store(lanes, address(of: value, column), active)
    case .stored:
      code.store(lanes, address(of: value, column), active)
      needsStore = false
    }
    if needsStore { writeStore(value, column, lanes, active) }
  }

  /// Writes lanes of `value` to its store.
  func writeStore(_ value: Int, _ column: IRValue, _ lanes: IRValue, _ active: Int) {
    guard let row, let store = program.values[value].store else { return }
    let index = store.access == .identity ? row.index : routed(row)
    let address = code.at(storedRow(value, index), column)
    guard layout.isStreamed(value), active == code.lanes else {
      return code.store(lanes, address, active)
    }
    ir.stream(lanes, address)
  }

  /// Writes lanes of `value` as an operand of a matmul.
  func writeOperand(_ value: Int, _ column: IRValue, _ active: Int) {
    code.storeOperand(read(value, column, active), operandRow(value), column, active)
  }

  /// Returns where the row of `value` is as an operand of a matmul.
  func operandRow(_ value: Int) -> IRValue {
    guard let row else { preconditionFailure("no row is being worked on") }
    return code.operandRow(
      row.inBlock, units: layout.operandStride(value), in: operandAddress(value))
  }
}

extension CodeGenerator {
  /// Rounds f32 to bf16, to nearest even, as 16-bit integers.
  func roundToBF16(_ value: IRValue) -> IRValue {
    let lanes = value.type.lanes
    func type(_ element: IRType) -> IRType { lanes == 1 ? element : ir.vector(element, lanes) }
    guard !target.hasBF16DotProduct else {
      return ir.bitcast(ir.floatTruncate(value, type(ir.bf16)), type(ir.i16))
    }
    // Without an instruction for it LLVM would call a library, one element after another.
    let bits = ir.bitcast(value, type(ir.i32))
    let high = ir.shiftRight(bits, ir.int(16, bits.type))
    let bias = ir.add(ir.and(high, ir.int(1, bits.type)), ir.int(0x7FFF, bits.type))
    let nearest = ir.shiftRight(ir.add(bits, bias), ir.int(16, bits.type))
    let quiet = ir.or(high, ir.int(0x40, bits.type))
    let isNaN = ir.fcompare(.notEqual, value, value)
    return ir.truncate(ir.select(isNaN, quiet, nearest), type(ir.i16))
  }
}
