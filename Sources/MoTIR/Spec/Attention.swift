/// How attention learns of positions.
public enum Positions: Hashable, Sendable {
  /// Queries and keys are turned by their position.
  case rotary(base: Double = 10_000, layout: Rotary.Layout = .interleaved)
  /// Not at all.
  case none
}

/// Attention over the whole sequence, with projections by modality where they are untied.
///
/// Parameters: `q`, `k`, `v`, `o` (`.weight`, and `.bias` if asked for) and `q_norm`, `k_norm`.
///
/// It is over the tokens of all modalities: where their rows differ in width, each width has projections of its own.
public struct Attention: WholeLayer {
  /// The layer's part in names of parameters.
  public var name: String { "attention" }

  /// What is asked for, and what stands in its place for some modalities.
  private var towers: ByModality<AttentionTower>

  /// Creates an attention.
  ///
  /// - Parameters:
  ///   - keyValueHeads: heads of keys and values; as many as query heads by default.
  ///   - headWidth: by default the model's width over the heads.
  ///   - normalizeQueryKey: whether queries and keys pass an RMS norm, head by head.
  ///   - normalizeAfterPositions: whether they do so after the positions, and not before.
  ///   - epsilon: that of the norms of queries and keys.
  ///   - causal: whether a token sees only what stands before it.
  ///   - documents: whether a token sees only its own document.
  ///   - bias: whether the projections have biases.
  ///   - outputBias: whether the output projection has one; by default like the others.
  public init(
    heads: Int, keyValueHeads: Int? = nil, headWidth: Int? = nil, normalizeQueryKey: Bool = false,
    normalizeAfterPositions: Bool = false, epsilon: Double = 1e-5, positions: Positions = .rotary(),
    causal: Bool = true,
    documents: Bool = false, bias: Bool = false, outputBias: Bool? = nil
  ) {
    towers = ByModality(
      AttentionTower(
        heads: heads, keyValueHeads: keyValueHeads ?? heads, headWidth: headWidth,
        normalizeQueryKey: normalizeQueryKey, normalizeAfterPositions: normalizeAfterPositions,
        epsilon: epsilon, positions: positions, causal: causal, documents: documents, bias: bias,
        outputBias: outputBias ?? bias))
  }

  /// Returns this attention with the projections, norms and positions of `other` for the tokens of `modalities`.
  ///
  /// Heads, head width and what sees what are common to all modalities.
  public func replaced(on modalities: Modality..., by other: Attention) -> Attention {
    var result = self
    result.towers = towers.replaced(on: modalities, by: other.towers)
    return result
  }

  /// Appends the projections and the attention between them.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    let shape = towers.base
    let headWidth = try shape.checkedHeadWidth(context)
    for (modalities, other) in towers.others {
      try shape.check(other, for: modalities, headWidth: headWidth, at: context.location)
    }
    let (all, shared) = (shape.heads * headWidth, shape.keyValueHeads * headWidth)
    var q = try map(x, in: &context) { try $0.project($1, .query, to: all, in: &$2) }
    var k = try map(x, in: &context) { try $0.project($1, .key, to: shared, in: &$2) }
    let v = try map(x, in: &context) { try $0.project($1, .value, to: shared, in: &$2) }
    q = try placed(q, heads: shape.heads, norm: "q_norm.weight", in: &context)
    k = try placed(k, heads: shape.keyValueHeads, norm: "k_norm.weight", in: &context)
    let o = try context.attend(
      q, k, v, heads: shape.heads, keyValueHeads: shape.keyValueHeads, causal: shape.causal,
      documents: shape.documents)
    return try map(x, in: &context) { tower, x, context in
      try tower.project(context.rows(of: o.value), .output, to: x.width, in: &context)
    }
  }

  /// Returns what `body` makes of the rows of each width with what serves their modalities.
  private func map(
    _ x: Rows, in context: inout LayerContext,
    _ body: (AttentionTower, Rows, inout LayerContext) throws -> Rows
  ) throws -> Rows {
    try context.split(x, by: towers) { tower, rows, context in
      try context.map(rows) { try body(tower, $0, &$1) }
    }
  }

  /// Returns queries or keys `x` with norms and positions, by modality where these differ.
  private func placed(
    _ x: Rows, heads: Int, norm: String, in context: inout LayerContext
  ) throws -> Rows {
    if towers.others.allSatisfy({ $0.value.placesLike(towers.base) }) {
      return try towers.base.place(x, heads: heads, norm: norm, in: &context)
    }
    return try map(x, in: &context) { try $0.place($1, heads: heads, norm: norm, in: &$2) }
  }
}
