internal import LLVMKit
internal import MoTIR

// The choice of experts, in two steps: slots are marked with 0 where an expert takes a token, and with −1 elsewhere;
// then one thread counts the rows through. T tokens, E experts of a group.
extension CodeGenerator {
  /// (scores, plan, plan of experts)
  func emitRouteExperts(_ shape: ExpertRoutingShape, _ frame: KernelFrame) {
    let (layout, experts) = (shape.layout, frame.arguments[2])
    let (from, to) = share(ir.int(layout.tokens * layout.slotsOfToken), frame)
    ir.loop(from: from, to: to) { index in
      ir.store(ir.int(-1, ir.i32), slot(index, layout, experts))
    }
    barrier(frame.control, frame.threads)
    switch shape.routing.rule {
    case .top(let count): markBest(count, shape, frame)
    case .capacity(let capacity): markChosen(capacity, shape, frame)
    }
    barrier(frame.control, frame.threads)
    onFirstThread(frame) { countRows(shape, frame) }
  }

  /// Returns the address of slot `index` of all.
  private func slot(_ index: IRValue, _ layout: PlanLayout, _ plan: IRValue) -> IRValue {
    ir.element(plan, ir.add(ir.int(layout.firstSlot), index), ir.i32)
  }

  /// Emits `body` for each token of a segment of modalities.
  private func forEachToken(
    of segment: Int, _ frame: KernelFrame, carrying carried: [IRValue],
    _ body: (_ token: IRValue, _ carried: [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    let start = loadIndex(frame.arguments[1], ir.int(segment))
    let end = loadIndex(frame.arguments[1], ir.int(segment + 1))
    return ir.loop(from: start, to: end, carrying: carried, body)
  }

  /// Returns the segments of modalities that go to the experts of `group`.
  private func segments(of group: Int, _ shape: ExpertRoutingShape) -> [Int] {
    shape.groups.ofSegment.indices.filter { shape.groups.ofSegment[$0] == group }
  }

  /// Returns the score at `index` as an integer of the same order: −0 as 0, NaN as −∞.
  private func key(_ scores: IRValue, _ index: IRValue) -> IRValue {
    let score = ir.load(ir.f32, at(scores, index))
    let isNumber = ir.fcompare(.equal, score, score)
    let number = ir.select(isNumber, ir.fadd(score, ir.float(0)), ir.float(-.infinity))
    let bits = ir.bitcast(number, ir.i32)
    let sign = ir.shiftRightArithmetic(bits, ir.int(31, ir.i32))
    return ir.xor(bits, ir.and(sign, ir.int(Int(Int32.max), ir.i32)))
  }

  // MARK: Tokens take experts

  /// Marks the `count` best experts of each token; threads share the tokens.
  private func markBest(_ count: Int, _ shape: ExpertRoutingShape, _ frame: KernelFrame) {
    for (segment, group) in shape.groups.ofSegment.enumerated() where group >= 0 {
      let start = loadIndex(frame.arguments[1], ir.int(segment))
      let end = loadIndex(frame.arguments[1], ir.int(segment + 1))
      let (from, to) = share(ir.sub(end, start), frame)
      ir.loop(from: ir.add(start, from), to: ir.add(start, to)) { token in
        markBest(count, of: token, shape.layout, frame)
      }
    }
  }

  /// An expert is among the best iff fewer than `count` have a higher score, or an equal one and come before it.
  private func markBest(
    _ count: Int, of token: IRValue, _ layout: PlanLayout, _ frame: KernelFrame
  ) {
    let experts = ir.int(layout.slotsOfToken)
    let first = ir.mul(token, experts)
    ir.loop(from: ir.int(0), to: experts) { expert in
      let own = key(frame.arguments[0], ir.add(first, expert))
      let better = ir.loop(from: ir.int(0), to: experts, carrying: [ir.int(0)]) { other, better in
        let key = key(frame.arguments[0], ir.add(first, other))
        let isEarlier = ir.and(
          ir.compare(.equal, key, own), ir.compare(.less, other, expert))
        let isBetter = ir.or(ir.compare(.greater, key, own), isEarlier)
        return [ir.add(better[0], ir.zeroExtend(isBetter, ir.i64))]
      }[0]
      ir.when(ir.compare(.less, better, ir.int(count))) {
        ir.store(
          ir.int(0, ir.i32), slot(ir.add(first, expert), layout, frame.arguments[2]))
      }
    }
  }

  // MARK: Experts take tokens

  /// Marks the best tokens of each expert; threads share the experts of all groups.
  private func markChosen(_ capacity: Double, _ shape: ExpertRoutingShape, _ frame: KernelFrame) {
    let layout = shape.layout
    reserveScratch(4 * (layout.tokens + lanes))
    for group in 0..<shape.groups.count {
      let (from, to) = share(ir.int(layout.segments), frame)
      let first = group * layout.slotsOfToken
      let start = ir.max(ir.sub(from, ir.int(first)), ir.int(0))
      let end = ir.min(ir.sub(to, ir.int(first)), ir.int(layout.slotsOfToken))
      ir.loop(from: start, to: end) { expert in
        let count = copyKeys(of: expert, group, shape, frame)
        let taken = taken(of: count, capacity, experts: layout.slotsOfToken)
        let least = leastKey(taken, of: count, frame)
        let above = countKeys(.greater, least, of: count, frame)
        markChosen(expert, group, shape, least, ties: ir.sub(taken, above), frame)
      }
    }
  }

  /// Copies the keys of the group's tokens for `expert` to scratch memory, and returns how many there are.
  private func copyKeys(
    of expert: IRValue, _ group: Int, _ shape: ExpertRoutingShape, _ frame: KernelFrame
  ) -> IRValue {
    let experts = ir.int(shape.layout.slotsOfToken)
    return segments(of: group, shape).reduce(ir.int(0)) { count, segment in
      forEachToken(of: segment, frame, carrying: [count]) { token, count in
        let key = key(frame.arguments[0], ir.add(ir.mul(token, experts), expert))
        ir.store(key, ir.element(frame.scratch, count[0], ir.i32))
        return [ir.add(count[0], ir.int(1))]
      }[0]
    }
  }

  /// Returns ⌈capacity · count / experts⌉, at most `count`, by the arithmetic of `ExpertRouting.taken`.
  private func taken(of count: IRValue, _ capacity: Double, experts: Int) -> IRValue {
    let tokens = ir.signedToFloat(count, ir.f64)
    let share = ir.fdiv(
      ir.fmul(ir.float(capacity, ir.f64), tokens), ir.float(Double(experts), ir.f64))
    let least = ir.select(ir.fcompare(.less, share, tokens), share, tokens)
    let whole = ir.floatToSigned(least, ir.i64)
    let isShort = ir.fcompare(.less, ir.signedToFloat(whole, ir.f64), least)
    return ir.add(whole, ir.zeroExtend(isShort, ir.i64))
  }

  /// Returns the largest key that at least `taken` of the first `count` keys in scratch memory reach, bit by bit.
  private func leastKey(_ taken: IRValue, of count: IRValue, _ frame: KernelFrame) -> IRValue {
    // Without the sign turned round, bits of larger keys would not be larger numbers.
    let sign = ir.int(Int(Int32.min), ir.i32)
    let found = ir.loop(from: ir.int(0), to: ir.int(32), carrying: [ir.int(0, ir.i32)]) {
      bit, found in
      let shifted = ir.shiftLeft(ir.int(1), ir.sub(ir.int(31), bit))
      let candidate = ir.or(found[0], ir.truncate(shifted, ir.i32))
      let reaching = countKeys(.greaterOrEqual, ir.xor(candidate, sign), of: count, frame)
      return [ir.select(ir.compare(.less, reaching, taken), found[0], candidate)]
    }[0]
    return ir.xor(found, sign)
  }

  /// Returns how many of the first `count` keys in scratch memory compare so with `key`.
  private func countKeys(
    _ comparison: IRBuilder.Comparison, _ key: IRValue, of count: IRValue, _ frame: KernelFrame
  ) -> IRValue {
    let wide = ir.vector(ir.i32, lanes)
    let keys = ir.splat(key, lanes)
    let whole = ir.mul(ir.udiv(count, ir.int(lanes)), ir.int(lanes))
    let sums = ir.loop(
      from: ir.int(0), to: whole, by: lanes, carrying: [ir.zero(wide)]
    ) { index, sums in
      let found = ir.load(wide, ir.element(frame.scratch, index, ir.i32))
      return [ir.add(sums[0], ir.zeroExtend(ir.compare(comparison, found, keys), wide))]
    }[0]
    let sum = ir.zeroExtend(ir.reduce(sums, ir.add), ir.i64)
    return ir.loop(from: whole, to: count, carrying: [sum]) { index, sum in
      let found = ir.load(ir.i32, ir.element(frame.scratch, index, ir.i32))
      return [ir.add(sum[0], ir.zeroExtend(ir.compare(comparison, found, key), ir.i64))]
    }[0]
  }

  /// Marks the tokens whose keys are above `least`, and the first `ties` of those that have it.
  private func markChosen(
    _ expert: IRValue, _ group: Int, _ shape: ExpertRoutingShape, _ least: IRValue, ties: IRValue,
    _ frame: KernelFrame
  ) {
    let experts = ir.int(shape.layout.slotsOfToken)
    var state = [ir.int(0), ties]
    for segment in segments(of: group, shape) {
      state = forEachToken(of: segment, frame, carrying: state) { token, state in
        let key = ir.load(ir.i32, ir.element(frame.scratch, state[0], ir.i32))
        let isTie = ir.and(
          ir.compare(.equal, key, least), ir.compare(.greater, state[1], ir.int(0)))
        ir.when(ir.or(ir.compare(.greater, key, least), isTie)) {
          let index = ir.add(ir.mul(token, experts), expert)
          ir.store(ir.int(0, ir.i32), slot(index, shape.layout, frame.arguments[2]))
        }
        return [ir.add(state[0], ir.int(1)), ir.sub(state[1], ir.zeroExtend(isTie, ir.i64))]
      }
    }
  }

  // MARK: Rows

  /// Numbers the marked slots, expert after expert, and fills in offsets and rows.
  private func countRows(_ shape: ExpertRoutingShape, _ frame: KernelFrame) {
    let (layout, plan) = (shape.layout, frame.arguments[2])
    let experts = layout.slotsOfToken
    func word(_ index: IRValue) -> IRValue { ir.element(plan, index, ir.i32) }
    var row = ir.int(0)
    for group in 0..<shape.groups.count {
      row =
        ir.loop(from: ir.int(0), to: ir.int(experts), carrying: [row]) { expert, row in
          let segment = ir.add(ir.int(group * experts), expert)
          ir.store(ir.truncate(row[0], ir.i32), word(segment))
          return segments(of: group, shape).reduce(row) { row, segment in
            forEachToken(of: segment, frame, carrying: row) { token, row in
              let place = slot(ir.add(ir.mul(token, ir.int(experts)), expert), layout, plan)
              let isTaken = ir.compare(.equal, ir.load(ir.i32, place), ir.int(0, ir.i32))
              ir.when(isTaken) {
                ir.store(ir.truncate(row[0], ir.i32), place)
                ir.store(
                  ir.truncate(token, ir.i32), word(ir.add(ir.int(layout.firstRow), row[0])))
              }
              return [ir.add(row[0], ir.zeroExtend(isTaken, ir.i64))]
            }
          }
        }[0]
    }
    ir.store(ir.truncate(row, ir.i32), word(ir.int(layout.segments)))
    // What is in no segment comes from some token.
    ir.clear(
      word(ir.add(ir.int(layout.firstRow), row)),
      bytes: ir.mul(ir.sub(ir.int(layout.rows), row), ir.int(4)))
  }
}
