internal import LLVMKit
internal import MoTIR

// Row steps that are more than one column loop. w is the width of a head, V the vocabulary.
extension BlockEmitter {
  /// Emits a step that reduces or permutes the row.
  func emitReduction(_ step: BlockProgram.Step) {
    switch step.op {
    case .norm(let norm, let groups): emitNorm(step, norm, groups)
    case .normGradient(let norm, let groups): emitNormGradient(step, norm, groups)
    case .rotary(let rotary): emitRotary(step, rotary)
    case .rowSum:
      let sum = sum(program.values[step.operands[0]].width) { column, active in
        self.read(step.operands[0], column, active)
      }
      write(step.results[0], ir.int(0), sum, 1)
    case .logSumExponentials:
      let (largest, sum) = softmaxSum(step.operands[0])
      write(step.results[0], ir.int(0), ir.fadd(code.log(sum), largest), 1)
    case .crossEntropy: emitCrossEntropy(step)
    case .crossEntropyGradient: emitCrossEntropyGradient(step)
    default: preconditionFailure("\(step.op.mnemonic) is no reduction")
    }
  }

  // MARK: Sums

  /// Returns the sum of `term` over the columns `0..<width`.
  private func sum(_ width: Int, _ term: @escaping (IRValue, Int) -> IRValue) -> IRValue {
    sums(width, 1) { [term($0, $1)] }[0]
  }

  /// Returns `count` sums over the same columns; terms of lanes beyond the width are dropped.
  private func sums(
    _ width: Int, _ count: Int, _ terms: (IRValue, Int) -> [IRValue]
  ) -> [IRValue] {
    if width == 1 {
      return terms(ir.int(0), 1).map { $0.type.lanes == 1 ? $0 : ir.extract($0, 0) }
    }
    let zero = ir.zero(code.vector)
    return code.columns(width, carrying: Array(repeating: zero, count: count)) {
      column, active, carried in
      zip(carried, terms(column, active)).map { ir.fadd($0, code.fillTail($1, active, 0)) }
    }.map { ir.reduce($0, ir.fadd) }
  }

  private func spread(_ scalar: IRValue, like vector: IRValue) -> IRValue {
    ir.splat(scalar, vector.type.lanes)
  }

  // MARK: Norms

  /// Emits `body(first column)` for each head.
  private func forEachHead(_ heads: Int, _ width: Int, _ body: (IRValue) -> Void) {
    if heads == 1 { return body(ir.int(0)) }
    ir.loop(from: ir.int(0), to: ir.int(heads)) { body(ir.mul($0, ir.int(width))) }
  }

  /// Returns mean (0 for RMS) and 1 / sqrt(variance + ε) of a head.
  private func statistics(
    _ value: Int, _ norm: Norm, first: IRValue, width: Int
  ) -> (mean: IRValue, inverse: IRValue) {
    let scale = ir.float(1 / Double(width))
    func x(_ column: IRValue, _ active: Int) -> IRValue {
      read(value, ir.add(first, column), active)
    }
    var mean = ir.float(0)
    if norm.kind == .layer { mean = ir.fmul(sum(width, x), scale) }
    let square = sum(width) { column, active in
      let x = x(column, active)
      let centred = norm.kind == .layer ? self.ir.fsub(x, self.spread(mean, like: x)) : x
      return self.ir.fmul(centred, centred)
    }
    let variance = ir.fadd(ir.fmul(square, scale), ir.float(norm.epsilon))
    return (mean, code.reciprocalSquareRoot(variance))
  }

  private func emitNorm(_ step: BlockProgram.Step, _ norm: Norm, _ groups: Groups?) {
    let value = step.operands[0]
    let width = program.values[value].width / norm.heads
    let gain = norm.hasGain ? weights(step.operands[1], groups) : nil
    forEachHead(norm.heads, width) { first in
      let (mean, inverse) = statistics(value, norm, first: first, width: width)
      code.columns(width) { column, active in
        var x = read(value, ir.add(first, column), active)
        if norm.kind == .layer { x = ir.fsub(x, spread(mean, like: x)) }
        x = ir.fmul(x, spread(inverse, like: x))
        if let gain {
          x = ir.fmul(x, code.load(code.at(gain, column), active, scalar: x.type.lanes == 1))
        }
        write(step.results[0], ir.add(first, column), x, active)
      }
    }
  }

  /// dx = r (g − x̂ mean(g x̂)) for RMS, r (g − mean(g) − x̂ mean(g x̂)) for layer norm,
  /// with g = dy · gain, x̂ the normalised row and r = 1 / sqrt(variance + ε).
  private func emitNormGradient(_ step: BlockProgram.Step, _ norm: Norm, _ groups: Groups?) {
    let (value, upstream) = (step.operands[0], step.operands[1])
    let width = program.values[value].width / norm.heads
    let gain = norm.hasGain ? weights(step.operands[2], groups) : nil
    forEachHead(norm.heads, width) { first in
      let (mean, inverse) = statistics(value, norm, first: first, width: width)
      func terms(_ column: IRValue, _ active: Int) -> (g: IRValue, normalized: IRValue) {
        var x = read(value, ir.add(first, column), active)
        if norm.kind == .layer { x = ir.fsub(x, spread(mean, like: x)) }
        var g = read(upstream, ir.add(first, column), active)
        if let gain {
          g = ir.fmul(g, code.load(code.at(gain, column), active, scalar: x.type.lanes == 1))
        }
        return (g, ir.fmul(x, spread(inverse, like: x)))
      }
      let totals = sums(width, 2) { column, active in
        let (g, normalized) = terms(column, active)
        return [g, ir.fmul(g, normalized)]
      }
      let scale = ir.float(1 / Double(width))
      let (meanOfG, projection) = (ir.fmul(totals[0], scale), ir.fmul(totals[1], scale))
      code.columns(width) { column, active in
        let (g, normalized) = terms(column, active)
        var dx = ir.fsub(g, ir.fmul(normalized, spread(projection, like: g)))
        if norm.kind == .layer { dx = ir.fsub(dx, spread(meanOfG, like: g)) }
        write(
          step.results[0], ir.add(first, column), ir.fmul(dx, spread(inverse, like: dx)), active)
      }
    }
  }

  // MARK: Rotary positions

  /// (a, b) → (a cos − b sin, b cos + a sin) for each pair, from the table's row of the position.
  private func emitRotary(_ step: BlockProgram.Step, _ rotary: Rotary) {
    let value = step.operands[0]
    let width = program.values[value].width / rotary.heads
    let position = ir.signExtend(readNarrow(step.operands[1]), ir.i64)
    let table = step.operands[2]
    let base = weights(table, nil)
    let half = width / 2
    let cosines = code.at(base, ir.mul(position, ir.int(half)))
    let sines = code.at(cosines, program.values[table].width / 2)
    forEachHead(rotary.heads, width) { first in
      switch rotary.layout {
      case .half: rotateHalves(step, first, half, cosines, sines, inverse: rotary.inverse)
      case .interleaved:
        rotatePairs(step, first, width, cosines, sines, inverse: rotary.inverse)
      }
    }
  }

  private func rotateHalves(
    _ step: BlockProgram.Step, _ first: IRValue, _ half: Int, _ cosines: IRValue, _ sines: IRValue,
    inverse: Bool
  ) {
    let (value, result) = (step.operands[0], step.results[0])
    code.columns(half) { column, active in
      let low = ir.add(first, column)
      let high = ir.add(low, ir.int(half))
      // The row is wider than a half, so a half of 1 is still read as vectors.
      let (a, b) = (read(value, low, active), read(value, high, active))
      let cosine = code.load(code.at(cosines, column), active)
      var sine = code.load(code.at(sines, column), active)
      if inverse { sine = ir.fneg(sine) }
      write(result, low, ir.fsub(ir.fmul(a, cosine), ir.fmul(b, sine)), active)
      write(result, high, ir.fadd(ir.fmul(b, cosine), ir.fmul(a, sine)), active)
    }
  }

  private func rotatePairs(
    _ step: BlockProgram.Step, _ first: IRValue, _ width: Int, _ cosines: IRValue,
    _ sines: IRValue, inverse: Bool
  ) {
    let lanes = code.lanes
    let swapped = (0..<lanes).map { $0 ^ 1 }
    let doubled = (0..<lanes).map { $0 / 2 }
    // −sin for the first of a pair, sin for the second; the other way round backwards.
    let signs = ir.constantVector(
      (0..<lanes).map { ir.float(($0 % 2 == 0) != inverse ? -1 : 1) })
    code.columns(width) { column, active in
      let place = ir.add(first, column)
      let x = read(step.operands[0], place, active)
      let pair = ir.udiv(column, ir.int(2))
      let cosine = code.load(code.at(cosines, pair), active / 2)
      let sine = code.load(code.at(sines, pair), active / 2)
      let turned = ir.fmul(ir.shuffle(x, x, swapped), ir.shuffle(sine, sine, doubled))
      let kept = ir.fmul(x, ir.shuffle(cosine, cosine, doubled))
      write(step.results[0], place, ir.multiplyAdd(turned, signs, kept), active)
    }
  }

  // MARK: Cross-entropy

  /// Returns the largest logit of the row and Σ exp(logit − largest).
  private func softmaxSum(_ logits: Int) -> (largest: IRValue, sum: IRValue) {
    let width = program.values[logits].width
    let lowest = ir.float(-.infinity, code.vector)
    let largest =
      width == 1
      ? read(logits, ir.int(0), 1)
      : code.columns(width, carrying: [lowest]) { column, active, carried in
        let x = code.fillTail(read(logits, column, active), active, -.infinity)
        return [ir.fmax(x, carried[0])]
      }.map { ir.reduce($0, ir.fmax) }[0]
    let total = sum(width) { column, active in
      let x = self.read(logits, column, active)
      return self.code.exp(self.ir.fsub(x, self.spread(largest, like: x)))
    }
    return (largest, total)
  }

  private func emitCrossEntropy(_ step: BlockProgram.Step) {
    let logits = step.operands[0]
    let target = ir.signExtend(readNarrow(step.operands[1]), ir.i64)
    let (largest, sum) = softmaxSum(logits)
    let index = ir.max(target, ir.int(0))
    let logit = ir.load(ir.f32, address(of: logits, index))
    let loss = ir.fsub(ir.fadd(code.log(sum), largest), logit)
    let counts = ir.compare(.greaterOrEqual, target, ir.int(0))
    write(step.results[0], ir.int(0), ir.select(counts, loss, ir.float(0)), 1)
  }

  /// dlogits = (softmax − onehot(target)) · dloss
  private func emitCrossEntropyGradient(_ step: BlockProgram.Step) {
    let logits = step.operands[0]
    let width = program.values[logits].width
    let target = readNarrow(step.operands[1])
    let (largest, sum) = softmaxSum(logits)
    let counts = ir.compare(.greaterOrEqual, target, ir.int(0, ir.i32))
    let factor = ir.select(counts, readNarrow(step.operands[2]), ir.float(0))
    let scale = ir.fdiv(factor, sum)
    code.columns(width) { column, active in
      let x = read(logits, column, active)
      let share = ir.fmul(
        code.exp(ir.fsub(x, spread(largest, like: x))), spread(scale, like: x))
      let lanes = x.type.lanes
      let own = ir.truncate(column, ir.i32)
      let numbers =
        lanes == 1
        ? own
        : ir.add(
          ir.splat(own, lanes), ir.constantVector((0..<lanes).map { ir.int($0, ir.i32) }))
      let isTarget = ir.compare(.equal, numbers, ir.splat(target, lanes))
      let hot = ir.select(isTarget, spread(factor, like: x), ir.zero(x.type))
      write(step.results[0], column, ir.fsub(share, hot), active)
    }
  }
}
