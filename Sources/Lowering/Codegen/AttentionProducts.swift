internal import LLVMKit
internal import MoTIR

// The products of attention. With a causal mask a strip is a rectangle and, at its end, a triangle, whose
// hidden half is left out in steps of the register tile: `square` is where the triangle begins.
extension AttentionEmitter {
  /// strip = rows · keysᵀ
  ///
  /// - Parameters:
  ///   - rows: the block's first row.
  ///   - transposed: the keys in panels, which motc's own kernels read.
  ///   - source: the same where they came from, which OpenBLAS reads.
  func scores(
    _ tile: Tile, of rows: IRValue, by transposed: Int, of source: IRValue, into strip: Int
  ) {
    let corner = place(strip, ir.int(0), tile.from, tile)
    if usesBlas {
      return code.sgemm(
        .init(
          m: tile.count, n: ir.sub(tile.to, tile.from), k: ir.int(width), a: rows,
          lda: ir.int(scratch.padded), b: sourceRow(source, tile.from), ldb: ir.int(keyStride),
          transposeB: true, c: corner, ldc: ir.int(scratch.stripStride)))
    }
    func panels(from key: IRValue, to: IRValue, into place: IRValue, skipping: IRValue?) {
      let skipped = skipping ?? ir.int(0)
      code.multiply(
        MatmulOperand(
          base: code.at(rows, ir.mul(skipped, ir.int(scratch.rowUnits))),
          rowStride: scratch.rowUnits, depthStride: 1),
        MatmulPanels(
          base: code.at(area(transposed), ir.mul(key, ir.int(scratch.depth))),
          panelStride: scratch.depth * columns, depthStride: columns),
        into: MatmulResult(base: place, leading: scratch.stripStride),
        rows: ir.sub(tile.count, skipped), panels: code.ceilDivide(ir.sub(to, key), columns),
        depth: ir.int(scratch.depth), operands: operands)
    }
    let square = self.square(tile)
    panels(from: tile.from, to: square, into: corner, skipping: nil)
    guard isTriangular else { return }
    ir.loop(from: square, to: tile.to, by: columns) { key in
      let skipped = ir.max(ir.int(0), ir.sub(key, tile.first))
      panels(
        from: key, to: ir.add(key, ir.int(columns)), into: place(strip, skipped, key, tile),
        skipping: skipped)
    }
  }

  /// target (+)= strip · rows, for a block's sums `target` over the keys of the tile; the strip has
  /// probabilities forward and score gradients backward.
  ///
  /// - Parameters:
  ///   - rows: keys or values as rows in scratch memory, which motc's own kernels read.
  ///   - source: the same where they came from, which OpenBLAS reads.
  func multiplyStrip(
    _ tile: Tile, by rows: Int, of source: IRValue, into target: IRValue, accumulates: Bool
  ) {
    if usesBlas {
      return code.sgemm(
        .init(
          m: tile.count, n: ir.int(width), k: ir.sub(tile.to, tile.from),
          a: stripOperand(ir.int(0), tile).base, lda: ir.int(scratch.stripStride),
          b: sourceRow(source, tile.from), ldb: ir.int(keyStride), c: target,
          ldc: ir.int(scratch.padded), beta: accumulates ? 1 : 0))
    }
    func product(from row: IRValue, count: IRValue, to: IRValue) {
      let depth = ir.max(ir.int(0), ir.sub(to, tile.from))
      code.multiply(
        stripOperand(row, tile), rowPanels(rowAcross(tile.from, of: rows)),
        into: MatmulResult(
          base: code.at(target, ir.mul(row, ir.int(scratch.padded))), leading: scratch.padded,
          accumulates: accumulates),
        rows: count, panels: ir.int(scratch.padded / columns),
        depth: isPaired ? units(wholePanels(depth)) : depth, operands: operands)
    }
    guard isTriangular else {
      return product(from: ir.int(0), count: tile.count, to: tile.to)
    }
    ir.loop(from: ir.int(0), to: tile.count, by: step) { row in
      let end = ir.add(tile.first, ir.add(row, ir.int(step)))
      product(
        from: row, count: ir.min(ir.int(step), ir.sub(tile.count, row)), to: ir.min(tile.to, end))
    }
  }

  /// Returns the rows of a strip from `row` on, by pairs of keys where operands are pairs.
  private func stripOperand(_ row: IRValue, _ tile: Tile) -> MatmulOperand {
    let strip = isGradient ? scratch.gradientStrip : scratch.strip
    guard isPaired else {
      return MatmulOperand(
        base: place(strip, row, tile.from, tile), rowStride: scratch.stripStride, depthStride: 1)
    }
    return MatmulOperand(
      base: pairPlace(row, tile.from, tile), rowStride: scratch.pairStride, depthStride: 1)
  }

  /// Adds stripᵀ · rows to the sums of the tile's keys.
  func accumulate(_ strip: Int, _ tile: Tile, times rows: IRValue, into target: Int) {
    let sums = row(tile.from, of: target)
    if usesBlas {
      return code.sgemm(
        .init(
          m: ir.sub(tile.to, tile.from), n: ir.int(width), k: tile.count,
          a: place(strip, ir.int(0), tile.from, tile), lda: ir.int(scratch.stripStride),
          transposeA: true, b: rows, ldb: ir.int(scratch.padded), c: sums,
          ldc: ir.int(scratch.padded), beta: 1))
    }
    func product(from key: IRValue, count: IRValue, skipping: IRValue?) {
      let skipped = skipping ?? ir.int(0)
      code.multiply(
        stripOperand(strip, ofKey: key, skipping: skipped, tile),
        rowPanels(code.at(rows, ir.mul(units(skipped), ir.int(scratch.padded)))),
        into: MatmulResult(
          base: row(key, of: target), leading: scratch.padded, accumulates: true),
        rows: count, panels: ir.int(scratch.padded / columns),
        depth: units(ir.sub(tile.count, skipped)), operands: operands)
    }
    let square = self.square(tile)
    product(from: tile.from, count: ir.sub(square, tile.from), skipping: nil)
    guard isTriangular else { return }
    ir.loop(from: square, to: tile.to, by: step) { key in
      product(
        from: key, count: ir.min(ir.int(step), ir.sub(tile.to, key)),
        skipping: ir.max(ir.int(0), ir.sub(key, tile.first)))
    }
  }

  /// Returns the strip's columns from `key` on as rows, without the first `skipped` queries.
  private func stripOperand(
    _ strip: Int, ofKey key: IRValue, skipping skipped: IRValue, _ tile: Tile
  ) -> MatmulOperand {
    guard transposes else {
      return MatmulOperand(
        base: place(strip, skipped, key, tile), rowStride: 1,
        depthStride: (isPaired ? 2 : 1) * scratch.stripStride)
    }
    let source = strip == scratch.strip ? scratch.probabilitiesByKey : scratch.gradientsByKey
    return MatmulOperand(
      base: code.at(rowByKey(source, key, tile), units(skipped)), rowStride: scratch.keyStride,
      depthStride: 1)
  }

  /// Returns the first key of the first panel that the causal mask keeps from some query of the tile.
  private func square(_ tile: Tile) -> IRValue {
    guard isTriangular else { return tile.to }
    let panel = ir.mul(ir.udiv(tile.first, ir.int(columns)), ir.int(columns))
    return ir.max(tile.from, ir.min(panel, tile.to))
  }

  /// Rows of a triangle that are cut off together: they divide a panel, which is computed as a whole.
  private var step: Int {
    let tile = code.plan.tile
    return tile.columns.isMultiple(of: tile.rows) && !isPaired ? tile.rows : tile.columns
  }

  /// Returns rows [U(S), P] in scratch memory as the right matrix of a product over rows.
  private func rowPanels(_ rows: IRValue) -> MatmulPanels {
    MatmulPanels(base: rows, panelStride: columns, depthStride: scratch.padded)
  }

  private func sourceRow(_ source: IRValue, _ key: IRValue) -> IRValue {
    code.at(source, ir.mul(key, ir.int(keyStride)))
  }
}
