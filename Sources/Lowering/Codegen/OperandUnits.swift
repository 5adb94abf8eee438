internal import LLVMKit
internal import MoTIR

// Elements of matmul operands as units: see `OperandFormat`.
extension CodeGenerator {
  /// What the plan's matmul operands are made of.
  var operands: OperandFormat { plan.operands }

  /// Returns the units of `deep` elements of depth.
  func units(_ deep: IRValue) -> IRValue {
    switch operands {
    case .f32: deep
    case .bf16: ceilDivide(deep, 2)
    case .splitF32: ir.mul(ceilDivide(deep, operands.band), ir.int(operands.bandUnits))
    }
  }

  /// Returns where a term of unit `number` of depth is, in units.
  func place(ofUnit number: IRValue, term: Int) -> IRValue {
    guard operands.terms > 1 else { return number }
    let units = termUnits
    let band = ir.mul(ir.udiv(number, ir.int(units)), ir.int(operands.bandUnits))
    return ir.add(band, ir.add(ir.urem(number, ir.int(units)), ir.int(term * units)))
  }

  /// Units of a band that belong to one term.
  var termUnits: Int { operands.bandUnits / operands.terms }

  // MARK: Terms

  /// Returns the terms of f32 lanes: bf16 in the high halves of 32 bits, and zeros in the low ones.
  ///
  /// Halves are rounded away from 0, which takes two integer instructions; the last term is exact.
  private func splitTerms(_ value: IRValue) -> [IRValue] {
    let bits = ir.vector(ir.i32, value.type.lanes)
    var rest = value
    var terms: [IRValue] = []
    for _ in 1..<operands.terms {
      let nearest = ir.and(
        ir.add(ir.bitcast(rest, bits), ir.int(0x8000, bits)), ir.int(-0x1_0000, bits))
      terms.append(nearest)
      rest = ir.fsub(rest, ir.bitcast(nearest, value.type))
    }
    return terms + [ir.and(ir.bitcast(rest, bits), ir.int(-0x1_0000, bits))]
  }

  /// Returns a vector of units a term: lanes of `first` and of `second`, which are neighbours in depth.
  func pairs(_ first: IRValue, _ second: IRValue) -> [IRValue] {
    switch operands {
    case .f32: preconditionFailure("a unit of f32 is one element")
    case .bf16:
      let order = (0..<lanes).flatMap { [$0, lanes + $0] }
      return [ir.bitcast(ir.shuffle(roundToBF16(first), roundToBF16(second), order), vector)]
    case .splitF32:
      return zip(splitTerms(first), splitTerms(second)).map { first, second in
        ir.bitcast(ir.or(ir.shiftRight(first, ir.int(16, first.type)), second), vector)
      }
    }
  }

  /// Returns a vector of units a term, of lanes that are neighbours in depth; those of `high` follow on `low`.
  func neighbours(_ low: IRValue, _ high: IRValue) -> [IRValue] {
    switch operands {
    case .f32: preconditionFailure("a unit of f32 is one element")
    case .bf16:
      let both = ir.shuffle(roundToBF16(low), roundToBF16(high), Array(0..<2 * lanes))
      return [ir.bitcast(both, vector)]
    case .splitF32:
      return zip(splitTerms(low), splitTerms(high)).map { low, high in
        ir.bitcast(highHalves([low, high]), vector)
      }
    }
  }

  /// Returns the high halves of 32-bit lanes, of one vector after the other.
  private func highHalves(_ values: [IRValue]) -> IRValue {
    let count = values[0].type.lanes
    let halves = values.map { ir.bitcast($0, ir.vector(ir.i16, 2 * count)) }
    let order = (0..<values.count * count).map { 2 * $0 + 1 }
    return ir.shuffle(halves[0], halves[values.count - 1], order)
  }

  // MARK: Rows as left operands

  /// Stores `active` lanes of f32 as elements from `column` on of the operand's row at `start`.
  ///
  /// - Requires: the row was opened.
  func storeOperand(_ value: IRValue, _ start: IRValue, _ column: IRValue, _ active: Int) {
    switch operands {
    case .f32: store(value, at(start, column), active)
    case .bf16: store(roundToBF16(value), ir.element(start, column, ir.i16), active)
    case .splitF32:
      let band = ir.int(operands.band)
      let first = ir.mul(ir.udiv(column, band), ir.int(2 * operands.bandUnits))
      let place = ir.element(start, ir.add(first, ir.urem(column, band)), ir.i16)
      let lanes = value.type.lanes == 1 ? ir.splat(value, self.lanes) : value
      for (term, bits) in splitTerms(lanes).enumerated() {
        let target = ir.element(place, ir.int(term * operands.band), ir.i16)
        store(highHalves([bits]), target, active)
      }
    }
  }

  /// Clears what the elements of an operand's row at `start` leave of its last unit, or of its last band.
  func openOperandRow(_ start: IRValue, width: Int) {
    let end = operands.units(width)
    switch operands {
    case .f32: break
    case .bf16:
      if !width.isMultiple(of: 2) { ir.store(ir.int(0, ir.i32), at(start, end - 1)) }
    case .splitF32:
      guard !width.isMultiple(of: operands.band) else { return }
      ir.clear(
        at(start, end - operands.bandUnits), bytes: ir.int(4 * operands.bandUnits))
    }
  }
}
