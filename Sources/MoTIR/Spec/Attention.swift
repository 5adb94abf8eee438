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

  private let heads: Int
  private let keyValueHeads: Int
  private let headWidth: Int?
  private let normalizeQueryKey: Bool
  private let normalizeAfterPositions: Bool
  private let positions: Positions
  private let causal: Bool
  private let documents: Bool
  private let bias: Bool
  private let outputBias: Bool
  /// What stands in its place for some modalities, the last one first in rank.
  private var replacements: [(modalities: [Modality], attention: Attention)] = []

  /// Creates an attention.
  ///
  /// - Parameters:
  ///   - keyValueHeads: heads of keys and values; as many as query heads by default.
  ///   - headWidth: by default the model's width over the heads.
  ///   - normalizeQueryKey: whether queries and keys pass an RMS norm, head by head.
  ///   - normalizeAfterPositions: whether they do so after the positions, and not before.
  ///   - causal: whether a token sees only what stands before it.
  ///   - documents: whether a token sees only its own document.
  ///   - bias: whether the projections have biases.
  ///   - outputBias: whether the output projection has one; by default like the others.
  public init(
    heads: Int, keyValueHeads: Int? = nil, headWidth: Int? = nil, normalizeQueryKey: Bool = false,
    normalizeAfterPositions: Bool = false, positions: Positions = .rotary(), causal: Bool = true,
    documents: Bool = false, bias: Bool = false, outputBias: Bool? = nil
  ) {
    self.heads = heads
    self.keyValueHeads = keyValueHeads ?? heads
    self.headWidth = headWidth
    self.normalizeQueryKey = normalizeQueryKey
    self.normalizeAfterPositions = normalizeAfterPositions
    self.positions = positions
    self.causal = causal
    self.documents = documents
    self.bias = bias
    self.outputBias = outputBias ?? bias
  }

  /// Returns this attention with the projections, norms and positions of `other` for the tokens of `modalities`.
  ///
  /// Heads, head width and what sees what are common to all modalities.
  public func replaced(on modalities: Modality..., by other: Attention) -> Attention {
    var result = self
    result.replacements.append((modalities, other))
    return result
  }

  /// Appends the projections and the attention between them.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    let headWidth = try checkedHeadWidth(context)
    try checkReplacements(headWidth, in: context)
    let (all, shared) = (heads * headWidth, keyValueHeads * headWidth)
    var q = try tower(x, in: &context) { try $0.project($1, .query, to: all, in: &$2) }
    var k = try tower(x, in: &context) { try $0.project($1, .key, to: shared, in: &$2) }
    let v = try tower(x, in: &context) { try $0.project($1, .value, to: shared, in: &$2) }
    q = try placed(q, heads: heads, norm: "q_norm.weight", in: &context)
    k = try placed(k, heads: keyValueHeads, norm: "k_norm.weight", in: &context)
    let o = try context.attend(
      q, k, v, heads: heads, keyValueHeads: keyValueHeads, causal: causal, documents: documents)
    return try tower(x, in: &context) { attention, x, context in
      try attention.project(context.rows(of: o.value), .output, to: x.width, in: &context)
    }
  }

  /// Returns what `body` makes of the rows of each width with the attention that serves their modalities.
  private func tower(
    _ x: Rows, in context: inout LayerContext,
    _ body: (Attention, Rows, inout LayerContext) throws -> Rows
  ) throws -> Rows {
    guard let (modalities, other) = replacements.last else {
      return try context.map(x) { part, context in try body(self, part, &context) }
    }
    var base = self
    base.replacements.removeLast()
    return try context.split(
      x, on: modalities, { try base.tower($0, in: &$1, body) },
      { try other.tower($0, in: &$1, body) })
  }

  private func project(
    _ x: Rows, _ projection: Component.Projection, to width: Int, in context: inout LayerContext
  ) throws(Diagnostic) -> Rows {
    let scale = projection == .output ? context.residualScale : 1
    return try context.linear(
      x, to: width, name: projection.rawValue, bias: projection == .output ? outputBias : bias,
      initialization: .normal(0.02 * scale), component: .attention(projection))
  }

  /// Returns queries or keys `x` with norms and positions, by modality where replacements have others.
  private func placed(
    _ x: Rows, heads: Int, norm: String, in context: inout LayerContext
  ) throws -> Rows {
    if replacements.allSatisfy({ $0.attention.placesLike(self) }) {
      return try place(x, heads: heads, norm: norm, in: &context)
    }
    return try tower(x, in: &context) { try $0.place($1, heads: heads, norm: norm, in: &$2) }
  }

  private func placesLike(_ other: Attention) -> Bool {
    normalizeQueryKey == other.normalizeQueryKey && positions == other.positions
      && normalizeAfterPositions == other.normalizeAfterPositions
      && replacements.allSatisfy { $0.attention.placesLike(self) }
  }

  /// Returns queries or keys `x` with norm and positions.
  private func place(
    _ x: Rows, heads: Int, norm: String, in context: inout LayerContext
  ) throws(Diagnostic) -> Rows {
    var x = x
    if normalizeQueryKey, !normalizeAfterPositions {
      x = try context.norm(.rms, x, heads: heads, name: norm, component: .queryKeyNorms)
    }
    if case .rotary(let base, let layout) = positions {
      x = try context.rotate(x, heads: heads, base: base, layout: layout)
    }
    if normalizeQueryKey, normalizeAfterPositions {
      x = try context.norm(.rms, x, heads: heads, name: norm, component: .queryKeyNorms)
    }
    return x
  }

  /// Checks that what stands in its place for some modalities has the same heads and sees the same.
  private func checkReplacements(
    _ headWidth: Int, in context: LayerContext
  ) throws(Diagnostics) {
    for (modalities, other) in replacements {
      let pairs = [
        ("head counts", heads, other.heads),
        ("key/value head counts", keyValueHeads, other.keyValueHeads),
        ("head widths", headWidth, other.headWidth ?? headWidth),
      ]
      var errors = pairs.filter { $0.1 != $0.2 }.map {
        Diagnostic.unequalTowers($0.0, $0.1, $0.2, modalities.map(\.name), at: context.location)
      }
      if causal != other.causal || documents != other.documents {
        errors.append(.unequalMasks(modalities.map(\.name), at: context.location))
      }
      guard errors.isEmpty else { throw Diagnostics(errors) }
      try other.checkReplacements(headWidth, in: context)
    }
  }

  /// Returns the width of a head.
  ///
  /// - Throws: `Diagnostics` with all that is wrong with the sizes.
  private func checkedHeadWidth(_ context: LayerContext) throws(Diagnostics) -> Int {
    var errors: [Diagnostic] = []
    let place = context.location
    if !(1...Limits.heads).contains(heads) { errors.append(.badHeads(heads, at: place)) }
    if keyValueHeads < 1 || heads < keyValueHeads || !heads.isMultiple(of: keyValueHeads) {
      errors.append(.badKeyValueHeads(keyValueHeads, heads: heads, at: place))
    }
    if headWidth == nil, heads >= 1, !context.width.isMultiple(of: heads) {
      errors.append(.headsDoNotDivide(heads, width: context.width, at: place))
    }
    // A width that follows from impossible heads says nothing more.
    guard headWidth != nil || errors.isEmpty else { throw Diagnostics(errors) }
    let width = headWidth ?? (heads >= 1 ? context.width / heads : 1)
    if !(1...Limits.width).contains(width) {
      errors.append(.outside("head width", width, 1...Limits.width, at: place))
    }
    if case .rotary(let base, _) = positions {
      if !width.isMultiple(of: 2) { errors.append(.oddHeadWidth(width, at: place)) }
      if !(base > 0 && base.isFinite) { errors.append(.badRotaryBase(base, at: place)) }
    }
    guard errors.isEmpty else { throw Diagnostics(errors) }
    return width
  }
}
