package import MoTIR

/// How many parameters a model has: by what they are for, and by whose tokens use them.
package struct ParameterCounts: Hashable, Sendable {
  /// The tensors of one component that the tokens of the same modalities use.
  package struct Item: Hashable, Sendable {
    /// What they are for, as in `ParameterDeclaration`.
    package let component: String
    /// The numbers of the modalities, ascending.
    package let modalities: [Int]
    /// Their elements.
    package fileprivate(set) var count: Int
    /// The elements of those with more than one dimension: not gains, not biases.
    package fileprivate(set) var matrices: Int
  }

  /// The counts, in order of first appearance.
  package private(set) var items: [Item] = []
  /// How many modalities the model has.
  package let modalities: Int

  /// Counts the parameters of `module`.
  package init(_ module: Module) {
    modalities = module.modalities.count
    let names = module.modalities.map(\.name)
    for parameter in module.parameters {
      for group in parameter.groups ?? [names] {
        add(parameter, users: names.indices.filter { group.contains(names[$0]) })
      }
    }
  }

  /// Adds one tensor of `parameter`, which the modalities `users` use.
  private mutating func add(_ parameter: ParameterDeclaration, users: [Int]) {
    let component = parameter.component
    let place = items.firstIndex { $0.component == component && $0.modalities == users }
    if place == nil {
      items.append(Item(component: component, modalities: users, count: 0, matrices: 0))
    }
    let count = parameter.shape.reduce(1, *)
    let index = place ?? items.count - 1
    items[index].count += count
    if parameter.shape.count > 1 { items[index].matrices += count }
  }

  /// The components, in order of first appearance.
  package var components: [String] {
    items.reduce(into: []) { if !$0.contains($1.component) { $0.append($1.component) } }
  }

  /// Whose tokens use a tensor: each set of modalities that there is, all of them first, then by number.
  package var users: [[Int]] {
    Set(items.map(\.modalities)).sorted { a, b in
      let sizes = (a.count == modalities, b.count == modalities)
      return sizes.0 == sizes.1 ? a.lexicographicallyPrecedes(b) : sizes.0
    }
  }

  /// Returns the parameters of `component`, or of all.
  package func count(of component: String? = nil) -> Int {
    sum(of: component) { $0.count }
  }

  /// Returns the parameters of `component`, or of all, that exactly the modalities `users` use.
  package func count(of component: String? = nil, usedBy users: [Int]) -> Int {
    sum(of: component) { $0.modalities == users ? $0.count : 0 }
  }

  /// The elements of matrices: what the literature counts, without gains and biases.
  package var matrices: Int { items.reduce(0) { $0 + $1.matrices } }

  /// Returns the parameters of `component`, or of all, that a token of `modality` uses; of the embedding and of the
  /// head these are whole tables.
  package func active(_ modality: Int, of component: String? = nil) -> Int {
    sum(of: component) { $0.modalities.contains(modality) ? $0.count : 0 }
  }

  /// The modality whose tokens use most parameters, the first of several; `nil` without modalities.
  private var largest: Int? {
    (0..<modalities).max { (active($0), $1) < (active($1), $0) }
  }

  /// Returns the parameters of `component`, or of all, that are added by having weights by modality: those that
  /// the largest modality does not use.
  package func addedByModality(of component: String? = nil) -> Int {
    guard let largest else { return 0 }
    return count(of: component) - active(largest, of: component)
  }

  private func sum(of component: String?, _ value: (Item) -> Int) -> Int {
    items.reduce(0) { $0 + ((component ?? $1.component) == $1.component ? value($1) : 0) }
  }
}
