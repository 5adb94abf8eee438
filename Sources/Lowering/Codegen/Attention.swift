internal import LLVMKit
internal import MoTIR

/// Emits attention: each thread takes heads of sequences and walks their blocks of queries. Forward it
/// takes query heads; backward key heads, whose gradients add up over the query heads that share them.
///
/// The scores of a block of queries are a strip in scratch memory, never the whole S × S matrix; with a
/// causal mask a strip ends where its last query does.
///
/// Shapes: B sequences of S tokens, H query heads, G key heads, W head width (padded to panels: P).
final class AttentionEmitter {
  let code: CodeGenerator
  let shape: AttentionShape
  let frame: KernelFrame
  var ir: IRBuilder { code.ir }
  let scratch: AttentionScratch

  init(_ code: CodeGenerator, _ shape: AttentionShape, _ frame: KernelFrame) {
    self.code = code
    self.shape = shape
    self.frame = frame
    scratch = AttentionScratch(
      shape, tile: code.plan.tile, usesBlas: code.plan.backend == .blas)
    code.reserveScratch(scratch.bytes)
  }

  // MARK: Geometry

  var attention: Op.Attention { shape.attention }
  var sequence: Int { shape.sequence }
  var width: Int { shape.headWidth }
  var queryStride: Int { attention.heads * width }
  var keyStride: Int { attention.keyValueHeads * width }
  var scale: Double { 1 / Double(width).squareRoot() }
  var usesBlas: Bool { code.plan.backend == .blas }

  /// Returns the address of byte `offset` of scratch memory.
  func area(_ offset: Int) -> IRValue { code.bytes(frame.scratch, ir.int(offset)) }

  /// A block of queries: its first query, how many, and how many keys it sees at most.
  struct QueryBlock {
    let first, count, keys: IRValue
  }

  /// Emits `body` for each block of queries.
  func forEachQueryBlock(_ body: (QueryBlock) -> Void) {
    let rows = scratch.queryRows
    ir.loop(from: ir.int(0), to: ir.int(sequence), by: rows) { first in
      let count = ir.min(ir.int(rows), ir.sub(ir.int(sequence), first))
      let sees = attention.causal && !attention.hasSegments
      let keys = sees ? ir.add(first, count) : ir.int(sequence)
      body(QueryBlock(first: first, count: count, keys: keys))
    }
  }

  /// Returns the address of a head's first row in an argument of rows `stride` wide.
  func head(_ argument: Int, sequence: IRValue, head: IRValue, stride: Int) -> IRValue {
    let row = ir.mul(sequence, ir.int(self.sequence * stride))
    return code.at(frame.arguments[argument], ir.add(row, ir.mul(head, ir.int(width))))
  }

  /// Returns the address of the log-sum-exp of a query.
  func logSumExp(
    _ argument: Int, _ query: IRValue, sequence: IRValue, head: IRValue
  ) -> IRValue {
    let row = ir.add(ir.mul(sequence, ir.int(self.sequence)), query)
    return code.at(
      frame.arguments[argument], ir.add(ir.mul(row, ir.int(attention.heads)), head))
  }

  // MARK: Strips

  func forEachRow(_ block: QueryBlock, _ body: (_ row: IRValue, _ query: IRValue) -> Void) {
    ir.loop(from: ir.int(0), to: block.count) { body($0, ir.add(block.first, $0)) }
  }

  func stripRow(_ strip: Int, _ row: IRValue) -> IRValue {
    code.at(area(strip), ir.mul(row, ir.int(scratch.stripStride)))
  }

  /// Emits a loop over whole vectors of the block's keys.
  func stripColumns(
    _ block: QueryBlock, carrying initial: [IRValue],
    _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    ir.loop(from: ir.int(0), to: block.keys, by: code.lanes, carrying: initial, body)
  }

  /// Returns which of the keys from `column` on the query sees.
  func mask(_ query: IRValue, _ column: IRValue, _ block: QueryBlock) -> IRValue {
    let lanes = code.lanes
    let keys = ir.add(
      ir.splat(ir.truncate(column, ir.i32), lanes),
      ir.constantVector((0..<lanes).map { ir.int($0, ir.i32) }))
    func spread(_ value: IRValue) -> IRValue { ir.splat(ir.truncate(value, ir.i32), lanes) }
    var visible = ir.compare(.less, keys, spread(block.keys))
    let integers = ir.vector(ir.i32, lanes)
    func rows(_ offset: Int) -> (keys: IRValue, query: IRValue) {
      let base = area(offset)
      return (
        ir.load(integers, ir.element(base, column, ir.i32)),
        ir.splat(ir.load(ir.i32, ir.element(base, query, ir.i32)), lanes)
      )
    }
    var seen = visible
    if attention.causal { seen = ir.compare(.lessOrEqual, keys, spread(query)) }
    if attention.hasSegments {
      let (theirs, mine) = rows(scratch.segments)
      let together = ir.and(
        ir.compare(.equal, theirs, mine), ir.compare(.greater, mine, ir.zero(integers)))
      seen = ir.or(seen, together)
    }
    visible = ir.and(visible, seen)
    if attention.hasDocuments {
      let (theirs, mine) = rows(scratch.documents)
      visible = ir.and(visible, ir.compare(.equal, theirs, mine))
    }
    return visible
  }

  // MARK: Products

  /// Returns rows [S, P] in scratch memory as the right matrix of a product over rows.
  func rowPanels(_ rows: Int) -> MatmulPanels {
    MatmulPanels(
      base: area(rows), panelStride: code.plan.tile.columns, depthStride: scratch.padded)
  }

  /// strip = rows · keysᵀ
  func scores(
    _ block: QueryBlock, of rows: Int, _ keys: IRValue, _ transposed: Int, into strip: Int
  ) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: block.count, n: block.keys, k: ir.int(width), a: area(rows),
          lda: ir.int(scratch.padded), b: keys, ldb: ir.int(keyStride), transposeB: true,
          c: area(strip), ldc: ir.int(scratch.stripStride)))
    }
    let columns = code.plan.tile.columns
    code.multiply(
      MatmulOperand(base: area(rows), rowStride: scratch.padded, depthStride: 1),
      MatmulPanels(base: area(transposed), panelStride: width * columns, depthStride: columns),
      into: MatmulResult(base: area(strip), leading: scratch.stripStride), rows: block.count,
      panels: code.ceilDivide(block.keys, columns), depth: ir.int(width), precision: .f32)
  }

  /// target = strip · rows, for the keys that the block sees.
  ///
  /// - Parameters:
  ///   - rows: the head's keys or values as rows in scratch memory, which motc's own kernels read.
  ///   - source: the same where they came from, which OpenBLAS reads.
  func multiplyStrip(
    _ strip: Int, _ block: QueryBlock, by rows: Int, of source: IRValue, into target: Int
  ) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: block.count, n: ir.int(width), k: block.keys, a: area(strip),
          lda: ir.int(scratch.stripStride), b: source, ldb: ir.int(keyStride), c: area(target),
          ldc: ir.int(scratch.padded)))
    }
    code.multiply(
      MatmulOperand(base: area(strip), rowStride: scratch.stripStride, depthStride: 1),
      rowPanels(rows), into: MatmulResult(base: area(target), leading: scratch.padded),
      rows: block.count, panels: ir.int(scratch.padded / code.plan.tile.columns),
      depth: block.keys, precision: .f32)
  }
}
