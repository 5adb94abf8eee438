internal import LLVMKit
internal import MoTIR

// Rows of a block as operands of weight gradients' outer products: laid out while they are in cache.
extension BlockEmitter {
  /// Lays the block's rows of `value` out, or those of the present strip.
  func layOut(_ value: Int) {
    guard let outer = program.values[value].outer else { return }
    let precision = code.plan.precision
    let (width, parts) = (program.values[value].width, program.plan?.segments ?? 1)
    let units = precision.banded(program.rows, parts: parts) / precision.depth
    let start = strip?.start ?? ir.int(0)
    // Channels of a strip, a multiple of a panel's, are whole in both layouts.
    let channels = code.at(frame.arguments[outer.argument], ir.mul(start, ir.int(units)))
    let area = OuterArea(
      side: outer.side, base: channels, units: units,
      bytes: precision.outerBytes(
        rows: program.rows, width: code.plan.tile.padded(width), parts: parts))
    let (base, stride) = rows(of: value, from: start)
    let rows = SourceRows(
      base: base, width: strip?.columns ?? width, stride: stride, start: ir.int(0),
      end: block.count)
    // Rows of no segment are in no weight gradient, and bands have no room for them.
    let isInside =
      precision.band == 1
      ? ir.int(1, ir.i1) : ir.compare(.less, block.segment, ir.int(parts))
    ir.when(isInside) {
      let bands = code.ceilDivide(block.count, precision.band)
      ir.loop(from: ir.int(0), to: bands) { band in
        let unit = ir.mul(band, ir.int(code.bandUnits))
        code.layOut(rows, from: unit, into: area, at: ir.add(firstUnit, unit))
      }
    }
  }

  /// The first unit of the block among those of all rows: a grain is a band, or a row is one.
  private var firstUnit: IRValue {
    code.plan.precision.band == 1
      ? block.first : ir.mul(block.grain, ir.int(program.grain / code.plan.precision.depth))
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
