/// What an attention is for some modalities: its projections, norms and positions.
struct AttentionTower: Sendable {
  let heads: Int
  let keyValueHeads: Int
  let headWidth: Int?
  let normalizeQueryKey: Bool
  let normalizeAfterPositions: Bool
  let epsilon: Double
  let positions: Positions
  let causal: Bool
  let documents: Bool
  let bias: Bool
  let outputBias: Bool

  /// Appends a projection of `x` to `width`.
  func project(
    _ x: Rows, _ projection: Component.Projection, to width: Int, in context: inout LayerContext
  ) throws(Diagnostic) -> Rows {
    let scale = projection == .output ? context.residualScale : 1
    return try context.linear(
      x, to: width, name: projection.rawValue, bias: projection == .output ? outputBias : bias,
      initialization: .normal(0.02 * scale), component: .attention(projection))
  }

  /// `true` iff `other` has the same norms and positions.
  func placesLike(_ other: AttentionTower) -> Bool {
    normalizeQueryKey == other.normalizeQueryKey && positions == other.positions
      && normalizeAfterPositions == other.normalizeAfterPositions && epsilon == other.epsilon
  }

  /// Returns queries or keys `x` with norm and positions.
  func place(
    _ x: Rows, heads: Int, norm: String, in context: inout LayerContext
  ) throws(Diagnostic) -> Rows {
    var x = x
    if normalizeQueryKey, !normalizeAfterPositions {
      x = try context.norm(
        .rms, x, heads: heads, epsilon: epsilon, name: norm, component: .queryKeyNorms)
    }
    if case .rotary(let base, let layout) = positions {
      x = try context.rotate(x, heads: heads, base: base, layout: layout)
    }
    if normalizeQueryKey, normalizeAfterPositions {
      x = try context.norm(
        .rms, x, heads: heads, epsilon: epsilon, name: norm, component: .queryKeyNorms)
    }
    return x
  }

  // MARK: Checks

  /// Checks that `other`, which stands in its place for `modalities`, has the same heads and sees the same.
  func check(
    _ other: AttentionTower, for modalities: [Modality], headWidth: Int, at place: Location?
  ) throws(Diagnostics) {
    let names = modalities.map(\.name)
    let pairs = [
      ("head counts", heads, other.heads),
      ("key/value head counts", keyValueHeads, other.keyValueHeads),
      ("head widths", headWidth, other.headWidth ?? headWidth),
    ]
    var errors = pairs.filter { $0.1 != $0.2 }.map {
      Diagnostic.unequalTowers($0.0, $0.1, $0.2, names, at: place)
    }
    if causal != other.causal || documents != other.documents {
      errors.append(.unequalMasks(names, at: place))
    }
    guard errors.isEmpty else { throw Diagnostics(errors) }
  }

  /// Returns the width of a head.
  ///
  /// - Throws: `Diagnostics` with all that is wrong with the sizes.
  func checkedHeadWidth(_ context: LayerContext) throws(Diagnostics) -> Int {
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
