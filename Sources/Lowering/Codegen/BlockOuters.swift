internal import LLVMKit
internal import MoTIR

// Rows of a block as operands of weight gradients' outer products: laid out while they are in cache.
extension BlockEmitter {
  /// Lays the block's rows of `value` out, or those of the present strip.
  func layOut(_ value: Int) {
    guard let outer = program.values[value].outer else { return }
    let operands = code.operands
    let (width, parts) = (program.values[value].width, program.plan?.segments ?? 1)
    let units = operands.outerUnits(rows: program.rows, parts: parts)
    let start = strip?.start ?? ir.int(0)
    // Channels of a strip, a multiple of a panel's, are whole in both layouts.
    let channels = code.at(frame.arguments[outer.argument], ir.mul(start, ir.int(units)))
    let area = OuterArea(
      side: outer.side, base: channels, units: units,
      bytes: operands.outerBytes(
        rows: program.rows, width: code.plan.tile.padded(width), parts: parts))
    let (base, stride) = rows(of: value, from: start)
    let rows = SourceRows(
      base: base, width: strip?.columns ?? width, stride: stride, start: ir.int(0),
      end: block.count)
    // Rows of no segment are in no weight gradient, and bands have no room for them.
    let isInside =
      operands.band == 1
      ? ir.int(1, ir.i1) : ir.compare(.less, block.segment, ir.int(parts))
    ir.when(isInside) {
      let bands = code.ceilDivide(block.count, operands.band)
      code.layOut(rows, bands: (ir.int(0), bands), into: area, from: firstUnit)
    }
  }

  /// The first unit of the block among those of all rows: a grain is a band, or a row is one.
  private var firstUnit: IRValue {
    code.operands.band == 1
      ? block.first : ir.mul(block.grain, ir.int(code.operands.units(program.grain)))
  }

  /// Returns where column `start` of the block's first row of `value` is, and how far rows are apart.
  private func rows(of value: Int, from start: IRValue) -> (base: IRValue, stride: Int) {
    switch layout.homes[value] {
    case .strip(let offset, let leading): return (scratch(offset), leading)
    case .block(let offset, let leading): return (code.at(scratch(offset), start), leading)
    case .stored:
      return (code.at(storedRow(value, block.first), start), program.values[value].width)
    case .register, .row: preconditionFailure("a value that is laid out has no rows")
    }
  }
}
