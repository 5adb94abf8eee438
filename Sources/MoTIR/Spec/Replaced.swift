/// A layer with another one in its place for some modalities.
///
/// Each has parameters of its own, called after the modalities that it serves.
public struct Replaced<Base: Layer>: WholeLayer {
  private let base: Base
  private let modalities: [Modality]
  private let other: any Layer

  init(_ base: Base, on modalities: [Modality], by other: any Layer) {
    self.base = base
    self.modalities = modalities
    self.other = other
  }

  /// The layer's part in names of parameters: that of the layer which is replaced.
  public var name: String { base.name }

  /// Appends both layers, each for the rows of its modalities.
  public func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
    for layer in [base, other] as [any Layer]
    where layer is any ContainerLayer || layer is Embedding || layer is Head {
      throw Diagnostic.irreplaceable("\(type(of: layer))", at: context.location)
    }
    return try context.split(
      x, on: modalities,
      { rows, context in try context.apply(base, to: rows) },
      { rows, context in try context.apply(other, insteadOf: base, to: rows) })
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
    Replaced(self, on: modalities, by: other)
  }
}
