/// A value, and others in its place for some modalities.
struct ByModality<Value: Sendable>: Sendable {
  /// What stands for all modalities for which nothing stands in its place.
  let base: Value
  /// What stands in its place; of several for a modality, the last one.
  private(set) var others: [(modalities: [Modality], value: Value)] = []
  /// All modalities for which something was to stand in its place.
  private(set) var asked: [Modality] = []

  init(_ base: Value) { self.base = base }

  /// Returns these with `other` in their place for `modalities`.
  func replaced(on modalities: [Modality], by other: Value) -> ByModality {
    replaced(on: modalities, by: ByModality(other))
  }

  /// Returns these with others in their place for `modalities`.
  func replaced(on modalities: [Modality], by other: ByModality) -> ByModality {
    let names = modalities.map(\.name)
    var result = self
    result.asked += modalities + other.asked
    result.others.append((modalities, other.base))
    result.others += other.others.map { own, value in
      (own.filter { names.contains($0.name) }, value)
    }
    return result
  }
}

/// A layer with others in its place for some modalities.
///
/// Each has parameters of its own, called after the modalities that it serves.
public struct Replaced<Base: Layer>: WholeLayer {
  private let base: Base
  private let layers: ByModality<any Layer>

  init(_ base: Base, _ layers: ByModality<any Layer>) {
    self.base = base
    self.layers = layers
  }

  /// The layer's part in names of parameters: that of the layer which is replaced.
  public var name: String { base.name }

  /// Returns this layer with `other` in its place for the tokens of `modalities`.
  public func replaced(on modalities: Modality..., by other: some Layer) -> Replaced<Base> {
    Replaced(base, layers.replaced(on: modalities, by: other))
  }

  /// Appends all layers, each for the rows of its modalities.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    for layer in [base] + layers.others.map(\.value)
    where layer is any ContainerLayer || layer is Embedding || layer is Head {
      throw Diagnostic.irreplaceable("\(type(of: layer))", at: context.location)
    }
    return try context.split(x, by: layers) { layer, rows, context in
      try context.apply(layer, insteadOf: base, to: rows)
    }
  }
}

extension Replaced: NormLayer where Base: NormLayer {}

extension Layer {
  /// Returns this layer with `other` in its place for the tokens of `modalities`.
  ///
  /// ```swift
  /// FeedForward(hidden: 512).replaced(on: action, by: FeedForward(hidden: 128, activation: .gelu))
  /// ```
  public func replaced(on modalities: Modality..., by other: some Layer) -> Replaced<Self> {
    Replaced(self, ByModality(self).replaced(on: modalities, by: other))
  }
}
