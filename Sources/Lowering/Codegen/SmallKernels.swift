internal import LLVMKit
internal import MoTIR

// Kernels that are a loop or two.
extension CodeGenerator {
  /// (partials, out, plan?): adds the grains' partial sums in order; threads share the columns.
  func emitColumnSum(_ shape: ColumnSumShape, _ frame: KernelFrame) {
    let width = shape.width / shape.parts
    let (partials, out) = (frame.arguments[0], frame.arguments[1])
    let (from, to) = share(ir.int(width), frame)
    let count = shape.groups?.count ?? 1
    for group in 0..<count {
      ir.clear(
        at(out, ir.add(ir.int(group * width), from)), bytes: ir.mul(ir.sub(to, from), ir.int(4)))
    }
    func addGrains(_ first: IRValue, _ grains: IRValue, into group: IRValue) {
      ir.loop(from: from, to: to) { column in
        let place = at(out, ir.add(ir.mul(group, ir.int(width)), column))
        let total = ir.loop(
          from: first, to: ir.add(first, grains), carrying: [ir.load(ir.f32, place)]
        ) { grain, sum in
          let row = at(partials, ir.add(ir.mul(grain, ir.int(shape.width)), column))
          return [
            (0..<shape.parts).reduce(sum[0]) {
              ir.fadd($0, ir.load(ir.f32, at(row, $1 * width)))
            }
          ]
        }
        ir.store(total[0], place)
      }
    }
    guard shape.segments > 0 else {
      let grains = (shape.rows + shape.grain - 1) / shape.grain
      return addGrains(ir.int(0), ir.int(grains), into: ir.int(0))
    }
    segmentLoop(
      (frame.arguments[2], shape.segments), rows: shape.rows, grain: shape.grain
    ) { segment in
      let (first, count) = (segment.grainsBefore, segment.grains)
      guard let groups = shape.groups else { return addGrains(first, count, into: ir.int(0)) }
      let group = loadIndex(groupTable(groups), segment.number)
      ir.when(ir.compare(.greaterOrEqual, group, ir.int(0))) {
        addGrains(first, count, into: group)
      }
    }
  }

  /// (tokens, dy, dtable): threads share the columns, tokens come in order, so no atomics are needed.
  func emitEmbedGradient(rows: Int, vocabulary: Int, width: Int, _ frame: KernelFrame) {
    let (tokens, dy, table) = (frame.arguments[0], frame.arguments[1], frame.arguments[2])
    let vectors = (width + lanes - 1) / lanes
    let (from, to) = share(ir.int(vectors), frame)
    ir.loop(from: from, to: to) { index in
      let column = ir.mul(index, ir.int(lanes))
      func pass(_ active: Int) {
        ir.loop(from: ir.int(0), to: ir.int(vocabulary)) { token in
          store(
            ir.zero(vector), at(table, ir.add(ir.mul(token, ir.int(width)), column)), active)
        }
        ir.loop(from: ir.int(0), to: ir.int(rows)) { row in
          let token = loadIndex(tokens, row)
          let place = at(table, ir.add(ir.mul(token, ir.int(width)), column))
          let gradient = load(at(dy, ir.add(ir.mul(row, ir.int(width)), column)), active)
          store(ir.fadd(load(place, active), gradient), place, active)
        }
      }
      guard width % lanes != 0 else { return pass(lanes) }
      let isLast = ir.compare(.equal, index, ir.int(vectors - 1))
      _ = ir.choose(isLast) {
        pass(width % lanes)
        return []
      } otherwise: {
        pass(lanes)
        return []
      }
    }
  }

  /// (x, out, count): buffers are padded to cache lines, so whole vectors may be used at their ends.
  func emitRound(_ frame: KernelFrame) {
    let (from, to) = share(ceilDivide(frame.arguments[2], lanes), frame)
    ir.loop(from: from, to: to) { index in
      let place = ir.mul(index, ir.int(lanes))
      let rounded = roundToBF16(ir.load(vector, at(frame.arguments[0], place)))
      let wide = ir.zeroExtend(rounded, ir.vector(ir.i32, lanes))
      let value = ir.shiftLeft(wide, ir.int(16, wide.type))
      ir.store(ir.bitcast(value, vector), at(frame.arguments[1], place))
    }
  }

  /// (x, out)
  func emitSum(count: Int, _ frame: KernelFrame) {
    onFirstThread(frame) {
      if count == 1 { return ir.store(ir.load(ir.f32, frame.arguments[0]), frame.arguments[1]) }
      let total = columns(count, carrying: [ir.zero(vector)]) { column, active, sum in
        [ir.fadd(sum[0], load(at(frame.arguments[0], column), active))]
      }
      ir.store(ir.reduce(total[0], ir.fadd), frame.arguments[1])
    }
  }

  /// (targets, out): 1 / n at the n targets inside the ranges, 0 elsewhere.
  func emitTokenWeights(rows: Int, ranges: [Range<Int>], hasCount: Bool, _ frame: KernelFrame) {
    func isCounted(_ row: IRValue) -> IRValue {
      let target = loadIndex(frame.arguments[0], row)
      return ranges.map { range in
        ir.and(
          ir.compare(.greaterOrEqual, target, ir.int(range.lowerBound)),
          ir.compare(.less, target, ir.int(range.upperBound)))
      }.reduce(ir.int(0, ir.i1), ir.or)
    }
    onFirstThread(frame) {
      let count =
        hasCount
        ? loadIndex(frame.arguments[1], ir.int(0))
        : ir.loop(from: ir.int(0), to: ir.int(rows), carrying: [ir.int(0)]) {
          [ir.add($1[0], ir.zeroExtend(isCounted($0), ir.i64))]
        }[0]
      let weight = ir.fdiv(ir.float(1), ir.signedToFloat(ir.max(count, ir.int(1)), ir.f32))
      ir.loop(from: ir.int(0), to: ir.int(rows)) { row in
        ir.store(
          ir.select(isCounted(row), weight, ir.float(0)), at(frame.arguments[hasCount ? 2 : 1], row)
        )
      }
    }
  }

  /// (modality, plan): a counting sort, as a framework's nonzero does it op by op.
  func emitRoute(rows: Int, segments: Int, _ frame: KernelFrame) {
    let (modality, plan) = (frame.arguments[0], frame.arguments[1])
    let layout = PlanLayout(tokens: rows, segments: segments)
    func word(_ index: IRValue) -> IRValue { ir.element(plan, index, ir.i32) }
    func segment(_ row: IRValue) -> IRValue {
      let id = loadIndex(modality, row)
      let isInside = ir.and(
        ir.compare(.greaterOrEqual, id, ir.int(0)), ir.compare(.less, id, ir.int(segments)))
      return ir.select(isInside, id, ir.int(segments))
    }
    onFirstThread(frame) {
      var next = ir.int(0)
      for target in 0...segments {
        if target < segments { ir.store(ir.truncate(next, ir.i32), word(ir.int(target))) }
        next =
          ir.loop(from: ir.int(0), to: ir.int(rows), carrying: [next]) { row, carried in
            let isHere = ir.compare(.equal, segment(row), ir.int(target))
            ir.when(isHere) {
              ir.store(
                ir.truncate(row, ir.i32), word(ir.add(ir.int(layout.firstRow), carried[0])))
              ir.store(
                ir.truncate(carried[0], ir.i32), word(ir.add(ir.int(layout.firstSlot), row)))
            }
            return [ir.add(carried[0], ir.zeroExtend(isHere, ir.i64))]
          }[0]
        if target == segments - 1 { ir.store(ir.truncate(next, ir.i32), word(ir.int(segments))) }
      }
    }
  }

  /// (plan): counts, and makes all threads wait for each other, as a host would wait for a device.
  func emitSync(_ frame: KernelFrame) {
    onFirstThread(frame) {
      _ = ir.atomicAdd(bytes(frame.control, ir.int(Control.syncs)), ir.int(1, ir.i32))
    }
    barrier(frame.control, frame.threads)
  }
}
