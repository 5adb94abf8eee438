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
/// Modalities of another width than the model's pass `embedding.projection.weight`.
public struct Embedding: WholeLayer {
  /// Creates an embedding of the model's vocabulary and width.
  public init() {}

  /// Appends the look-up; `x` are the tokens.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    let table = try context.parameter(
      "weight", shape: [context.vocabulary, context.model.width], component: .embedding)
    let rows = try context.addRows(
      .embed, [x.value, try context.value(of: table.pieces[0])])
    return context.model.widths.isEmpty ? rows : try context.spread(rows)
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

  /// Appends the linear map to logits [T, V].
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    let x = context.model.widths.isEmpty ? x : try context.gathered(x)
    if tied, let table = context.existingParameter("embedding.weight") {
      return try context.routed(x, table) { .linear($0) }
    }
    return try context.linear(x, to: context.vocabulary, component: .head)
  }
}
