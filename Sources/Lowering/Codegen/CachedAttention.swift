internal import LLVMKit
internal import MoTIR

// Attention that goes on from caches of keys and values.
//
// Shapes: B sequences, S new tokens each, H query heads, K key and value heads, W head width, C slots, in whole
// vectors of L lanes. Keys are [B, K, C / L, W, L], so that the scores of L slots are one accumulator; values are
// [B, K, C, W].
extension CodeGenerator {
  /// (k, v, slots, keys, values): threads share the heads of the new rows.
  func emitCacheStore(_ shape: CachedAttentionShape, _ frame: KernelFrame) {
    let heads = shape.attention.keyValueHeads
    let (k, v, slots) = (frame.arguments[0], frame.arguments[1], frame.arguments[2])
    let (from, to) = share(ir.int(shape.attention.batch * shape.sequence * heads), frame)
    ir.loop(from: from, to: to) { item in
      let (row, head) = (ir.udiv(item, ir.int(heads)), ir.urem(item, ir.int(heads)))
      let slot = loadIndex(slots, row)
      ir.when(ir.compare(.greaterOrEqual, slot, ir.int(0))) {
        let start = ir.mul(item, ir.int(shape.headWidth))
        let cache = cacheHead(shape, row: row, head: head)
        let tile = ir.mul(ir.udiv(slot, ir.int(lanes)), ir.int(lanes * shape.headWidth))
        let first = ir.add(cache, ir.add(tile, ir.urem(slot, ir.int(lanes))))
        ir.loop(from: ir.int(0), to: ir.int(shape.headWidth)) { column in
          let place = ir.add(first, ir.mul(column, ir.int(lanes)))
          storeCached(
            ir.load(ir.f32, at(k, ir.add(start, column))), frame.arguments[3], place, active: 1)
        }
        let value = ir.add(cache, ir.mul(slot, ir.int(shape.headWidth)))
        columns(shape.headWidth) { column, active in
          let row = load(at(v, ir.add(start, column)), active, scalar: shape.headWidth == 1)
          storeCached(row, frame.arguments[4], ir.add(value, column), active: active)
        }
      }
    }
  }

  /// (q, keys, values, visible, o): threads share the heads of the new rows.
  func emitCachedAttention(_ shape: CachedAttentionShape, _ frame: KernelFrame) {
    let (heads, width) = (shape.attention.heads, shape.headWidth)
    let group = heads / shape.attention.keyValueHeads
    reserveScratch(4 * shape.slots(plan.tile))
    let (from, to) = share(ir.int(shape.attention.batch * shape.sequence * heads), frame)
    ir.loop(from: from, to: to) { item in
      let (row, head) = (ir.udiv(item, ir.int(heads)), ir.urem(item, ir.int(heads)))
      let start = ir.mul(item, ir.int(width))
      let cache = cacheHead(shape, row: row, head: ir.udiv(head, ir.int(group)))
      let visible = loadIndex(frame.arguments[3], row)
      let query = at(frame.arguments[0], start)
      let largest = cachedScores(shape, query, frame.arguments[1], cache, visible, frame.scratch)
      let total = cachedWeights(frame.scratch, visible, largest)
      // A query that sees nothing has o = 0.
      let none = ir.compare(.lessOrEqual, visible, ir.int(0))
      let scale = ir.select(none, ir.float(0), ir.fdiv(ir.float(1), total))
      cachedValues(
        shape, frame.arguments[2], cache, visible, frame.scratch, scale,
        into: at(frame.arguments[4], start))
    }
  }

  /// Returns the element at which the cache of a head begins, of the sequence of row `row`.
  private func cacheHead(_ shape: CachedAttentionShape, row: IRValue, head: IRValue) -> IRValue {
    let sequence = ir.udiv(row, ir.int(shape.sequence))
    let number = ir.add(ir.mul(sequence, ir.int(shape.attention.keyValueHeads)), head)
    return ir.mul(number, ir.int(shape.slots(plan.tile) * shape.headWidth))
  }

  /// Writes q kᵀ / √W of the visible slots to `scores`, −∞ for others of the last vector; returns the largest.
  private func cachedScores(
    _ shape: CachedAttentionShape, _ query: IRValue, _ keys: IRValue, _ cache: IRValue,
    _ visible: IRValue, _ scores: IRValue
  ) -> IRValue {
    let scale = ir.float(1 / Double(shape.headWidth).squareRoot(), vector)
    let lowest = ir.float(-.infinity, vector)
    let largest = ir.loop(from: ir.int(0), to: visible, by: lanes, carrying: [lowest]) {
      slot, carried in
      let tile = ir.add(cache, ir.mul(slot, ir.int(shape.headWidth)))
      // Four sums: one alone waits for itself.
      let parts = min(4, shape.headWidth)
      let whole = shape.headWidth / parts * parts
      func add(_ column: IRValue, _ offset: Int, to sum: IRValue) -> IRValue {
        let column = ir.add(column, ir.int(offset))
        let unit = ir.splat(ir.load(ir.f32, at(query, column)), lanes)
        let place = ir.add(tile, ir.mul(column, ir.int(lanes)))
        return ir.multiplyAdd(unit, loadCached(keys, place, active: lanes), sum)
      }
      var sums = ir.loop(
        from: ir.int(0), to: ir.int(whole), by: parts,
        carrying: [IRValue](repeating: ir.zero(vector), count: parts)
      ) { column, sums in sums.indices.map { add(column, $0, to: sums[$0]) } }
      for column in whole..<shape.headWidth { sums[0] = add(ir.int(column), 0, to: sums[0]) }
      let score = ir.fmul(sums.dropFirst().reduce(sums[0]) { ir.fadd($0, $1) }, scale)
      let known = ir.select(lanes(from: slot, below: visible), score, lowest)
      ir.store(known, at(scores, slot))
      return [ir.fmax(known, carried[0])]
    }
    return ir.reduce(largest[0], ir.fmax)
  }

  /// Replaces the scores of the visible slots by exp(score − largest); returns their sum.
  private func cachedWeights(
    _ scores: IRValue, _ visible: IRValue, _ largest: IRValue
  ) -> IRValue {
    let top = ir.splat(largest, lanes)
    let sums = ir.loop(from: ir.int(0), to: visible, by: lanes, carrying: [ir.zero(vector)]) {
      slot, carried in
      let weight = exp(ir.fsub(ir.load(vector, at(scores, slot)), top))
      let known = ir.select(lanes(from: slot, below: visible), weight, ir.zero(vector))
      ir.store(known, at(scores, slot))
      return [ir.fadd(carried[0], known)]
    }
    return ir.reduce(sums[0], ir.fadd)
  }

  /// o = scale · Σ weight · value over the visible slots, some vectors of columns at a time.
  private func cachedValues(
    _ shape: CachedAttentionShape, _ values: IRValue, _ cache: IRValue, _ visible: IRValue,
    _ weights: IRValue, _ scale: IRValue, into o: IRValue
  ) {
    let most = 8 * lanes
    for first in stride(from: 0, to: shape.headWidth, by: most) {
      let vectors = stride(from: first, to: min(first + most, shape.headWidth), by: lanes).map {
        (column: $0, active: min(lanes, shape.headWidth - $0))
      }
      let sums = ir.loop(
        from: ir.int(0), to: visible,
        carrying: [IRValue](repeating: ir.zero(vector), count: vectors.count)
      ) { slot, sums in
        let row = ir.add(cache, ir.mul(slot, ir.int(shape.headWidth)))
        let weight = ir.splat(ir.load(ir.f32, at(weights, slot)), lanes)
        return zip(vectors, sums).map { part, sum in
          let place = ir.add(row, ir.int(part.column))
          return ir.multiplyAdd(weight, loadCached(values, place, active: part.active), sum)
        }
      }
      for (part, sum) in zip(vectors, sums) {
        store(ir.fmul(sum, ir.splat(scale, lanes)), at(o, part.column), part.active)
      }
    }
  }

  // MARK: Elements

  /// Loads `active` lanes at element `place` of a cache as f32.
  private func loadCached(_ cache: IRValue, _ place: IRValue, active: Int) -> IRValue {
    guard operands.isRounded else { return load(at(cache, place), active) }
    let halves = load(ir.element(cache, place, ir.i16), active, element: ir.i16)
    let bits = ir.vector(ir.i32, lanes)
    return ir.bitcast(ir.shiftLeft(ir.zeroExtend(halves, bits), ir.int(16, bits)), vector)
  }

  /// Stores `active` lanes of f32, or a scalar, at element `place` of a cache.
  private func storeCached(_ value: IRValue, _ cache: IRValue, _ place: IRValue, active: Int) {
    guard operands.isRounded else { return store(value, at(cache, place), active) }
    store(roundToBF16(value), ir.element(cache, place, ir.i16), active)
  }
}
