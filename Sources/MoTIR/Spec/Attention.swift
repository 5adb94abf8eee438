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
public struct Attention: Layer {
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
  public init(
    heads: Int, keyValueHeads: Int? = nil, headWidth: Int? = nil, normalizeQueryKey: Bool = false,
    normalizeAfterPositions: Bool = false, positions: Positions = .rotary(), causal: Bool = true,
    documents: Bool = false, bias: Bool = false
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
  }

  /// Appends the projections and the attention between them.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    let headWidth = try checkedHeadWidth(context)
    var (q, k, v) = (x, x, x)
    q = try project(x, .query, to: heads * headWidth, in: &context)
    k = try project(x, .key, to: keyValueHeads * headWidth, in: &context)
    v = try project(x, .value, to: keyValueHeads * headWidth, in: &context)
    q = try placed(q, heads: heads, norm: "q_norm.weight", in: &context)
    k = try placed(k, heads: keyValueHeads, norm: "k_norm.weight", in: &context)
    let o = try context.attend(
      q, k, v, heads: heads, keyValueHeads: keyValueHeads, causal: causal, documents: documents)
    return try project(o, .output, to: context.width, in: &context)
  }

  private func project(
    _ x: Rows, _ projection: Component.Projection, to width: Int, in context: inout LayerContext
  ) throws(Diagnostic) -> Rows {
    let scale = projection == .output ? context.residualScale : 1
    return try context.linear(
      x, to: width, name: projection.rawValue, bias: bias, initialization: .normal(0.02 * scale),
      component: .attention(projection))
  }

  /// Returns queries or keys `x` with norm and positions.
  private func placed(
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
