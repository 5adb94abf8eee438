internal import LLVMKit
internal import MoTIR

// The register tile on Intel's matrix unit (AMX): four accumulators of 16 x 16 f32, two tiles of A (16 rows of
// 16 units) and two of B (16 units of 16 columns), a unit being two bf16.
//
// Of bf16 operands it reads the layouts that the vector tile reads. Tiles are configured once in an entry, by
// each thread.
extension CodeGenerator {
  /// `true` iff the entries configure the tiles.
  var usesMatrixUnit: Bool { operands.isTiled }

  /// Emits the configuration of all eight tiles: 16 rows of 64 bytes.
  func configureMatrixUnit() {
    // 64 bytes: the palette, 15 zeros, the bytes of a row of each tile (u16), the rows of each (u8).
    let (widths, rows) = (0x0040_0040_0040_0040, 0x1010_1010_1010_1010)
    let words = [1, 0, widths, widths, 0, 0, rows, 0].map(IRBuilder.Word.number)
    ir.intrinsic(
      "llvm.x86.ldtilecfg", overloads: [], [ir.constantTable(words, name: "tile.configuration")])
  }

  /// Emits the release of the tiles, without which a thread's state stays large.
  func releaseMatrixUnit() { ir.intrinsic("llvm.x86.tilerelease", overloads: [], []) }

  /// Emits `height` rows, 32 or 16, of one panel of columns: c (+)= a b.
  func matrixTile(
    _ height: Int, _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, next: IRValue,
    depth: IRValue
  ) {
    let name = "matrix_tile_\(height)x\(plan.tile.columns)_\(shape.name)"
    callShared(name, [a, b, c, next, depth]) { p in
      matrixTileBody(height, shape, p[0], p[1], p[2], next: p[3], depth: p[4])
    }
  }

  /// - Requires: the depth is a multiple of `tileSide` units of each term.
  private func matrixTileBody(
    _ height: Int, _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, next: IRValue,
    depth: IRValue
  ) {
    let bands = height / tileSide
    let halves = plan.tile.columns / tileSide
    let resultStride = ir.int(4 * shape.leading)
    let places = (0..<bands * halves).map { index in
      at(c, index / halves * tileSide * shape.leading + index % halves * tileSide)
    }
    for (number, place) in places.enumerated() {
      if shape.accumulates {
        tileLoad(number, place, resultStride)
      } else {
        ir.intrinsic("llvm.x86.tilezero", overloads: [], [tileNumber(number)])
      }
    }
    let step = tileSide * shape.operands.terms
    // From a tile of A to the next in depth, in units a unit of depth; and from one row of it to the next.
    let (ahead, row) =
      shape.isTiled ? (tileSide, tileSide) : (1, shape.rowStride)
    ir.loop(from: ir.int(0), to: depth, by: step) { unit in
      if shape.fetchesResult { fetchRows(ir.udiv(unit, ir.int(step)), of: height, c, shape) }
      // Of the next panel's lines each tile of 32 rows fetches a quarter: as many as the band has, halved.
      for line in 0..<step / 2 {
        ir.prefetch(at(next, ir.add(ir.mul(unit, ir.int(8)), ir.int(16 * line))))
      }
      func load(a term: Int) {
        let first = ir.mul(ir.add(unit, ir.int(term * tileSide)), ir.int(ahead))
        for band in 0..<bands {
          let place = at(a, ir.add(first, ir.int(band * tileSide * shape.rowStride)))
          tileLoad(4 + band, place, ir.int(4 * row))
        }
      }
      func load(b term: Int) {
        let first = ir.mul(ir.add(unit, ir.int(term * tileSide)), ir.int(shape.panelDepthStride))
        for half in 0..<halves {
          let place = at(b, ir.add(first, ir.int(half * tileSide)))
          tileLoad(6 + half, place, ir.int(4 * shape.panelDepthStride))
        }
      }
      var held: (a: Int?, b: Int?) = (nil, nil)
      for (left, right) in termProducts(shape.operands) {
        if held.a != left { load(a: left) }
        if held.b != right { load(b: right) }
        held = (left, right)
        for index in 0..<bands * halves {
          ir.intrinsic(
            "llvm.x86.tdpbf16ps", overloads: [],
            [index, 4 + index / halves, 6 + index % halves].map(tileNumber))
        }
      }
    }
    for (number, place) in places.enumerated() {
      ir.intrinsic(
        "llvm.x86.tilestored64", overloads: [], [tileNumber(number), place, resultStride])
    }
  }

  /// Asks for four of a result's `height` rows, others in each round: eight rounds, 256 rows of depth, ask for all.
  ///
  /// Lines that come from memory when they are stored hold the stores of the next tile up.
  private func fetchRows(
    _ round: IRValue, of height: Int, _ result: IRValue, _ shape: MatmulShape
  ) {
    let together = 4
    let number = ir.urem(round, ir.int(height / together))
    for row in 0..<together {
      let first = at(result, ir.mul(number, ir.int(together * shape.leading)))
      for column in stride(from: 0, to: plan.tile.columns, by: lineUnits) {
        ir.prefetch(at(first, row * shape.leading + column), forWriting: true)
      }
    }
  }

  /// The terms of A and of B that are multiplied, in an order that changes one of them at a time.
  private func termProducts(_ operands: OperandFormat) -> [(Int, Int)] {
    operands.terms == 1 ? [(0, 0)] : [(2, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0, 2)]
  }

  /// Emits fewer than 16 rows of one panel of columns: c (+)= a b, by way of a tile on the stack.
  ///
  /// It reads 16 rows of A: what there is beyond `rows` is in rows of the tile that nobody reads.
  func lowMatrixTile(
    _ shape: MatmulShape, _ a: IRValue, _ b: IRValue, _ c: IRValue, rows: IRValue, depth: IRValue
  ) {
    let columns = plan.tile.columns
    callShared("low_matrix_tile_\(shape.name)", [a, b, c, rows, depth]) { p in
      let result = ir.stack(bytes: 4 * tileSide * columns)
      var whole = shape
      (whole.leading, whole.accumulates, whole.fetchesResult) = (columns, false, false)
      matrixTile(tileSide, whole, p[0], p[1], result, next: p[1], depth: p[4])
      ir.loop(from: ir.int(0), to: p[3]) { row in
        for column in stride(from: 0, to: columns, by: lanes) {
          let place = at(p[2], ir.add(ir.mul(row, ir.int(shape.leading)), ir.int(column)))
          let value = ir.load(
            vector, at(result, ir.add(ir.mul(row, ir.int(columns)), ir.int(column))))
          ir.store(shape.accumulates ? ir.fadd(ir.load(vector, place), value) : value, place)
        }
      }
    }
  }

  private func tileLoad(_ number: Int, _ place: IRValue, _ stride: IRValue) {
    ir.intrinsic("llvm.x86.tileloadd64", overloads: [], [tileNumber(number), place, stride])
  }

  private func tileNumber(_ number: Int) -> IRValue { ir.int(number, ir.i8) }
}
