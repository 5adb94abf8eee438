internal import LLVMKit
internal import MoTIR

// Rows of experts and back. T tokens, R rows, E experts of a group, D row width.
extension CodeGenerator {
  /// (x, plan of experts, y): each token's rows are added in the order of their experts; threads share the tokens.
  func emitCombine(_ plan: PlanLayout, width: Int, _ frame: KernelFrame) {
    let (x, y) = (frame.arguments[0], frame.arguments[2])
    let (from, to) = share(ir.int(plan.tokens), frame)
    ir.loop(from: from, to: to) { token in
      let sum = at(y, ir.mul(token, ir.int(width)))
      ir.clear(sum, bytes: ir.int(4 * width))
      forEachSlot(of: token, plan, frame.arguments[1]) { row, _ in
        let source = at(x, ir.mul(row, ir.int(width)))
        columns(width) { column, active in
          let place = at(sum, column)
          let value = load(at(source, column), active, scalar: width == 1)
          store(ir.fadd(load(place, active, scalar: width == 1), value), place, active)
        }
      }
    }
  }

  /// (probabilities, plan of experts, gates)
  func emitGates(_ plan: PlanLayout, _ frame: KernelFrame) {
    let (probabilities, gates) = (frame.arguments[0], frame.arguments[2])
    let end = loadIndex(frame.arguments[1], ir.int(plan.segments))
    let (from, to) = share(ir.sub(ir.int(plan.rows), end), frame)
    ir.clear(at(gates, ir.add(end, from)), bytes: ir.mul(ir.sub(to, from), ir.int(4)))
    forEachToken(plan, frame) { token, expert, row in
      let index = ir.add(ir.mul(token, ir.int(plan.slotsOfToken)), expert)
      ir.store(ir.load(ir.f32, at(probabilities, index)), at(gates, row))
    }
  }

  /// (dgates, plan of experts, dprobabilities)
  func emitGatesGradient(_ plan: PlanLayout, _ frame: KernelFrame) {
    let (gates, probabilities) = (frame.arguments[0], frame.arguments[2])
    let experts = ir.int(plan.slotsOfToken)
    let (from, to) = share(ir.int(plan.tokens), frame)
    ir.clear(
      at(probabilities, ir.mul(from, experts)),
      bytes: ir.mul(ir.sub(to, from), ir.int(4 * plan.slotsOfToken)))
    forEachToken(plan, frame) { token, expert, row in
      let index = ir.add(ir.mul(token, experts), expert)
      ir.store(ir.load(ir.f32, at(gates, row)), at(probabilities, index))
    }
  }

  /// Emits `body` for each expert that takes a token, for this thread's share of the tokens.
  private func forEachToken(
    _ plan: PlanLayout, _ frame: KernelFrame,
    _ body: (_ token: IRValue, _ expert: IRValue, _ row: IRValue) -> Void
  ) {
    let (from, to) = share(ir.int(plan.tokens), frame)
    ir.loop(from: from, to: to) { token in
      forEachSlot(of: token, plan, frame.arguments[1]) { body(token, $1, $0) }
    }
  }

  /// Emits `body` for each row of `token`, in the order of their experts.
  private func forEachSlot(
    of token: IRValue, _ plan: PlanLayout, _ base: IRValue,
    _ body: (_ row: IRValue, _ expert: IRValue) -> Void
  ) {
    let first = ir.add(
      ir.int(plan.firstSlot), ir.mul(token, ir.int(plan.slotsOfToken)))
    ir.loop(from: ir.int(0), to: ir.int(plan.slotsOfToken)) { expert in
      let row = loadIndex(base, ir.add(first, expert))
      ir.when(ir.compare(.greaterOrEqual, row, ir.int(0))) { body(row, expert) }
    }
  }

  /// (plan of experts, count?, weights, means): one thread goes through the tokens, group by group.
  func emitBalance(_ plan: PlanLayout, hasCount: Bool, _ frame: KernelFrame) {
    let base = frame.arguments[0]
    let (weights, means) = (frame.arguments[hasCount ? 2 : 1], frame.arguments[hasCount ? 3 : 2])
    let experts = plan.slotsOfToken
    onFirstThread(frame) {
      let batches =
        hasCount ? ir.max(loadIndex(frame.arguments[1], ir.int(0)), ir.int(1)) : ir.int(1)
      let share = ir.fdiv(ir.float(1), ir.signedToFloat(batches, ir.f32))
      ir.clear(weights, bytes: ir.int(4 * plan.tokens * experts))
      ir.clear(means, bytes: ir.int(4 * plan.tokens))
      ir.loop(from: ir.int(0), to: ir.int(plan.segments), by: experts) { first in
        emitBalance(plan, base, group: first, share, (weights, means))
      }
    }
  }

  /// Fills in the weights of one group, whose first segment is `first`.
  private func emitBalance(
    _ plan: PlanLayout, _ base: IRValue, group first: IRValue, _ share: IRValue,
    _ results: (weights: IRValue, means: IRValue)
  ) {
    let experts = plan.slotsOfToken
    let start = loadIndex(base, first)
    let end = loadIndex(base, ir.add(first, ir.int(experts)))
    // Marks each token, and counts those that were not.
    let tokens = ir.loop(from: start, to: end, carrying: [ir.int(0)]) { row, count in
      let token = loadIndex(base, ir.add(ir.int(plan.firstRow), row))
      let mark = at(results.means, token)
      let isNew = ir.fcompare(.equal, ir.load(ir.f32, mark), ir.float(0))
      ir.store(ir.float(1), mark)
      return [ir.add(count[0], ir.zeroExtend(isNew, ir.i64))]
    }[0]
    let mean = ir.fdiv(share, ir.signedToFloat(ir.max(tokens, ir.int(1)), ir.f32))
    let rows = ir.signedToFloat(ir.max(ir.sub(end, start), ir.int(1)), ir.f32)
    ir.loop(from: start, to: end) { row in
      let token = loadIndex(base, ir.add(ir.int(plan.firstRow), row))
      ir.store(mean, at(results.means, token))
      ir.loop(from: ir.int(0), to: ir.int(experts)) { expert in
        let segment = ir.add(first, expert)
        let count = ir.sub(loadIndex(base, ir.add(segment, ir.int(1))), loadIndex(base, segment))
        let part = ir.fdiv(
          ir.fmul(ir.signedToFloat(count, ir.f32), ir.float(Double(experts))), rows)
        let place = ir.add(ir.mul(token, ir.int(experts)), expert)
        ir.store(ir.fmul(mean, part), at(results.weights, place))
      }
    }
  }
}
