/// What training leaves as it is.
///
/// ```swift
/// frozen: [.modality(text), .component(.embedding)]
/// ```
public enum Frozen: Sendable {
  /// What serves tokens of this modality, and of no other one that trains.
  case modality(Modality)
  /// A part of all layers.
  case component(Component)
}

extension Model {
  /// `true` iff training leaves the parameters of `component` that serve `modalities` as they are; all serve those of
  /// `nil`.
  private func freezes(_ component: Component, _ modalities: [String]?) -> Bool {
    let parts = frozenComponents.flatMap(\.parts)
    if component.parts.allSatisfy(parts.contains) { return true }
    let names = frozenModalities.map(\.name)
    return (modalities ?? self.modalities.map(\.name)).allSatisfy(names.contains)
  }

  /// The components that are frozen as a whole.
  var frozenComponents: [Component] {
    frozen.compactMap { if case .component(let component) = $0 { component } else { nil } }
  }

  /// The modalities whose own tensors are frozen.
  private var frozenModalities: [Modality] {
    frozen.compactMap { if case .modality(let modality) = $0 { modality } else { nil } }
  }

  /// Returns the groups of `component` that train and those that do not, as maps of their own; `nil` stands for all
  /// tokens.
  func pieces(_ component: Component, _ groups: Groups?) -> [(groups: Groups?, isFrozen: Bool)] {
    guard let groups else { return [(nil, freezes(component, nil))] }
    let isFrozen = groupNames(groups).map { freezes(component, $0) }
    return [false, true].compactMap { wanted -> (groups: Groups?, isFrozen: Bool)? in
      let numbers = isFrozen.indices.filter { isFrozen[$0] == wanted }
      guard !numbers.isEmpty else { return nil }
      return (Groups(groups.ofSegment.map { numbers.firstIndex(of: $0) ?? Groups.none }), wanted)
    }
  }

  /// What is wrong with what is frozen.
  func freezingProblems() -> [Diagnostic] {
    let known = modalities.map(\.name)
    return frozenModalities.filter { !known.contains($0.name) }.map {
      .unknownModality($0.name, in: "frozen", known: known, at: location)
    }
  }
}
