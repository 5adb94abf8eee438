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
    case .bf16Tiles, .splitF32: ir.mul(ceilDivide(deep, operands.band), ir.int(operands.bandUnits))
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
    case .bf16, .bf16Tiles:
      let both = rounded(first, second)
      let order = (0..<lanes).flatMap { [$0, lanes + $0] }
      return [ir.bitcast(ir.shuffle(both, both, order), vector)]
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
    case .bf16, .bf16Tiles: return [ir.bitcast(rounded(low, high), vector)]
    case .splitF32:
      return zip(splitTerms(low), splitTerms(high)).map { low, high in
        ir.bitcast(highHalves([low, high]), vector)
      }
    }
  }

  /// Returns two vectors rounded to bf16, one after the other.
  private func rounded(_ low: IRValue, _ high: IRValue) -> IRValue {
    guard target.hasBF16DotProduct else {
      return ir.shuffle(roundToBF16(low), roundToBF16(high), Array(0..<2 * lanes))
    }
    let both = ir.intrinsic(
      "llvm.x86.avx512bf16.cvtne2ps2bf16.512", overloads: [], [high, low])
    return ir.bitcast(both, ir.vector(ir.i16, 2 * lanes))
  }

  /// Returns the high halves of 32-bit lanes, of one vector after the other.
  private func highHalves(_ values: [IRValue]) -> IRValue {
    let count = values[0].type.lanes
    let halves = values.map { ir.bitcast($0, ir.vector(ir.i16, 2 * count)) }
    let order = (0..<values.count * count).map { 2 * $0 + 1 }
    return ir.shuffle(halves[0], halves[values.count - 1], order)
  }

  // MARK: Left operands

  /// Returns where a row of a left operand begins, `units` units of depth a row, in an area for whole tiles.
  ///
  /// In tiles, its pieces lie a tile apart.
  func operandRow(_ row: IRValue, units: Int, in area: IRValue) -> IRValue {
    guard operands.isTiled else { return at(area, ir.mul(row, ir.int(units))) }
    let inTile = ir.urem(row, ir.int(tileSide))
    let band = ir.mul(ir.sub(row, inTile), ir.int(units))
    return at(area, ir.add(band, ir.mul(inTile, ir.int(tileSide))))
  }

  /// Stores `active` lanes of f32 as elements from `column` on of the row that begins at `start`.
  ///
  /// - Requires: the row was opened.
  func storeOperand(_ value: IRValue, _ start: IRValue, _ column: IRValue, _ active: Int) {
    switch operands {
    case .f32: store(value, at(start, column), active)
    case .bf16: store(roundToBF16(value), ir.element(start, column, ir.i16), active)
    case .bf16Tiles, .splitF32:
      let band = ir.int(operands.band)
      // Halves of units.
      let tile = 2 * tileUnits
      let first = ir.mul(ir.udiv(column, band), ir.int(operands.terms * tile))
      let place = ir.element(start, ir.add(first, ir.urem(column, band)), ir.i16)
      for (term, halves) in terms(value).enumerated() {
        store(halves, ir.element(place, ir.int(term * tile), ir.i16), active)
      }
    }
  }

  /// Returns a vector of bf16 a term, or a scalar.
  private func terms(_ value: IRValue) -> [IRValue] {
    guard operands == .splitF32 else { return [roundToBF16(value)] }
    let lanes = value.type.lanes == 1 ? ir.splat(value, self.lanes) : value
    return splitTerms(lanes).map { highHalves([$0]) }
  }

  /// Clears what the elements of a row that begins at `start` leave of its last unit, or of its last band.
  func openOperandRow(_ start: IRValue, width: Int) {
    guard operands.isTiled else {
      guard operands == .bf16, !width.isMultiple(of: 2) else { return }
      return ir.store(ir.int(0, ir.i32), at(start, width / 2))
    }
    guard !width.isMultiple(of: operands.band) else { return }
    let last = width / operands.band * operands.terms
    for term in 0..<operands.terms {
      ir.store(ir.zero(vector), at(start, (last + term) * tileUnits))
    }
  }

  /// Rows of a tile, and units of depth, and columns of a product of tiles.
  var tileSide: Int { 16 }

  /// Units of a tile.
  var tileUnits: Int { tileSide * tileSide }
}
