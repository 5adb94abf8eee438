internal import LLVMKit
internal import MoTIR

// The norm of the gradients, and AdamW. N and D are the rows and columns of a weight.
extension CodeGenerator {
  /// (gradients, accumulated, count): threads share the vectors; the regions end on cache lines.
  func emitAccumulate(_ frame: KernelFrame) {
    let (from, to) = share(ceilDivide(frame.arguments[2], lanes), frame)
    ir.loop(from: from, to: to) { number in
      let index = ir.mul(number, ir.int(lanes))
      let place = at(frame.arguments[1], index)
      let sum = ir.fadd(ir.load(vector, place), ir.load(vector, at(frame.arguments[0], index)))
      ir.store(sum, place)
    }
  }

  /// (gradients, partials, count): one f64 a chunk of fixed size, so that threads do not matter.
  func emitSquaredNorm(_ frame: KernelFrame) {
    let count = frame.arguments[2]
    let (from, to) = share(ceilDivide(count, Kernel.squaredNormChunk), frame)
    ir.loop(from: from, to: to) { chunk in
      let first = ir.mul(chunk, ir.int(Kernel.squaredNormChunk))
      // The region ends on a cache line, so whole vectors never pass its end.
      let last = ir.min(ir.add(first, ir.int(Kernel.squaredNormChunk)), count)
      // Four runs at a time: memory answers more requests together than it takes guesses ahead of one run,
      // and a single sum would wait for each addition.
      let part = ir.mul(ir.udiv(ir.sub(last, first), ir.int(4 * lanes)), ir.int(lanes))
      let zeros = [IRValue](repeating: ir.zero(vector), count: 4)
      let sums = ir.loop(from: ir.int(0), to: part, by: lanes, carrying: zeros) { index, sums in
        sums.enumerated().map { number, sum in
          let run = ir.add(first, ir.mul(part, ir.int(number)))
          return squareAndAdd(frame.arguments[0], ir.add(run, index), sum)
        }
      }
      let whole = ir.add(first, ir.mul(part, ir.int(4)))
      let rest = ir.loop(from: whole, to: last, by: lanes, carrying: [sums[0]]) {
        [squareAndAdd(frame.arguments[0], $0, $1[0])]
      }
      let all = sums.dropFirst().reduce(rest[0], ir.fadd)
      let total = ir.floatExtend(ir.reduce(all, ir.fadd), ir.f64)
      ir.store(total, ir.element(frame.arguments[1], chunk, ir.f64), align: 8)
    }
  }

  /// Returns `sum` plus the squares of the vector at `index`.
  private func squareAndAdd(_ base: IRValue, _ index: IRValue, _ sum: IRValue) -> IRValue {
    let x = ir.load(vector, at(base, index))
    return ir.multiplyAdd(x, x, sum)
  }

  /// (partials, chunks): partials[0] becomes the factor of the gradients, or a negative number if the
  /// norm is not finite and nothing may be updated.
  func emitClip(_ frame: KernelFrame) {
    let (partials, chunks) = (frame.arguments[0], frame.arguments[1])
    onFirstThread(frame) {
      let total = ir.loop(from: ir.int(0), to: chunks, carrying: [ir.float(0, ir.f64)]) {
        [ir.fadd($1[0], ir.load(ir.f64, ir.element(partials, $0, ir.f64), align: 8))]
      }[0]
      let norm = ir.floatTruncate(ir.sqrt(total), ir.f32)
      ir.store(norm, bytes(frame.control, ir.int(Control.gradientNorm)))
      let isFinite = ir.fcompare(.less, norm, ir.float(.infinity))
      ir.store(
        ir.zeroExtend(ir.select(isFinite, ir.int(0, ir.i1), ir.int(1, ir.i1)), ir.i32),
        bytes(frame.control, ir.int(Control.refused)))
      let limit = setting(5, frame)
      let scale = ir.fdiv(limit, ir.fadd(norm, ir.float(1e-6)))
      // A limit of 0 means no clipping.
      let isClipped = ir.and(
        ir.fcompare(.greater, limit, ir.float(0)), ir.fcompare(.less, scale, ir.float(1)))
      let factor = ir.select(isClipped, scale, ir.float(1))
      ir.store(ir.select(isFinite, factor, ir.float(-1)), partials)
    }
  }

  private func setting(_ index: Int, _ frame: KernelFrame) -> IRValue {
    ir.load(ir.f32, bytes(frame.control, ir.int(Control.settings + 4 * index)))
  }

  /// (master, gradient, first, second, clip partials, count, decays)
  ///
  /// p ← p (1 − lr · decay) − lr / (1 − β₁ᵗ) · m / (sqrt(v / (1 − β₂ᵗ)) + ε)
  func emitAdamW(_ frame: KernelFrame) {
    let (from, to) = share(ceilDivide(frame.arguments[5], lanes), frame)
    withAdamW(frame, decays: frame.arguments[6]) { constants in
      ir.loop(from: from, to: to) { index in
        let place = ir.mul(index, ir.int(lanes))
        adamW(frame.arguments[..<4].map { at($0, place) }, constants)
      }
    }
  }

  /// (master, gradient, first, second, clip partials, forward?, backward?, N, D, groups, decays)
  ///
  /// A thread takes panels of rows: it updates one from end to end, as memory likes best, and packs the one
  /// before, a square for as many elements updated. The forms go to memory without being read, and such
  /// writing has to take turns with reading, or each waits for the other; so the square is copied to the
  /// first cache while the update waits for memory.
  func emitAdamWPacked(forward: Bool, backward: Bool, _ frame: KernelFrame) {
    let matrix = MasterMatrix(frame.arguments[0], sizes: frame.arguments.suffix(4))
    let forms = frame.arguments[5..<(frame.arguments.count - 4)]
    let side = plan.tile.columns
    reserveScratch(4 * side * side)
    // Whole panels: rows count on from one group to the next.
    let panels = ir.udiv(matrix.rows, ir.int(side))
    let (from, to) = share(ir.mul(matrix.groups, panels), frame)
    /// Copies row `row` of a square into the scratch memory.
    func copy(_ row: IRValue, of square: IRValue, in panel: IRValue) {
      let number = ir.add(ir.mul(panel, ir.int(side)), row)
      let first = ir.add(ir.mul(number, matrix.columns), ir.mul(square, ir.int(side)))
      for part in stride(from: 0, to: side, by: lanes) {
        let value = ir.load(vector, at(matrix.base, ir.add(first, ir.int(part))))
        ir.store(value, at(frame.scratch, ir.add(ir.mul(row, ir.int(side)), ir.int(part))))
      }
    }
    withAdamW(frame, decays: frame.arguments[frame.arguments.count - 1]) { constants in
      let end = ir.select(ir.compare(.less, from, to), ir.add(to, ir.int(1)), from)
      ir.loop(from: from, to: end) { panel in
        let (updates, packs) = (ir.compare(.less, panel, to), ir.compare(.less, from, panel))
        let before = ir.sub(panel, ir.int(1))
        ir.loop(from: ir.int(0), to: ir.udiv(matrix.columns, ir.int(side))) { square in
          let first = ir.add(ir.mul(panel, matrix.columns), ir.mul(square, ir.int(side)))
          ir.loop(from: ir.int(0), to: ir.int(side)) { row in
            ir.when(packs) { copy(row, of: square, in: before) }
            ir.when(updates) {
              for part in stride(from: 0, to: side, by: lanes) {
                let place = ir.add(ir.mul(ir.add(first, row), ir.int(side)), ir.int(part))
                adamW(frame.arguments[..<4].map { at($0, place) }, constants)
              }
            }
          }
          ir.when(packs) {
            if forward, let form = forms.first {
              packForward(square, of: before, matrix, from: frame.scratch, into: form)
            }
            if backward, let form = forms.last {
              packBackward(square, of: before, matrix, from: frame.scratch, into: form)
            }
          }
        }
      }
    }
  }

  /// Packs a square of `columns` rows and columns of a panel, counted over all groups, for `linear`.
  private func packForward(
    _ square: IRValue, of panel: IRValue, _ matrix: MasterMatrix, from source: IRValue,
    into packed: IRValue
  ) {
    let side = plan.tile.columns
    for column in stride(from: 0, to: side, by: lanes * operands.depth) {
      let first = units(ir.add(ir.mul(square, ir.int(side)), ir.int(column)))
      let unit = ir.add(ir.mul(panel, units(matrix.columns)), first)
      packColumns(vectors: side / lanes, into: at(packed, ir.mul(unit, ir.int(side)))) {
        ir.load(vector, at(source, $0 * side + column + $1))
      }
    }
  }

  /// Packs a square of `columns` rows and columns of a panel, counted over all groups, for
  /// `linear.input_gradient`.
  private func packBackward(
    _ square: IRValue, of panel: IRValue, _ matrix: MasterMatrix, from source: IRValue,
    into packed: IRValue
  ) {
    let (side, depth) = (plan.tile.columns, operands.depth)
    let panels = ir.udiv(matrix.rows, ir.int(side))
    // Of each group, a panel of columns has as many units as there are rows.
    let number = ir.add(
      ir.mul(ir.udiv(panel, panels), ir.udiv(matrix.columns, ir.int(side))), square)
    let row = ir.mul(ir.urem(panel, panels), ir.int(side))
    let unit = ir.add(ir.mul(number, units(matrix.rows)), units(row))
    let target = at(packed, ir.mul(unit, ir.int(side)))
    ir.loop(from: ir.int(0), to: ir.int(side / depth)) { unit in
      packUnit(unit, into: target) { offset, column in
        let row = ir.add(ir.mul(unit, ir.int(depth)), ir.int(offset))
        return ir.load(vector, at(source, ir.add(ir.mul(row, ir.int(side)), ir.int(column))))
      }
    }
  }

  /// Emits `body` with AdamW's constants as vectors, unless nothing may be updated.
  private func withAdamW(_ frame: KernelFrame, decays: IRValue, _ body: ([IRValue]) -> Void) {
    let factor = ir.load(ir.f32, frame.arguments[4])
    let rate = setting(0, frame)
    let (beta1, beta2, epsilon) = (setting(1, frame), setting(2, frame), setting(3, frame))
    let decay = ir.select(
      ir.compare(.equal, decays, ir.int(0)), ir.float(0), setting(4, frame))
    let constants = [
      factor, beta1, ir.fsub(ir.float(1), beta1), beta2, ir.fsub(ir.float(1), beta2), epsilon,
      ir.fsub(ir.float(1), ir.fmul(rate, decay)), ir.fdiv(rate, setting(6, frame)),
      ir.fdiv(ir.float(1), setting(7, frame)),
    ].map { ir.splat($0, lanes) }
    ir.when(ir.fcompare(.greaterOrEqual, factor, ir.float(0))) { body(constants) }
  }

  /// Buffers are padded to cache lines, so whole vectors may be used at their ends.
  private func adamW(_ places: [IRValue], _ c: [IRValue]) {
    let gradient = ir.fmul(ir.load(vector, places[1]), c[0])
    let first = ir.multiplyAdd(ir.load(vector, places[2]), c[1], ir.fmul(gradient, c[2]))
    let second = ir.multiplyAdd(
      ir.load(vector, places[3]), c[3], ir.fmul(ir.fmul(gradient, gradient), c[4]))
    let denominator = ir.fadd(quickSquareRoot(ir.fmul(second, c[8])), c[5])
    let step = ir.fmul(ir.fmul(first, c[7]), quickReciprocal(denominator))
    ir.store(ir.fsub(ir.fmul(ir.load(vector, places[0]), c[6]), step), places[0])
    ir.store(first, places[2])
    ir.store(second, places[3])
  }
}
