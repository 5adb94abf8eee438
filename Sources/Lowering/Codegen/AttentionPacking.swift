internal import LLVMKit
internal import MoTIR

/// Where attention keeps what in a thread's scratch memory, in bytes.
///
/// S the sequence padded to blocks and panels, P the head width padded to panels, W the head width.
struct AttentionScratch {
  /// Queries in a block.
  let queryRows: Int
  /// P
  let padded: Int
  /// S
  let paddedSequence: Int
  /// f32 from one row of a strip to the next: no power of two, which would crowd cache sets.
  let stripStride: Int
  /// Queries times the scale, and the output's gradient: [queryRows, P].
  let queries, upstream: Int
  /// Scores and their gradients: [queryRows, stripStride].
  let strip, gradientStrip: Int
  /// A block of results: [queryRows, P].
  let output: Int
  /// One number a query of the block.
  let rowFactors: Int
  /// Panels [S / columns][W][columns].
  let keysTransposed, valuesTransposed: Int
  /// Rows [S, P].
  let keyRows, valueRows: Int
  /// Sums [S, P].
  let keyGradients, valueGradients: Int
  /// Document and segment numbers of the sequence: [S].
  let documents, segments: Int
  /// The size of all.
  let bytes: Int

  init(_ shape: AttentionShape, tile: TileShape, usesBlas: Bool) {
    // OpenBLAS packs its operands in every call, so that larger blocks suit it better.
    queryRows = usesBlas ? 256 : 64
    padded = tile.padded(shape.headWidth)
    paddedSequence = tile.padded((shape.sequence + 63) / 64 * 64)
    stripStride = paddedSequence + 16
    var next = 0
    func reserve(_ count: Int) -> Int {
      defer { next += (4 * count + 63) / 64 * 64 }
      return next
    }
    queries = reserve(queryRows * padded)
    upstream = reserve(queryRows * padded)
    strip = reserve(queryRows * stripStride)
    gradientStrip = reserve(queryRows * stripStride)
    output = reserve(queryRows * padded)
    rowFactors = reserve(queryRows)
    keysTransposed = reserve(paddedSequence * shape.headWidth)
    valuesTransposed = reserve(paddedSequence * shape.headWidth)
    keyRows = reserve(paddedSequence * padded)
    valueRows = keyRows
    keyGradients = reserve(paddedSequence * padded)
    valueGradients = reserve(paddedSequence * padded)
    documents = reserve(paddedSequence)
    segments = reserve(paddedSequence)
    bytes = next
  }
}

// Copies of a head's rows in the layouts that the tile reads.
extension AttentionEmitter {
  /// Copies a block of queries times `scale` to `[queryRows, P]`, columns beyond the width zero.
  func packQueries(
    _ source: IRValue, _ block: QueryBlock, stride: Int, scale: Double, into target: Int
  ) {
    ir.loop(from: ir.int(0), to: block.count) { row in
      let from = code.at(source, ir.mul(ir.add(block.first, row), ir.int(stride)))
      packRow(from, scale: scale, into: code.at(area(target), ir.mul(row, ir.int(scratch.padded))))
    }
  }

  /// Copies all rows of a head of keys or values to `[S, P]`.
  func packRows(_ source: IRValue, into target: Int) {
    ir.loop(from: ir.int(0), to: ir.int(sequence)) { row in
      packRow(
        code.at(source, ir.mul(row, ir.int(keyStride))), scale: 1,
        into: code.at(area(target), ir.mul(row, ir.int(scratch.padded))))
    }
  }

  private func packRow(_ source: IRValue, scale: Double, into target: IRValue) {
    for column in stride(from: 0, to: scratch.padded, by: code.lanes) {
      let active = min(code.lanes, width - column)
      guard active > 0 else {
        ir.store(ir.zero(code.vector), code.at(target, column))
        continue
      }
      var x = code.load(code.at(source, column), active)
      if scale != 1 { x = ir.fmul(x, ir.float(scale, x.type)) }
      ir.store(x, code.at(target, column))
    }
  }

  /// Copies all rows of a head to panels `[S / columns][W][columns]`, by square transposes.
  ///
  /// Keys beyond the sequence repeat its last one; masks and row counts keep them out of results.
  func packTransposed(_ source: IRValue, into target: Int) {
    let panel = code.plan.tile.columns
    let last = ir.int(sequence - 1)
    ir.loop(from: ir.int(0), to: ir.int(code.plan.tile.padded(sequence)), by: code.lanes) { first in
      let rows = (0..<code.lanes).map { lane in
        let row = ir.min(ir.add(first, ir.int(lane)), last)
        return code.at(source, ir.mul(row, ir.int(keyStride)))
      }
      let place = ir.add(
        ir.mul(ir.udiv(first, ir.int(panel)), ir.int(width * panel)), ir.urem(first, ir.int(panel)))
      for column in stride(from: 0, to: width, by: code.lanes) {
        let active = min(code.lanes, width - column)
        let square = code.transpose(rows.map { code.load(code.at($0, column), active) })
        for offset in 0..<active {
          let index = ir.add(place, ir.int((column + offset) * panel))
          ir.store(square[offset], code.at(area(target), index))
        }
      }
    }
  }

  /// Copies the sequence's document and segment numbers, so that whole vectors of them can be read.
  func copyMaskRows(_ sequence: IRValue, firstArgument: Int) {
    var argument = firstArgument
    let first = ir.mul(sequence, ir.int(self.sequence))
    for (isUsed, target) in [
      (attention.hasDocuments, scratch.documents), (attention.hasSegments, scratch.segments),
    ] where isUsed {
      ir.copy(
        to: area(target), from: code.at(frame.arguments[argument], first),
        bytes: ir.int(4 * self.sequence))
      argument += 1
    }
  }
}
