internal import LLVMKit
internal import MoTIR

// The unfused mode's matmuls: OpenBLAS's sgemm, each thread on its slice of the rows, which on small
// and ragged groups is no slower than OpenBLAS's own threads. Operands are rounded in bf16 by the caller.
extension CodeGenerator {
  /// C[m, n] = α A B + β C in row-major order, with A or B transposed.
  struct Sgemm {
    var m, n, k: IRValue
    var a: IRValue
    var lda: IRValue
    var transposeA = false
    var b: IRValue
    var ldb: IRValue
    var transposeB = false
    var c: IRValue
    var ldc: IRValue
    var alpha = 1.0
    var beta = 0.0
  }

  /// Emits a call of `cblas_sgemm`; nothing if the product has no rows or no columns.
  func sgemm(_ call: Sgemm) {
    let (int, float, pointer) = (ir.i32, ir.f32, ir.pointer)
    let function = ir.declare(
      "cblas_sgemm",
      [
        int, int, int, int, int, int, float, pointer, int, pointer, int, float, pointer, int,
      ], returns: ir.void)
    func narrow(_ value: IRValue) -> IRValue { ir.truncate(value, ir.i32) }
    func flag(_ transposed: Bool) -> IRValue { ir.int(transposed ? 112 : 111, ir.i32) }
    ir.when(ir.compare(.greater, call.m, ir.int(0))) {
      ir.call(
        function,
        [
          ir.int(101, ir.i32), flag(call.transposeA), flag(call.transposeB), narrow(call.m),
          narrow(call.n), narrow(call.k), ir.float(call.alpha), call.a, narrow(call.lda), call.b,
          narrow(call.ldb), ir.float(call.beta), call.c, narrow(call.ldc),
        ])
    }
  }

  /// (x, w…, y…, plan?)
  func emitBlasLinear(_ shape: LinearShape, _ frame: KernelFrame) {
    let count = shape.outputs.count
    forEachSlice(shape, planArgument: 1 + 2 * count, frame) { first, rows, group in
      for (index, width) in shape.outputs.enumerated() {
        let y = frame.arguments[1 + count + index]
        sgemm(
          Sgemm(
            m: rows, n: ir.int(width), k: ir.int(shape.input),
            a: at(frame.arguments[0], ir.mul(first, ir.int(shape.input))), lda: ir.int(shape.input),
            b: at(frame.arguments[1 + index], group * width * shape.input),
            ldb: ir.int(shape.input),
            transposeB: true, c: at(y, ir.mul(first, ir.int(width))), ldc: ir.int(width)))
      }
    } rest: { first, rows in
      for (index, width) in shape.outputs.enumerated() {
        clearRows(frame.arguments[1 + count + index], first, rows, width: width)
      }
    }
  }

  /// (dy1, w1, …, dx, plan?)
  func emitBlasInputGradient(_ shape: LinearShape, _ frame: KernelFrame) {
    let dx = frame.arguments[2 * shape.outputs.count]
    forEachSlice(shape, planArgument: 2 * shape.outputs.count + 1, frame) { first, rows, group in
      for (index, width) in shape.outputs.enumerated() {
        sgemm(
          Sgemm(
            m: rows, n: ir.int(shape.input), k: ir.int(width),
            a: at(frame.arguments[2 * index], ir.mul(first, ir.int(width))), lda: ir.int(width),
            b: at(frame.arguments[2 * index + 1], group * width * shape.input),
            ldb: ir.int(shape.input), c: at(dx, ir.mul(first, ir.int(shape.input))),
            ldc: ir.int(shape.input), beta: index == 0 ? 0 : 1))
      }
    } rest: { first, rows in
      clearRows(dx, first, rows, width: shape.input)
    }
  }

  /// (x, dy…, dw…, plan?): each thread takes its share of dw's rows.
  func emitBlasWeightGradient(_ shape: LinearShape, _ frame: KernelFrame) {
    let count = shape.outputs.count
    let groups = shape.routing?.groups.ofSegment ?? [0]
    let ranges = segmentRanges(shape, planArgument: 1 + 2 * count, frame)
    for (index, width) in shape.outputs.enumerated() {
      let (from, to) = share(ir.int(width), frame)
      for (segment, range) in ranges.enumerated() where groups[segment] != Groups.none {
        let accumulate = groups[..<segment].contains(groups[segment])
        let dw = at(
          frame.arguments[1 + count + index],
          ir.add(ir.int(groups[segment] * width * shape.input), ir.mul(from, ir.int(shape.input))))
        let rows = ir.sub(range.end, range.start)
        let dy = at(frame.arguments[1 + index], ir.add(ir.mul(range.start, ir.int(width)), from))
        if !accumulate { clearRows(dw, ir.int(0), ir.sub(to, from), width: shape.input) }
        let share = ir.select(ir.compare(.greater, rows, ir.int(0)), ir.sub(to, from), ir.int(0))
        sgemm(
          Sgemm(
            m: share, n: ir.int(shape.input), k: rows, a: dy, lda: ir.int(width), transposeA: true,
            b: at(frame.arguments[0], ir.mul(range.start, ir.int(shape.input))),
            ldb: ir.int(shape.input), c: dw, ldc: ir.int(shape.input), beta: 1))
      }
    }
  }

  private func clearRows(_ base: IRValue, _ first: IRValue, _ rows: IRValue, width: Int) {
    ir.clear(at(base, ir.mul(first, ir.int(width))), bytes: ir.mul(rows, ir.int(4 * width)))
  }

  private func segmentRanges(
    _ shape: LinearShape, planArgument: Int, _ frame: KernelFrame
  ) -> [(start: IRValue, end: IRValue)] {
    guard let routing = shape.routing else { return [(ir.int(0), ir.int(shape.rows))] }
    let plan = frame.arguments[planArgument]
    return (0..<routing.segments).map {
      (loadIndex(plan, ir.int($0)), loadIndex(plan, ir.int($0 + 1)))
    }
  }

  /// Emits `body` for this thread's slice of each segment with a group, and `rest` for its slice of the other rows.
  private func forEachSlice(
    _ shape: LinearShape, planArgument: Int, _ frame: KernelFrame,
    _ body: (_ first: IRValue, _ rows: IRValue, _ group: Int) -> Void,
    rest: (_ first: IRValue, _ rows: IRValue) -> Void
  ) {
    let ranges = segmentRanges(shape, planArgument: planArgument, frame)
    for (segment, range) in ranges.enumerated() {
      let (from, to) = share(ir.sub(range.end, range.start), frame)
      let (first, rows) = (ir.add(range.start, from), ir.sub(to, from))
      let group = shape.routing?.groups.ofSegment[segment] ?? 0
      group == Groups.none ? rest(first, rows) : body(first, rows, group)
    }
    guard shape.routing != nil, let last = ranges.last else { return }
    let (from, to) = share(ir.sub(ir.int(shape.rows), last.end), frame)
    rest(ir.add(last.end, from), ir.sub(to, from))
  }
}
