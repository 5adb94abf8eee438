/// A layer of a model. A spec may define its own from the operations of `LayerContext`.
///
/// ```swift
/// struct Adapter: Layer {
///   let width: Int
///   func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
///     let low = try context.linear(x, to: width, name: "down")
///     return try context.linear(try context.apply(.gelu, low), to: x.width, name: "up")
///   }
/// }
/// ```
public protocol Layer: Sendable {
  /// The layer's part in names of parameters, such as `attention` in `layers.0.attention.q.weight`.
  var name: String { get }

  /// Appends the layer's operations to the graph and returns its result for the rows `x`.
  func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows
}

extension Layer {
  /// The type's name in snake case: `LowRankAdapter` is `low_rank_adapter`.
  public var name: String {
    var name = ""
    for character in String(describing: Self.self) {
      if character.isUppercase, !name.isEmpty { name += "_" }
      name += character.lowercased()
    }
    return name
  }
}

/// A layer that only arranges others and has no name of its own.
protocol ContainerLayer: WholeLayer {
  /// The layers that it arranges.
  var layers: [PlacedLayer] { get }
  /// The number of residual additions inside it.
  var residuals: Int { get }
}

extension ContainerLayer {
  /// An error for each embedding and head inside it.
  var misplacedLayers: [Diagnostic] {
    layers.flatMap { placed -> [Diagnostic] in
      switch placed.layer {
      case is Embedding: [.misplaced("Embedding", "first", at: placed.location)]
      case is Head: [.misplaced("Head", "last", at: placed.location)]
      case let container as any ContainerLayer: container.misplacedLayers
      default: []
      }
    }
  }
}

/// A layer that is given the rows of all modalities at once, whatever their widths.
protocol WholeLayer: Layer {}

/// A layer that normalises, and is named after the layer that it serves.
protocol NormLayer: Layer {}

extension Layer {
  /// `true` iff norms beside it are called after it: it computes something of its own.
  var hasNorms: Bool {
    !(self is any NormLayer || self is any ContainerLayer || self is Embedding || self is Head)
  }
}

/// A layer and where the spec says it.
public struct PlacedLayer: Sendable {
  /// The layer.
  let layer: any Layer
  /// The place.
  let location: Location
}

/// Composes layers from statements.
@resultBuilder
public enum LayerBuilder {
  /// Notes where the layer stands.
  public static func buildExpression(
    _ layer: some Layer, file: String = #filePath, line: Int = #line, column: Int = #column
  ) -> [PlacedLayer] {
    [PlacedLayer(layer: layer, location: Location(file: file, line: line, column: column))]
  }

  /// Takes layers that were composed before.
  public static func buildExpression(_ layers: [PlacedLayer]) -> [PlacedLayer] { layers }
  /// Puts layers one after another.
  public static func buildBlock(_ layers: [PlacedLayer]...) -> [PlacedLayer] {
    layers.flatMap(\.self)
  }
  /// Takes the layers of every turn of a loop.
  public static func buildArray(_ layers: [[PlacedLayer]]) -> [PlacedLayer] {
    layers.flatMap(\.self)
  }
  /// Takes the layers of an `if`.
  public static func buildOptional(_ layers: [PlacedLayer]?) -> [PlacedLayer] { layers ?? [] }
  /// Takes the layers of one branch.
  public static func buildEither(first layers: [PlacedLayer]) -> [PlacedLayer] { layers }
  /// Takes the layers of the other branch.
  public static func buildEither(second layers: [PlacedLayer]) -> [PlacedLayer] { layers }
}

extension [PlacedLayer] {
  /// The number of residual additions, which sets the scale of the projections that end in one.
  var residuals: Int {
    reduce(0) { sum, placed in
      let inner = (placed.layer as? any ContainerLayer)?.residuals ?? 0
      return sum.addingReportingOverflow(inner).partialValue
    }
  }
}
