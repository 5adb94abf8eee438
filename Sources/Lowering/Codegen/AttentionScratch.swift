internal import MoTIR

/// Where attention keeps what in a thread's scratch memory, in bytes.
///
/// S the sequence padded to blocks and panels, P the head width padded to panels, W the head width. Operands
/// of products are in units of depth; U(n) is the units of n elements.
struct AttentionScratch {
  /// Queries and keys in a block.
  let queryRows, keyColumns: Int
  /// P
  let padded: Int
  /// Units of a query or a key as an operand of scores: W, or U(P) in pairs.
  let depth: Int
  /// Units from one query to the next.
  let rowUnits: Int
  /// f32 from one row of a strip to the next: no power of two, which would crowd cache sets.
  let stripStride: Int
  /// Queries times the scale, and the output's gradient: a block of rows [queryRows, rowUnits] forward, all
  /// rows [S, rowUnits] backward.
  let queries, upstream: Int
  /// The same as operands of products over rows: [U(S), P].
  let queriesAcross, upstreamAcross: Int
  /// Scores and their gradients: [queryRows, stripStride].
  let strip, gradientStrip: Int
  /// Forward probabilities, backward score gradients, in pairs of keys: [queryRows, pairStride], and units from
  /// one row to the next. Of one term, probabilities take the place of their scores.
  let keyPairs, pairStride: Int
  /// `strip` and `gradientStrip` in pairs of queries, a row a key: [keyColumns, keyStride], which the
  /// matrix unit reads; and units from one row to the next.
  let probabilitiesByKey, gradientsByKey, keyStride: Int
  /// Sums [queryRows, P].
  let output: Int
  /// A number each query of the block: its largest score, what its sums so far are to be multiplied by,
  /// Σ exp.
  let maxima, factors, sums: Int
  /// Log-sum-exp in base 2 and do · o: [S].
  let normalizers, deltas: Int
  /// Panels [S / columns][depth][columns].
  let keysTransposed, valuesTransposed: Int
  /// Rows [U(S), P].
  let keyRows, valueRows: Int
  /// Sums [S, P].
  let queryGradients, keyGradients, valueGradients: Int
  /// Document and segment numbers of the sequence: [S].
  let documents, segments: Int
  /// What the numbers of a panel have in common: [S / columns, 8].
  let summaries: Int
  /// The size of all.
  let bytes: Int

  init(
    _ shape: AttentionShape, tile: TileShape, usesBlas: Bool, operands: OperandFormat,
    transposes: Bool, gradient: Bool
  ) {
    let isPaired = operands != .f32
    padded = tile.padded(shape.headWidth)
    let sequence = tile.padded((shape.sequence + 63) / 64 * 64)
    // OpenBLAS packs its operands in every call, so that larger blocks suit it better.
    // Forward, fewer queries leave more of the first cache to keys; backward they are the depth of products.
    queryRows = usesBlas ? 256 : gradient ? 128 : 32
    keyColumns = usesBlas ? sequence : min(sequence, gradient ? 128 : 512)
    depth = isPaired ? operands.units(padded) : shape.headWidth
    rowUnits = operands.units(padded)
    stripStride = keyColumns + 16
    let pairsInPlace = isPaired && !gradient && operands.terms == 1
    pairStride = pairsInPlace ? stripStride : operands.units(keyColumns) + 16
    keyStride = operands.units(queryRows) + 16
    var next = 0
    func reserve(_ count: Int, if isUsed: Bool = true) -> Int {
      defer { next += isUsed ? (4 * count + 63) / 64 * 64 : 0 }
      return next
    }
    let rows = gradient ? sequence : queryRows
    let across = operands.units(sequence) * padded
    queries = reserve(rows * rowUnits)
    upstream = reserve(rows * rowUnits, if: gradient)
    queriesAcross = isPaired && gradient ? reserve(across) : queries
    upstreamAcross = isPaired && gradient ? reserve(across) : upstream
    strip = reserve(queryRows * stripStride)
    gradientStrip = reserve(queryRows * stripStride, if: gradient)
    keyPairs =
      pairsInPlace ? strip : reserve(queryRows * pairStride, if: isPaired)
    probabilitiesByKey = reserve(keyColumns * keyStride, if: transposes)
    gradientsByKey = reserve(keyColumns * keyStride, if: transposes)
    output = reserve(queryRows * padded, if: !gradient)
    maxima = reserve(queryRows)
    factors = reserve(queryRows)
    sums = reserve(queryRows)
    normalizers = reserve(sequence, if: gradient)
    deltas = reserve(sequence, if: gradient)
    keysTransposed = reserve(sequence * depth, if: !usesBlas)
    valuesTransposed = reserve(sequence * depth, if: !usesBlas && gradient)
    keyRows = reserve(across, if: !usesBlas && gradient)
    valueRows = reserve(across, if: !usesBlas && !gradient)
    queryGradients = reserve(sequence * padded, if: gradient)
    keyGradients = reserve(sequence * padded, if: gradient)
    valueGradients = reserve(sequence * padded, if: gradient)
    documents = reserve(sequence)
    segments = reserve(sequence)
    summaries = reserve(sequence / tile.columns * 8)
    bytes = next
  }
}
