/// A part of a layer whose parameters can be untied by modality.
///
/// It may stand for several: `.attention` is all four projections.
public struct Component: Hashable, Sendable {
  /// One of attention's projections.
  public enum Projection: String, Hashable, Sendable, CaseIterable {
    case query = "q"
    case key = "k"
    case value = "v"
    case output = "o"
  }

  /// The smallest parts that it stands for.
  let parts: [String]
  /// The word for it in names and messages.
  let name: String

  /// The feed-forward network's matrices and biases.
  public static let feedForward = Component(parts: ["feed_forward"], name: "feed_forward")
  /// All four projections of attention.
  public static let attention = Component(
    parts: Projection.allCases.map { "attention.\($0.rawValue)" }, name: "attention")
  /// The norms of queries and keys, which `norms` includes.
  public static let queryKeyNorms = Component(parts: ["norm.query_key"], name: "norm")
  /// All norms, the final one and those of queries and keys among them.
  public static let norms = Component(parts: ["norm", "norm.query_key"], name: "norm")

  /// Some projections of attention.
  public static func attention(_ projections: Projection...) -> Component {
    Component(parts: projections.map { "attention.\($0.rawValue)" }, name: "attention")
  }

  /// The parameters of the custom layers called `name`.
  public static func custom(_ name: String) -> Component { Component(parts: [name], name: name) }

  /// The embedding, which is never untied, with what it has for continuous tokens and other widths.
  public static let embedding = Component(
    parts: ["embedding", "embedding.projection"], name: "embedding")
  /// The head, which is never untied, with what it has for continuous tokens and other widths.
  public static let head = Component(parts: ["head", "head.projection"], name: "head")
  /// The matrices of `owner` for modalities of another width than the model's, which are always untied.
  static func projection(of owner: String) -> Component {
    Component(parts: ["\(owner).projection"], name: owner)
  }
  /// `true` iff it is one tensor for all modalities, whatever is untied.
  var isShared: Bool { self == .embedding || self == .head }
  /// `true` iff it has a tensor for each modality, whatever is untied.
  fileprivate var isProjection: Bool { parts.allSatisfy { $0.hasSuffix(".projection") } }
  /// The norms outside attention.
  static let layerNorm = Component(parts: ["norm"], name: "norm")
}

/// Which parameters have a tensor for each modality, and which modalities share one.
///
/// ```swift
/// untied: .all                                                          // everything but embedding and head
/// untied: .none                                                         // the dense model
/// untied: .components(.feedForward)                                     // the ablations, in order
/// untied: .components(.feedForward, .attention(.query, .key, .value))
/// untied: .components(.feedForward, .attention)
/// untied: .components(.feedForward, .attention, .norms)
/// untied: .all.merging([image, speech])                                 // two towers for three modalities
/// untied: .all.merging([image, speech], in: .attention)                 // … in attention only
/// ```
public struct Untying: Sendable {
  /// A set of modalities that share their tensors in some components.
  struct Merge: Sendable {
    let modalities: [Modality]
    /// `nil`: in all components.
    let components: [Component]?
  }

  /// The components that are untied; `nil`: all but embedding and head.
  let components: [Component]?
  /// The modalities that are merged, in the order in which the spec says so.
  private(set) var merges: [Merge] = []

  /// Everything is untied but the embedding and the head.
  public static let all = Untying(components: nil)
  /// Nothing is untied: the dense model.
  public static let none = Untying(components: [])

  /// Only `components` are untied.
  public static func components(_ components: Component...) -> Untying {
    Untying(components: components)
  }

  /// Returns this untying with one tensor for all of `modalities`.
  ///
  /// - Parameter components: where they are merged; everywhere if none is named.
  public func merging(_ modalities: [Modality], in components: Component...) -> Untying {
    var result = self
    result.merges.append(
      Merge(modalities: modalities, components: components.isEmpty ? nil : components))
    return result
  }

  /// The components that it names, each once.
  var named: [Component] {
    let all = (components ?? []) + merges.flatMap { $0.components ?? [] }
    return all.indices.filter { !all[..<$0].contains(all[$0]) }.map { all[$0] }
  }

  /// Returns, for each modality, the number of the group whose tensor it takes in `component`;
  /// `nil` if one tensor serves all.
  func groups(of component: Component, modalities: [Modality]) -> Groups? {
    guard !component.isShared else { return nil }
    let part = component.parts.first ?? component.name
    if let components, !component.isProjection,
      !components.contains(where: { $0.parts.contains(part) })
    {
      return nil
    }
    var leader = Array(modalities.indices)
    for merge in merges
    where merge.components?.contains(where: { $0.parts.contains(part) }) ?? true {
      let members = modalities.indices.filter { index in
        merge.modalities.contains { $0.name == modalities[index].name }
      }
      let joined = members.map { leader[$0] }
      guard let first = joined.min() else { continue }
      leader = leader.map { joined.contains($0) ? first : $0 }
    }
    let leaders = modalities.indices.filter { leader[$0] == $0 }
    guard leaders.count > 1 else { return nil }
    return Groups(leader.map { leaders.firstIndex(of: $0) ?? 0 })
  }
}
