internal import LLVMKit
internal import MoTIR

// P = exp(S − lse), dP = do vᵀ, dS = P (dP − rowsum(do · o));
// dv = Pᵀ do, dk = dSᵀ q · scale, dq = dS k · scale.
extension AttentionEmitter {
  /// (q, k, v, o, lse, do, dq, dk, dv, documents?, segments?)
  ///
  /// The query heads of a key head add up in order, on one thread.
  func emitBackward() {
    let shared = attention.keyValueHeads
    let group = attention.heads / shared
    let (from, to) = code.share(ir.int(attention.batch * shared), frame)
    ir.loop(from: from, to: to) { item in
      let (sequence, keyHead) = (ir.udiv(item, ir.int(shared)), ir.urem(item, ir.int(shared)))
      let keys = head(1, sequence: sequence, head: keyHead, stride: keyStride)
      let values = head(2, sequence: sequence, head: keyHead, stride: keyStride)
      copyMaskRows(sequence, firstArgument: 9)
      if !usesBlas {
        packTransposed(keys, into: scratch.keysTransposed)
        packTransposed(values, into: scratch.valuesTransposed)
        packRows(keys, into: scratch.keyRows)
      }
      for area in [scratch.keyGradients, scratch.valueGradients] {
        ir.clear(self.area(area), bytes: ir.int(4 * scratch.paddedSequence * scratch.padded))
      }
      ir.loop(from: ir.int(0), to: ir.int(group)) { member in
        let head = ir.add(ir.mul(keyHead, ir.int(group)), member)
        backward(sequence: sequence, head: head, keys: keys, values: values)
      }
      keepKeyGradients(7, scratch.keyGradients, sequence: sequence, head: keyHead)
      keepKeyGradients(8, scratch.valueGradients, sequence: sequence, head: keyHead)
    }
  }

  private func backward(sequence: IRValue, head: IRValue, keys: IRValue, values: IRValue) {
    let query = self.head(0, sequence: sequence, head: head, stride: queryStride)
    let output = self.head(3, sequence: sequence, head: head, stride: queryStride)
    let upstream = self.head(5, sequence: sequence, head: head, stride: queryStride)
    let dq = self.head(6, sequence: sequence, head: head, stride: queryStride)
    forEachQueryBlock { block in
      packQueries(query, block, stride: queryStride, scale: scale, into: scratch.queries)
      packQueries(upstream, block, stride: queryStride, scale: 1, into: scratch.upstream)
      scores(block, of: scratch.queries, keys, scratch.keysTransposed, into: scratch.strip)
      scores(
        block, of: scratch.upstream, values, scratch.valuesTransposed, into: scratch.gradientStrip)
      scoreGradients(block, output: output, upstream: upstream, sequence: sequence, head: head)
      accumulate(scratch.strip, block, times: scratch.upstream, into: scratch.valueGradients)
      accumulate(scratch.gradientStrip, block, times: scratch.queries, into: scratch.keyGradients)
      multiplyStrip(
        scratch.gradientStrip, block, by: scratch.keyRows, of: keys, into: scratch.output)
      keepQueryGradients(block, dq)
    }
  }

  /// Turns scores into probabilities and their gradients into score gradients, row by row.
  private func scoreGradients(
    _ block: QueryBlock, output: IRValue, upstream: IRValue, sequence: IRValue, head: IRValue
  ) {
    forEachRow(block) { row, query in
      let place = ir.mul(query, ir.int(queryStride))
      let (o, dO) = (code.at(output, place), code.at(upstream, place))
      let zero = ir.zero(code.vector)
      let products = code.columns(width, carrying: [zero]) { column, active, carried in
        let product = ir.fmul(
          code.load(code.at(o, column), active), code.load(code.at(dO, column), active))
        return [ir.fadd(carried[0], product)]
      }
      let delta = ir.splat(ir.reduce(products[0], ir.fadd), code.lanes)
      let lse = ir.load(ir.f32, logSumExp(4, query, sequence: sequence, head: head))
      let (p, dp) = (stripRow(scratch.strip, row), stripRow(scratch.gradientStrip, row))
      _ = stripColumns(block, carrying: []) { column, _ in
        let s = ir.load(code.vector, code.at(p, column))
        let raw = code.exp(ir.fsub(s, ir.splat(lse, code.lanes)))
        let visible = mask(query, column, block)
        let probability = ir.select(visible, raw, zero)
        let gradient = ir.fsub(ir.load(code.vector, code.at(dp, column)), delta)
        ir.store(probability, code.at(p, column))
        ir.store(
          ir.select(visible, ir.fmul(probability, gradient), zero), code.at(dp, column))
        return []
      }
    }
  }

  /// Adds stripᵀ · rows to the gradients of the keys that the strip covers.
  private func accumulate(_ strip: Int, _ block: QueryBlock, times rows: Int, into target: Int) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: block.keys, n: ir.int(width), k: block.count, a: area(strip),
          lda: ir.int(scratch.stripStride), transposeA: true, b: area(rows),
          ldb: ir.int(scratch.padded), c: area(target), ldc: ir.int(scratch.padded), beta: 1))
    }
    code.multiply(
      MatmulOperand(base: area(strip), rowStride: 1, depthStride: scratch.stripStride),
      rowPanels(rows),
      into: MatmulResult(base: area(target), leading: scratch.padded, accumulates: true),
      rows: block.keys, panels: ir.int(scratch.padded / code.plan.tile.columns),
      depth: block.count, precision: .f32)
  }

  private func keepQueryGradients(_ block: QueryBlock, _ dq: IRValue) {
    forEachRow(block) { row, query in
      copyScaled(
        from: code.at(area(scratch.output), ir.mul(row, ir.int(scratch.padded))),
        to: code.at(dq, ir.mul(query, ir.int(queryStride))), scale: scale)
    }
  }

  /// dk needs no scale: it was computed from scaled queries.
  private func keepKeyGradients(
    _ argument: Int, _ source: Int, sequence: IRValue, head: IRValue
  ) {
    let target = self.head(argument, sequence: sequence, head: head, stride: keyStride)
    ir.loop(from: ir.int(0), to: ir.int(self.sequence)) { key in
      copyScaled(
        from: code.at(area(source), ir.mul(key, ir.int(scratch.padded))),
        to: code.at(target, ir.mul(key, ir.int(keyStride))), scale: 1)
    }
  }

  private func copyScaled(from source: IRValue, to target: IRValue, scale: Double) {
    code.columns(width) { column, active in
      var x = code.load(code.at(source, column), active, scalar: width == 1)
      if scale != 1 { x = ir.fmul(x, ir.float(scale, x.type)) }
      code.store(x, code.at(target, column), active)
    }
  }
}
