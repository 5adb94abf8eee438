internal import LLVMKit
internal import MoTIR

// The register tile on Intel's matrix unit (AMX): four accumulators of 16 x 16 f32, a tile of A (16 rows of 16 units)
// and two of B (16 units of 16 columns), a unit being two bf16.
//
// A tile that is read for the last time is set to zero at once, which gives its physical register back. There are few
// more than eight while the core's other hardware thread runs: loads would wait for products that have nothing to do
// with them.
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
    _ height: Int, _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue,
    _ c: IRValue, next: IRValue, depth: IRValue
  ) {
    let name = "matrix_tile_\(height)x\(plan.tile.columns)_\(shape.name)"
    callProduct(name, shape, strides, [a, b, c, next, depth]) { p, strides in
      matrixTileBody(height, shape, strides, p[0], p[1], p[2], next: p[3], depth: p[4])
    }
  }

  /// - Requires: the depth is a multiple of `tileSide` units of each term.
  private func matrixTileBody(
    _ height: Int, _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue,
    _ c: IRValue, next: IRValue, depth: IRValue
  ) {
    let bands = height / tileSide
    let halves = plan.tile.columns / tileSide
    let resultStride = ir.mul(strides.leading, ir.int(4))
    let bandStride = ir.mul(strides.row, ir.int(tileSide))
    let places = (0..<bands * halves).map { index in
      let row = ir.int(index / halves * tileSide)
      return at(at(c, ir.mul(row, strides.leading)), index % halves * tileSide)
    }
    for (number, place) in places.enumerated() {
      if shape.accumulates {
        tileLoad(number, place, resultStride)
      } else {
        tileClear(number)
      }
    }
    let products = tileProducts(bands: bands, halves: halves, shape.operands)
    let step = tileSide * shape.operands.terms
    ir.loop(from: ir.int(0), to: depth, by: step) { unit in
      // Of the next panel's lines each tile of 32 rows fetches a quarter: as many as the band has, halved.
      var fetches = (0..<step / 2).map { line in
        Fetch(address: at(next, ir.add(ir.mul(unit, ir.int(8)), ir.int(lineUnits * line))))
      }
      if shape.fetchesResult {
        fetches += fetchesOfRows(ir.udiv(unit, ir.int(step)), of: height, c, strides.leading)
      }
      // After the last step comes the first one of the next rows.
      let following = ir.add(unit, ir.int(step))
      let isLast = ir.compare(.equal, following, depth)
      let nextRows = at(a, ir.select(isLast, ir.mul(bandStride, ir.int(bands)), ir.int(0)))
      let nextUnit = ir.select(isLast, ir.int(0), following)
      multiplyTiles(
        products, from: { place(of: $0, shape, bandStride, a, b, unit: unit) },
        next: { place(of: $0, shape, bandStride, nextRows, b, unit: nextUnit) }, between: fetches)
    }
    for (number, place) in places.enumerated() {
      tileStore(number, place, resultStride)
    }
  }

  /// Returns where the tile of a piece lies at a depth of `unit` units, with `bandStride` units between bands of A.
  private func place(
    of piece: TilePiece, _ shape: MatmulShape, _ bandStride: IRValue, _ a: IRValue, _ b: IRValue,
    unit: IRValue
  ) -> TilePlace {
    switch piece {
    case .left(let band, let term):
      // Rows of a tile lie together, or each in a row of A. From a tile to the next in depth there are `ahead` units
      // a unit of depth.
      let (row, ahead) = shape.rowStride.map { ($0, 1) } ?? (tileSide, tileSide)
      let first = ir.mul(ir.add(unit, ir.int(term * tileSide)), ir.int(ahead))
      let place = at(at(a, ir.mul(ir.int(band), bandStride)), first)
      return TilePlace(address: place, rowStride: row)
    case .right(let half, let term):
      let depth = ir.add(unit, ir.int(term * tileSide))
      let place = at(
        b, ir.add(ir.mul(depth, ir.int(shape.panelDepthStride)), ir.int(half * tileSide)))
      return TilePlace(address: place, rowStride: shape.panelDepthStride)
    }
  }

  /// Where a tile of an operand lies.
  private struct TilePlace {
    let address: IRValue
    /// Units from one row to the next.
    let rowStride: Int
  }

  /// A request for a cache line.
  private struct Fetch {
    let address: IRValue
    var cache = CacheLevel.second
    var isForWriting = false
  }

  /// Returns requests for four of a result's `height` rows, others in each round: eight rounds, 256 rows of depth,
  /// ask for all.
  ///
  /// Lines that come from memory when they are stored hold the stores of the next tile up.
  private func fetchesOfRows(
    _ round: IRValue, of height: Int, _ result: IRValue, _ leading: IRValue
  ) -> [Fetch] {
    let together = 4
    let number = ir.urem(round, ir.int(height / together))
    let first = ir.mul(number, ir.int(together))
    return (0..<together).flatMap { row in
      let row = at(result, ir.mul(ir.add(first, ir.int(row)), leading))
      return stride(from: 0, to: plan.tile.columns, by: lineUnits).map { column in
        Fetch(address: at(row, column), isForWriting: true)
      }
    }
  }

  /// What is loaded into a tile of A or of B.
  private enum TilePiece: Hashable {
    case left(band: Int, term: Int)
    case right(half: Int, term: Int)

    /// The tile that holds it: tiles 0 to 3 are the accumulators.
    var tile: Int {
      switch self {
      case .left: 4
      case .right(let half, _): 6 + half
      }
    }
  }

  /// A product of two pieces, added to an accumulator.
  private struct TileProduct {
    let accumulator: Int
    let left, right: TilePiece
  }

  /// Returns the products of one step of depth, in an order that changes few pieces.
  ///
  /// Bands go to and fro, so that the last left piece serves again. The terms of each accumulator come in the same
  /// order, whatever its band: results do not depend on the block that a row is in.
  private func tileProducts(
    bands: Int, halves: Int, _ operands: OperandFormat
  ) -> [TileProduct] {
    let terms =
      operands.terms == 1 ? [(0, 0)] : [(1, 1), (0, 1), (0, 2), (0, 0), (1, 0), (2, 0)]
    return terms.enumerated().flatMap { number, term in
      (0..<bands).flatMap { turn in
        let band = number.isMultiple(of: 2) ? turn : bands - 1 - turn
        return (0..<halves).map { half in
          TileProduct(
            accumulator: band * halves + half, left: .left(band: band, term: term.0),
            right: .right(half: half, term: term.1))
        }
      }
    }
  }

  /// Emits `products`, loading each piece when it is needed first and giving its register back after its last use.
  ///
  /// All fetches are spread among the products: together they would take all the places for lines on their way.
  private func multiplyTiles(
    _ products: [TileProduct], from place: (TilePiece) -> TilePlace,
    next: (TilePiece) -> TilePlace, between fetches: [Fetch]
  ) {
    let ahead = fetchesAhead(of: products, from: place, next: next)
    var held: Set<TilePiece> = []
    for (number, product) in products.enumerated() {
      let pieces = [product.left, product.right]
      for piece in pieces where held.insert(piece).inserted {
        let place = place(piece)
        tileLoad(piece.tile, place.address, ir.int(4 * place.rowStride))
      }
      tileMultiply(product.accumulator, product.left.tile, product.right.tile)
      for fetches in [fetches, ahead] {
        let done = fetches.count * number / products.count
        for fetch in fetches[done..<fetches.count * (number + 1) / products.count] {
          ir.prefetch(fetch.address, into: fetch.cache, forWriting: fetch.isForWriting)
        }
      }
      for piece in pieces {
        let next = products[(number + 1)...].lazy.flatMap { [$0.left, $0.right] }
          .first { $0.tile == piece.tile }
        guard next != piece else { continue }
        tileClear(piece.tile)
        held.remove(piece)
      }
    }
  }

  /// Returns requests for the lines of pieces that come, some of this step and some of the next.
  ///
  /// With so few registers a load starts hardly before its product, and sixteen lines from the second cache would
  /// take as long as four products: pieces are brought to the first cache half a step of many products ahead, or a
  /// whole one of few.
  private func fetchesAhead(
    of products: [TileProduct], from place: (TilePiece) -> TilePlace,
    next: (TilePiece) -> TilePlace
  ) -> [Fetch] {
    var seen: Set<TilePiece> = []
    let pieces = products.flatMap { [$0.left, $0.right] }.filter { seen.insert($0).inserted }
    let early = products.count > 8 ? pieces.count / 2 : pieces.count
    return (pieces[early...].map(place) + pieces[..<early].map(next)).flatMap(linesOfTile)
  }

  /// Returns requests for the lines of a tile of an operand.
  private func linesOfTile(at place: TilePlace) -> [Fetch] {
    (0..<tileSide).map { row in
      Fetch(address: at(place.address, row * place.rowStride), cache: .first)
    }
  }

  /// Emits fewer than 16 rows of one panel of columns: c (+)= a b, by way of a tile on the stack.
  ///
  /// It reads 16 rows of A: what there is beyond `rows` is in rows of the tile that nobody reads.
  func lowMatrixTile(
    _ shape: MatmulShape, _ strides: MatmulStrides, _ a: IRValue, _ b: IRValue, _ c: IRValue,
    rows: IRValue, depth: IRValue
  ) {
    let columns = plan.tile.columns
    let name = "low_matrix_tile_\(shape.name)"
    callProduct(name, shape, strides, [a, b, c, rows, depth]) { p, strides in
      let result = ir.stack(bytes: 4 * tileSide * columns)
      var whole = shape
      (whole.accumulates, whole.fetchesResult) = (false, false)
      matrixTile(
        tileSide, whole, MatmulStrides(row: strides.row, leading: ir.int(columns)), p[0], p[1],
        result, next: p[1], depth: p[4])
      ir.loop(from: ir.int(0), to: p[3]) { row in
        for column in stride(from: 0, to: columns, by: lanes) {
          let place = at(p[2], ir.add(ir.mul(row, strides.leading), ir.int(column)))
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

  /// Emits a store of a tile's rows of 64 bytes, `stride` bytes apart.
  func tileStore(_ number: Int, _ place: IRValue, _ stride: IRValue) {
    ir.intrinsic("llvm.x86.tilestored64", overloads: [], [tileNumber(number), place, stride])
  }

  /// Emits the product of two tiles of bf16 pairs, added to an accumulator of f32.
  func tileMultiply(_ accumulator: Int, _ left: Int, _ right: Int) {
    ir.intrinsic(
      "llvm.x86.tdpbf16ps", overloads: [], [accumulator, left, right].map(tileNumber))
  }

  /// Emits a tile of zeros, which needs no physical register.
  func tileClear(_ number: Int) {
    ir.intrinsic("llvm.x86.tilezero", overloads: [], [tileNumber(number)])
  }

  private func tileNumber(_ number: Int) -> IRValue { ir.int(number, ir.i8) }
}
