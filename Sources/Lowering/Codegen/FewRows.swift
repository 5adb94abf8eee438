internal import LLVMKit
internal import MoTIR

// Linear maps of few rows, as in decoding: each weight is read once and multiplied by a row or some, so memory is the
// limit. Threads share the panels of all weights, and each takes all rows through its own.
extension CodeGenerator {
  /// (x, w forward…, y…, plan?)
  func emitFewRowLinear(_ shape: LinearShape, _ frame: KernelFrame) {
    let count = shape.outputs.count
    let rows = fewRowOperand(shape, frame)
    let panels = shape.outputs.map { plan.tile.padded($0) / plan.tile.columns }
    let (from, to) = share(ir.int(panels.reduce(0, +)), frame)
    var before = 0
    for (index, width) in shape.outputs.enumerated() {
      let first = ir.max(ir.sub(from, ir.int(before)), ir.int(0))
      let map = FewRowMap(
        rows: rows, weights: frame.arguments[1 + index], width: width, panels: panels[index],
        first: first, end: ir.min(ir.sub(to, ir.int(before)), ir.int(panels[index])),
        y: frame.arguments[1 + count + index])
      emit(map, shape, plan: frame.arguments.last)
      before += panels[index]
    }
  }

  /// The part of one of a kernel's linear maps that falls to a thread.
  private struct FewRowMap {
    /// The rows of x.
    let rows: MatmulOperand
    /// All groups' packed weights.
    let weights: IRValue
    /// N
    let width: Int
    /// Panels of a group.
    let panels: Int
    /// The panels that fall to the thread.
    let first, end: IRValue
    /// The result. [T, N]
    let y: IRValue
  }

  /// Returns the rows of x as an operand: in place, or rounded in the thread's own memory. All threads do all rows:
  /// that is less than waiting for each other.
  private func fewRowOperand(_ shape: LinearShape, _ frame: KernelFrame) -> MatmulOperand {
    let x = frame.arguments[0]
    guard operands != .f32 else {
      return MatmulOperand(base: x, rowStride: shape.input, depthStride: 1)
    }
    let units = operands.units(shape.input)
    reserveScratch(4 * shape.rows * units)
    ir.clear(frame.scratch, bytes: ir.int(4 * shape.rows * units))
    ir.loop(from: ir.int(0), to: ir.int(shape.rows)) { row in
      let source = at(x, ir.mul(row, ir.int(shape.input)))
      let target = at(frame.scratch, ir.mul(row, ir.int(units)))
      columns(shape.input) { column, active in
        let value = load(at(source, column), active, scalar: shape.input == 1)
        store(roundToBF16(value), ir.element(target, column, ir.i16), active)
      }
    }
    return MatmulOperand(base: frame.scratch, rowStride: units, depthStride: 1)
  }

  /// Emits a thread's part of one linear map, segment by segment; rows without a group become 0.
  private func emit(_ map: FewRowMap, _ shape: LinearShape, plan argument: IRValue?) {
    guard let routing = shape.routing, let argument else {
      return multiply(map, shape, from: ir.int(0), to: ir.int(shape.rows), group: ir.int(0))
    }
    segmentLoop((argument, routing.segments), rows: shape.rows, grain: 1) { segment in
      let group = loadIndex(groupTable(routing.groups), segment.number)
      _ = ir.choose(ir.compare(.less, group, ir.int(0))) {
        clear(map, from: segment.start, to: segment.end)
        return []
      } otherwise: {
        multiply(map, shape, from: segment.start, to: segment.end, group: group)
        return []
      }
    }
  }

  /// y[from ..< to] = 0
  private func clear(_ map: FewRowMap, from first: IRValue, to end: IRValue) {
    ir.loop(from: first, to: end) { row in
      forEachPanel(of: map) { _, column in
        forEachVector(of: column, below: map.width) { place, mask, _ in
          let target = at(map.y, ir.add(ir.mul(row, ir.int(map.width)), place))
          ir.maskedStore(ir.zero(vector), target, mask)
        }
      }
    }
  }

  /// Emits `body` with each panel of a thread's part, and its first column.
  private func forEachPanel(
    of map: FewRowMap, _ body: (_ panel: IRValue, _ column: IRValue) -> Void
  ) {
    ir.loop(from: map.first, to: map.end) { body($0, ir.mul($0, ir.int(plan.tile.columns))) }
  }

  /// Emits `body` for each vector of a panel that begins at `column`, with the mask of its columns below `width`.
  private func forEachVector(
    of column: IRValue, below width: Int,
    _ body: (_ column: IRValue, _ mask: IRValue, _ number: Int) -> Void
  ) {
    for number in 0..<plan.tile.vectors {
      let place = ir.add(column, ir.int(number * lanes))
      body(place, lanes(from: place, below: ir.int(width)), number)
    }
  }

  /// y[from ..< to] = x wᵀ by the weights of one group: a panel stays in the first caches while the rows pass, some
  /// at a time.
  private func multiply(
    _ map: FewRowMap, _ shape: LinearShape, from first: IRValue, to end: IRValue, group: IRValue
  ) {
    let units = operands.units(shape.input)
    let panelUnits = units * plan.tile.columns
    ir.when(ir.compare(.less, first, end)) {
      forEachPanel(of: map) { panel, column in
        let number = ir.add(ir.mul(group, ir.int(map.panels)), panel)
        let weights = at(map.weights, ir.mul(number, ir.int(panelUnits)))
        var start = first
        for height in [4, 1] {
          let whole = ir.mul(ir.udiv(ir.sub(end, start), ir.int(height)), ir.int(height))
          let stop = ir.add(start, whole)
          ir.loop(from: start, to: stop, by: height) { row in
            let x = at(map.rows.base, ir.mul(row, ir.int(map.rows.rowStride)))
            let y = at(map.y, ir.mul(row, ir.int(map.width)))
            fewRowTile(height, map, [x, weights, y, column, ir.int(units)])
          }
          start = stop
        }
      }
    }
  }

  /// Emits a call of the tile of `height` rows: (x, weights, y, column, depth).
  private func fewRowTile(_ height: Int, _ map: FewRowMap, _ arguments: [IRValue]) {
    let name = "few_rows_\(height)_a\(map.rows.rowStride)_c\(map.width)_\(operands.rawValue)"
    callShared(name, arguments) { p in
      let zeros = [IRValue](
        repeating: ir.zero(vector), count: height * plan.tile.vectors)
      let state = ir.loop(
        from: ir.int(0), to: p[4], carrying: zeros + [p[0], p[1]]
      ) { _, carried in fewRowStep(height, map.rows, carried) }
      forEachVector(of: p[3], below: map.width) { column, mask, number in
        for row in 0..<height {
          let place = at(at(p[2], row * map.width), column)
          ir.maskedStore(state[row * plan.tile.vectors + number], place, mask)
        }
      }
    }
  }

  /// Emits one depth step of a tile: `state` holds the accumulators and the pointers into x and the weights.
  private func fewRowStep(
    _ height: Int, _ rows: MatmulOperand, _ state: [IRValue]
  ) -> [IRValue] {
    let (x, weights) = (state[state.count - 2], state[state.count - 1])
    // Some pages ahead of what the hardware would fetch by itself.
    for line in 0..<plan.tile.columns / lineUnits {
      ir.prefetch(at(weights, fewRowAhead + line * lineUnits))
    }
    var sums = Array(state.dropLast(2))
    let wide = (0..<plan.tile.vectors).map { loadUnits(at(weights, $0 * lanes), operands) }
    for row in 0..<height {
      let unit = broadcastUnit(at(x, row * rows.rowStride), operands)
      for number in 0..<plan.tile.vectors {
        let index = row * plan.tile.vectors + number
        sums[index] = multiplyUnits(unit, wide[number], sums[index], operands)
      }
    }
    return sums + [at(x, rows.depthStride), at(weights, plan.tile.columns)]
  }

  /// Units from the weights that are read to those that are fetched.
  private var fewRowAhead: Int { 1024 }
}
