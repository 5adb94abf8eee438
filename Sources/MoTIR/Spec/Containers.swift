/// The same layers several times, each time with parameters of their own.
public struct Repeat: ContainerLayer {
  private let count: Int
  let layers: [PlacedLayer]

  /// Repeats `layers` `count` times.
  public init(_ count: Int, @LayerBuilder layers: () -> [PlacedLayer]) {
    self.count = count
    self.layers = layers()
  }

  var residuals: Int { layers.residuals.multipliedReportingOverflow(by: count).partialValue }

  /// Appends the layers `count` times.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    guard count >= 1 else { throw Diagnostic.tooSmall(count, "Repeat", at: context.location) }
    var x = x
    for _ in 0..<count { x = try context.applyRepeated(layers, to: x) }
    return x
  }
}

/// Layers whose result is added to what they were given.
///
/// The norm may stand before (`Residual { RMSNorm(); Attention(heads: 8) }`), after, or both.
public struct Residual: ContainerLayer {
  let layers: [PlacedLayer]

  /// Puts a residual connection around `layers`.
  public init(@LayerBuilder layers: () -> [PlacedLayer]) { self.layers = layers() }

  var residuals: Int { 1 &+ layers.residuals }

  /// Appends the layers and the addition.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    try context.residual(x, context.apply(layers, to: x))
  }
}

/// The first layer: a row of the table `embedding.weight` for each token, shared by all modalities.
///
/// Tokens of a continuous modality have no row there: what `patches` makes of their numbers, plus an embedding of the
/// time of their noise, takes its place. Modalities of another width than the model's pass
/// `embedding.projection.weight`.
public struct Embedding: WholeLayer {
  private let patches: any Layer

  /// Creates an embedding of the model's vocabulary and width.
  ///
  /// - Parameter patches: turns the numbers of continuous tokens into rows of the model's width.
  public init(patches: any Layer = PatchEmbedding()) { self.patches = patches }

  /// Appends the look-up; `x` are the tokens.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    let table = try context.parameter(
      "weight", shape: [context.vocabulary, context.model.width], component: .embedding)
    var rows = try context.addRows(.embed, [x.value, try context.value(of: table.pieces[0])])
    if context.continuousTokens != .absent {
      rows = try addContinuous(to: rows, in: &context)
    }
    return context.model.widths.isEmpty ? rows : try context.spread(rows)
  }

  /// Returns `rows` with those of continuous tokens in their places.
  private func addContinuous(to rows: Rows, in context: inout LayerContext) throws -> Rows {
    let continuous = context.model.continuousModalities
    guard !continuous.isEmpty else { return rows }
    var rows = context.rows(
      of: try context.only(rows.value, context.model.discreteModalities))
    for index in continuous {
      rows = try context.sum(rows, try embedded(index, in: &context))
    }
    return rows
  }

  /// Returns the rows of the tokens of modality number `index`, and 0 for others.
  private func embedded(_ index: Int, in context: inout LayerContext) throws -> Rows {
    let noisy = try context.noisy(index)
    return try context.withParameters(of: index) { context in
      let rows = try patches.apply(noisy, in: &context)
      guard rows.width == context.model.width else {
        throw Diagnostic.patchWidth(rows.width, context.model.width, at: context.location)
      }
      return try context.sum(rows, context.timeEmbedding(index))
    }
  }
}

/// The last layer: scores of all token ids, shared by all modalities.
///
/// Modalities of another width than the model's pass `head.projection.weight`.
public struct Head: WholeLayer {
  private let tied: Bool

  /// Creates a head.
  ///
  /// - Parameter tied: whether it takes the embedding's table in place of `head.weight`.
  public init(tied: Bool = false) { self.tied = tied }

  /// Appends the linear map to logits [T, V], and maps to what is said of continuous tokens.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    let x = context.model.widths.isEmpty ? x : try context.gathered(x)
    if context.continuousTokens != .absent {
      for index in context.model.continuousModalities { try predict(index, x, in: &context) }
    }
    if tied, let table = context.existingParameter("embedding.weight") {
      return try context.routed(x, table) { .linear($0) }
    }
    return try context.linear(x, to: context.vocabulary, component: .head)
  }

  /// Appends what is said of the tokens of modality number `index`. [T, C]
  private func predict(_ index: Int, _ x: Rows, in context: inout LayerContext) throws {
    let latents = context.model.modalities[index].latents ?? 1
    context.predictions[index] = try context.withParameters(of: index) { context in
      try context.linear(x, to: latents, name: "patch", bias: true, component: .head)
    }
  }
}
