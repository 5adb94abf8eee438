internal import LLVMKit
internal import MoTIR

// o = softmax(q kᵀ scale + mask) v, and the log-sum-exp of each row, which the gradient needs.
extension AttentionEmitter {
  /// (q, k, v, o, lse, documents?, segments?)
  func emitForward() {
    let (from, to) = code.share(ir.int(attention.batch * attention.heads), frame)
    let group = attention.heads / attention.keyValueHeads
    ir.loop(from: from, to: to) { item in
      let sequence = ir.udiv(item, ir.int(attention.heads))
      let head = ir.urem(item, ir.int(attention.heads))
      let shared = ir.udiv(head, ir.int(group))
      let keys = self.head(1, sequence: sequence, head: shared, stride: keyStride)
      let values = self.head(2, sequence: sequence, head: shared, stride: keyStride)
      copyMaskRows(sequence, firstArgument: 5)
      if !usesBlas {
        packTransposed(keys, into: scratch.keysTransposed)
        packRows(values, into: scratch.valueRows)
      }
      let query = self.head(0, sequence: sequence, head: head, stride: queryStride)
      let output = self.head(3, sequence: sequence, head: head, stride: queryStride)
      forEachQueryBlock { block in
        packQueries(query, block, stride: queryStride, scale: scale, into: scratch.queries)
        scores(block, of: scratch.queries, keys, scratch.keysTransposed, into: scratch.strip)
        softmax(block, sequence: sequence, head: head)
        multiplyStrip(
          scratch.strip, block, by: scratch.valueRows, of: values, into: scratch.output)
        keepOutput(block, output)
      }
    }
  }

  /// Turns the strip of scores into exp(score − max), keeps 1 / sum and the log-sum-exp of each row.
  private func softmax(_ block: QueryBlock, sequence: IRValue, head: IRValue) {
    forEachRow(block) { row, query in
      let strip = stripRow(scratch.strip, row)
      let lowest = ir.float(-.infinity, code.vector)
      let largest = stripColumns(block, carrying: [lowest]) { column, carried in
        let x = ir.load(code.vector, code.at(strip, column))
        return [ir.fmax(ir.select(mask(query, column, block), x, lowest), carried[0])]
      }
      let top = ir.reduce(largest[0], ir.fmax)
      let total = stripColumns(block, carrying: [ir.zero(code.vector)]) { column, carried in
        let place = code.at(strip, column)
        let p = code.exp(ir.fsub(ir.load(code.vector, place), ir.splat(top, code.lanes)))
        let kept = ir.select(mask(query, column, block), p, ir.zero(code.vector))
        ir.store(kept, place)
        return [ir.fadd(carried[0], kept)]
      }
      let sum = ir.reduce(total[0], ir.fadd)
      ir.store(ir.fdiv(ir.float(1), sum), code.at(area(scratch.rowFactors), row))
      ir.store(ir.fadd(top, code.log(sum)), logSumExp(4, query, sequence: sequence, head: head))
    }
  }

  private func keepOutput(_ block: QueryBlock, _ output: IRValue) {
    forEachRow(block) { row, query in
      let factor = ir.load(ir.f32, code.at(area(scratch.rowFactors), row))
      code.columns(width) { column, active in
        let source = code.at(
          area(scratch.output), ir.add(ir.mul(row, ir.int(scratch.padded)), column))
        let x = code.load(source, active, scalar: width == 1)
        let place = ir.add(ir.mul(query, ir.int(queryStride)), column)
        code.store(ir.fmul(x, ir.splat(factor, x.type.lanes)), code.at(output, place), active)
      }
    }
  }
}
