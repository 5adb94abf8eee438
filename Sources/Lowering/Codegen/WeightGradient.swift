internal import LLVMKit
internal import MoTIR

// dw[N, D] = dyᵀ x, group by group: outer products over a segment's tokens.
//
// Operands are laid out as `OuterProductLayout` says, by the kernels that computed them or else here first; then
// threads take strips of rows of each dw.
extension CodeGenerator {
  /// (x, dy…, workspace?, dw…, plan?)
  func emitWeightGradient(_ shape: LinearShape, _ laidOut: Set<Int>, _ frame: KernelFrame) {
    let widths = [shape.input] + shape.outputs
    let hasWorkspace = laidOut.count < widths.count
    let results = widths.count + (hasWorkspace ? 1 : 0)
    let plan = shape.routing.map {
      (frame.arguments[results + shape.outputs.count], $0.segments)
    }
    let parts = plan?.1 ?? 1
    let units = operands.outerUnits(rows: shape.rows, parts: parts)
    let segments = tokenSegments(plan, rows: shape.rows)
    var areas: [OuterArea] = []
    var offset = 0
    for (index, width) in widths.enumerated() {
      let padded = self.plan.tile.padded(width)
      let isLaidOut = laidOut.contains(index)
      let base =
        isLaidOut ? frame.arguments[index] : at(frame.arguments[widths.count], offset)
      if !isLaidOut { offset += padded * units }
      let bytes = operands.outerBytes(rows: shape.rows, width: padded, parts: parts)
      areas.append(
        OuterArea(side: index == 0 ? .right : .left, base: base, units: units, bytes: bytes))
    }
    for (index, width) in widths.enumerated() where !laidOut.contains(index) {
      for segment in segments {
        let rows = SourceRows(
          base: frame.arguments[index], width: width, stride: width, start: segment.start,
          end: segment.end)
        let bands = share(ir.udiv(segment.units, ir.int(operands.bandUnits)), frame)
        layOut(rows, bands: bands, into: areas[index], from: segment.firstUnit)
      }
    }
    if hasWorkspace { barrier(frame.control, frame.threads) }
    let groups = shape.routing?.groups.ofSegment ?? [0]
    var products: [OuterProduct] = []
    for (index, width) in shape.outputs.enumerated() {
      for group in Set(groups).subtracting([Groups.none]).sorted() {
        let result = at(frame.arguments[results + index], group * width * shape.input)
        products.append(
          OuterProduct(
            a: areas[1 + index].base, b: areas[0].base, units: units, c: result, rows: width,
            columns: shape.input, segments: zip(groups, segments).filter { $0.0 == group }.map(\.1))
        )
      }
    }
    _ = outerProducts(products, frame)
  }

  /// A run of tokens that share weights.
  struct TokenSegment {
    /// Its first row and the row after its last.
    let start, end: IRValue
    /// Its first unit of depth among all segments' units, and how many it has.
    let firstUnit, units: IRValue
  }

  /// Returns the segments of a plan, or the one segment of all rows; each has whole bands.
  func tokenSegments(_ plan: (IRValue, Int)?, rows: Int) -> [TokenSegment] {
    guard let (base, segments) = plan else {
      let bands = (rows + operands.band - 1) / operands.band
      return [
        TokenSegment(
          start: ir.int(0), end: ir.int(rows), firstUnit: ir.int(0),
          units: ir.int(bands * operands.bandUnits))
      ]
    }
    var next = ir.int(0)
    return (0..<segments).map { segment in
      let start = loadIndex(base, ir.int(segment))
      let end = loadIndex(base, ir.int(segment + 1))
      let bands = ceilDivide(ir.sub(end, start), operands.band)
      let units = ir.mul(bands, ir.int(operands.bandUnits))
      defer { next = ir.add(next, units) }
      return TokenSegment(start: start, end: end, firstUnit: next, units: units)
    }
  }

  /// Panels of a's rows that are multiplied while a panel of b passes by: more of them push each other
  /// out of the second cache.
  private var panelsTogether: Int { usesMatrixUnit ? (operands == .splitF32 ? 4 : 8) : 2 }

  /// c[rows, columns] (+)= Σ over segments of a ⊗ b.
  struct OuterProduct {
    /// The operands, laid out, from their unit 0 on.
    let a, b: IRValue
    /// Units of an operand's channel.
    let units: Int
    /// The result.
    let c: IRValue
    let rows, columns: Int
    /// What is summed up, in order.
    let segments: [TokenSegment]
    /// Whether the sum is added to what the result has.
    var accumulates = false
  }

  /// Emits `products`, whose results do not overlap: a part of the work is a strip of a result's rows.
  ///
  /// - Parameter before: how many parts of the call's work are done behind a barrier.
  /// - Returns: how many parts these are.
  func outerProducts(
    _ products: [OuterProduct], after before: IRValue? = nil, _ frame: KernelFrame
  ) -> IRValue {
    let panels = products.map { plan.tile.padded($0.rows) / plan.tile.columns }
    let strips = panels.map { ($0 + panelsTogether - 1) / panelsTogether }
    let areFew = areFew(ir.int(strips.reduce(0, +)), frame)
    let parts = strips.map { ir.select(areFew, frame.threads, ir.int($0)) }
    // The first part of each product, and behind the last one their number.
    let firsts = parts.reduce(into: [ir.int(0)]) { $0.append(ir.add($0[$0.count - 1], $1)) }
    forEachPart(of: firsts[products.count], after: before, frame) { part in
      for (index, product) in products.enumerated() {
        let isOfIt = ir.and(
          ir.compare(.lessOrEqual, firsts[index], part), ir.compare(.less, part, firsts[index + 1]))
        ir.when(isOfIt) {
          let (from, to) = range(
            ofPart: ir.sub(part, firsts[index]), of: parts[index], in: ir.int(panels[index]))
          outerProduct(product, panels: from, to, frame)
        }
      }
    }
    return firsts[products.count]
  }

  /// Emits the rows of a product that are in panels `from..<to` of its left operand.
  private func outerProduct(
    _ product: OuterProduct, panels from: IRValue, _ to: IRValue, _ frame: KernelFrame
  ) {
    let panel = plan.tile.columns
    ir.loop(from: from, to: to, by: panelsTogether) { index in
      let first = ir.mul(index, ir.int(panel))
      let end = ir.min(ir.add(index, ir.int(panelsTogether)), to)
      let last = ir.min(ir.int(product.rows), ir.mul(end, ir.int(panel)))
      let strip = OuterStrip(
        product: product, a: at(product.a, ir.mul(index, ir.int(product.units * panel))),
        c: at(product.c, ir.mul(first, ir.int(product.columns))), rows: ir.sub(last, first))
      for (number, segment) in product.segments.enumerated() {
        forEachPiece(of: segment.units, among: product.units) { piece, depth, isFirst in
          multiply(
            strip, from: ir.add(segment.firstUnit, piece), depth: depth,
            accumulate: product.accumulates || number > 0 || !isFirst, frame)
        }
      }
    }
  }

  /// Rows of a result that a thread computes together, one piece of depth after the other.
  private struct OuterStrip {
    let product: OuterProduct
    /// The left operand and the result, from the first of these rows on.
    let a, c: IRValue
    let rows: IRValue
  }

  /// Emits `body` for pieces of `depth` units, in order, so short that the second cache holds a strip's left
  /// operand.
  ///
  /// There is a first piece even of no depth.
  private func forEachPiece(
    of depth: IRValue, among units: Int,
    _ body: (_ first: IRValue, _ depth: IRValue, _ isFirst: Bool) -> Void
  ) {
    let most = depthInCache(rows: panelsTogether * plan.tile.columns)
    guard units > most else { return body(ir.int(0), depth, true) }
    let count = ir.max(ir.int(1), ceilDivide(depth, most))
    // Whole bands, of which the depth is made.
    let bands = ir.udiv(depth, ir.int(operands.bandUnits))
    let piece = ir.mul(ceilDivide(bands, count), ir.int(operands.bandUnits))
    let size = ir.min(piece, depth)
    body(ir.int(0), size, true)
    ir.loop(from: ir.int(1), to: count) { number in
      let first = ir.min(ir.mul(number, piece), depth)
      body(first, ir.min(piece, ir.sub(depth, first)), false)
    }
  }

  private func multiply(
    _ strip: OuterStrip, from unit: IRValue, depth: IRValue, accumulate: Bool, _ frame: KernelFrame
  ) {
    let panel = plan.tile.columns
    let product = strip.product
    let operand = leftOperand(strip.a, units: product.units, from: unit)
    let start = at(product.b, ir.mul(unit, ir.int(panel)))
    let whole = product.columns / panel
    multiply(
      operand, MatmulPanels(base: start, panelStride: product.units * panel, depthStride: panel),
      into: MatmulResult(
        base: strip.c, leading: product.columns, accumulates: accumulate, isCold: !accumulate),
      rows: strip.rows, panels: ir.int(whole), depth: depth, operands: operands)
    guard whole * panel < product.columns else { return }
    lastPanel(
      operand, at(start, whole * product.units * panel), active: product.columns - whole * panel,
      into: at(strip.c, whole * panel), leading: product.columns, rows: strip.rows, depth: depth,
      accumulate: accumulate, frame)
  }

  /// The panel that is only partly inside the matrix: by way of scratch memory.
  private func lastPanel(
    _ a: MatmulOperand, _ b: IRValue, active: Int, into c: IRValue, leading: Int, rows: IRValue,
    depth: IRValue, accumulate: Bool, _ frame: KernelFrame
  ) {
    let panel = plan.tile.columns
    reserveScratch(4 * panelsTogether * panel * panel)
    multiply(
      a, MatmulPanels(base: b, panelStride: 0, depthStride: panel),
      into: MatmulResult(base: frame.scratch, leading: panel), rows: rows, panels: ir.int(1),
      depth: depth, operands: operands)
    ir.loop(from: ir.int(0), to: rows) { row in
      for column in stride(from: 0, to: active, by: lanes) {
        let lanes = min(self.lanes, active - column)
        var value = load(
          at(frame.scratch, ir.add(ir.mul(row, ir.int(panel)), ir.int(column))), lanes)
        let place = at(c, ir.add(ir.mul(row, ir.int(leading)), ir.int(column)))
        if accumulate { value = ir.fadd(value, load(place, lanes)) }
        store(value, place, lanes)
      }
    }
  }
}
