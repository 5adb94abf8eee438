internal import LLVMKit
internal import MoTIR

/// Emits attention: each thread walks blocks of queries of the heads that fall to it. Forward it takes
/// blocks; backward key heads, whose gradients add up over the query heads that share them.
///
/// The scores of a block of queries with a block of keys are a strip in scratch memory, which stays in the
/// second cache for sequences of any length; there is no S × S matrix. What a causal mask hides is not
/// computed, and masks are evaluated only where some keys of a panel are visible and others are not.
///
/// Shapes: B sequences of S tokens, H query heads, G key heads, W head width (padded to panels: P).
final class AttentionEmitter {
  let code: CodeGenerator
  let shape: AttentionShape
  let frame: KernelFrame
  var ir: IRBuilder { code.ir }
  /// What operands of its products are made of, in rows.
  let operands: OperandFormat
  let isGradient: Bool
  /// `true` iff products over queries read their strips by key.
  let transposes: Bool
  let scratch: AttentionScratch

  init(_ code: CodeGenerator, _ shape: AttentionShape, _ frame: KernelFrame, gradient: Bool) {
    self.code = code
    self.shape = shape
    self.frame = frame
    isGradient = gradient
    let usesBlas = code.plan.backend == .blas
    if code.operands == .splitF32 {
      operands = .splitF32
    } else if code.operands.isRounded, code.target.hasBF16DotProduct, !usesBlas {
      operands = .bf16
    } else {
      operands = .f32
    }
    transposes = gradient && code.usesMatrixUnit
    scratch = AttentionScratch(
      shape, tile: code.plan.tile, usesBlas: usesBlas, operands: operands,
      transposes: transposes, gradient: gradient)
    code.reserveScratch(scratch.bytes)
  }

  // MARK: Geometry

  /// `true` iff units of operands are pairs: see `AttentionPairs`.
  var isPaired: Bool { operands != .f32 }
  var attention: Op.Attention { shape.attention }
  var sequence: Int { shape.sequence }
  var width: Int { shape.headWidth }
  var columns: Int { code.plan.tile.columns }
  var queryStride: Int { attention.heads * width }
  var keyStride: Int { attention.keyValueHeads * width }
  var scale: Double { 1 / Double(width).squareRoot() }
  var usesBlas: Bool { code.plan.backend == .blas }
  /// log₂ e: scores are in base 2 from the product on.
  var binary: Double { 1.442_695_040_888_963_4 }

  /// Queries that are walked: backward in pairs, whole panels of them.
  var queryCount: Int { isPaired && isGradient ? code.plan.tile.padded(sequence) : sequence }
  /// Query heads that share a key head.
  var group: Int { attention.heads / attention.keyValueHeads }
  /// `true` iff a query sees no key after itself.
  var isTriangular: Bool { attention.causal && !attention.hasSegments }

  /// Returns the address of byte `offset` of scratch memory.
  func area(_ offset: Int) -> IRValue { code.bytes(frame.scratch, ir.int(offset)) }

  /// Returns the address of row `row` of an area of rows `[…, P]`.
  func row(_ row: IRValue, of offset: Int) -> IRValue {
    code.at(area(offset), ir.mul(row, ir.int(scratch.padded)))
  }

  /// Returns the address of row `row`, the first of a panel, of an operand of products over rows.
  func rowAcross(_ row: IRValue, of offset: Int) -> IRValue { self.row(units(row), of: offset) }

  /// Returns the units of `elements` neighbours in depth; where units are pairs, whole panels of elements.
  func units(_ elements: IRValue) -> IRValue { isPaired ? code.units(elements) : elements }

  /// Returns `count` rounded up to whole panels.
  func wholePanels(_ count: IRValue) -> IRValue {
    ir.mul(code.ceilDivide(count, columns), ir.int(columns))
  }

  /// A key head of a sequence.
  struct KeyHead {
    let sequence, number: IRValue
    /// Its first key and its first value, rows `keyStride` apart.
    let keys, values: IRValue
  }

  /// Returns key head `pair` of all B · G.
  func keyHead(_ pair: IRValue) -> KeyHead {
    let shared = ir.int(attention.keyValueHeads)
    let (sequence, number) = (ir.udiv(pair, shared), ir.urem(pair, shared))
    return KeyHead(
      sequence: sequence, number: number,
      keys: head(1, sequence: sequence, head: number, stride: keyStride),
      values: head(2, sequence: sequence, head: number, stride: keyStride))
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

  // MARK: Rows of strips

  func forEachRow(_ block: QueryBlock, _ body: (_ row: IRValue, _ query: IRValue) -> Void) {
    ir.loop(from: ir.int(0), to: block.count) { body($0, ir.add(block.first, $0)) }
  }

  /// Returns the address of a key's column in a row of a strip.
  func place(_ strip: Int, _ row: IRValue, _ key: IRValue, _ tile: Tile) -> IRValue {
    let column = ir.sub(key, tile.start)
    return code.at(
      area(strip), ir.add(ir.mul(row, ir.int(scratch.stripStride)), column))
  }

  /// Returns the end of the columns of a query's row that are read later: whole panels.
  ///
  /// OpenBLAS reads all rows as far as the tile goes.
  func end(of query: IRValue, _ tile: Tile) -> IRValue {
    let all = wholePanels(tile.to)
    guard isTriangular, !usesBlas else { return all }
    return ir.min(all, wholePanels(ir.add(query, ir.int(1))))
  }

  /// Emits a loop over panels of keys.
  func forEachPanel(
    from: IRValue, to: IRValue, carrying initial: [IRValue],
    _ body: (_ key: IRValue, _ carried: [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    ir.loop(from: from, to: to, by: columns, carrying: initial, body)
  }

  /// Emits `body` for all panels of a row, telling those that need the mask.
  func forEachPanel(
    ofRow query: IRValue, _ tile: Tile, carrying initial: [IRValue],
    _ body: (_ key: IRValue, _ carried: [IRValue], _ isMixed: Bool) -> [IRValue]
  ) -> [IRValue] {
    var carried = initial
    if readsMasks {
      carried = forEachPanel(from: tile.from, to: tile.fullFrom, carrying: carried) {
        body($0, $1, true)
      }
    }
    carried = forEachPanel(from: tile.fullFrom, to: tile.fullTo, carrying: carried) {
      body($0, $1, false)
    }
    return forEachPanel(from: tile.fullTo, to: end(of: query, tile), carrying: carried) {
      body($0, $1, true)
    }
  }

  /// Returns the first key of each vector of a panel.
  func vectors(ofPanel key: IRValue) -> [IRValue] {
    (0..<code.plan.tile.vectors).map { ir.add(key, ir.int($0 * code.lanes)) }
  }
}
