package import MoTIR

/// How many parameters a model has: by what they are for, and by whose tokens use them.
package struct ParameterCounts: Hashable, Sendable {
  /// The tensors of one component that the tokens of the same modalities use in the same way.
  package struct Item: Hashable, Sendable {
    /// What they are for, as in `ParameterDeclaration`.
    package let component: String
    /// The numbers of the modalities, ascending.
    package let modalities: [Int]
    /// Of how many experts they are the networks, and how many of these a token takes on the average; `nil` for other
    /// tensors.
    package let experts: Experts?
    /// `true` iff a router's: tokens find their experts by them.
    package let isRouter: Bool
    /// Their elements.
    package fileprivate(set) var count: Int
    /// The elements of those with more than one dimension: not gains, not biases.
    package fileprivate(set) var matrices: Int

    /// Those that a token of the modalities uses.
    fileprivate var active: Int {
      guard let experts else { return count }
      return Int((Double(count / experts.count) * experts.taken).rounded())
    }

    /// Those of the model with one network in place of the experts.
    fileprivate var withoutExperts: Int { isRouter ? 0 : count / (experts?.count ?? 1) }
  }

  /// Experts of one group.
  package struct Experts: Hashable, Sendable {
    /// How many there are.
    package let count: Int
    /// How many take a token, on the average.
    package let taken: Double
  }

  /// The counts, in order of first appearance.
  package private(set) var items: [Item] = []
  /// How many modalities the model has.
  package let modalities: Int

  /// Counts the parameters of `module`.
  package init(_ module: Module) {
    modalities = module.modalities.count
    let names = module.modalities.map(\.name)
    let forward = module.function("logits") ?? module.function("loss")
    let use = forward.map { ExpertUse($0.graph) } ?? ExpertUse(Graph())
    for parameter in module.parameters {
      for group in parameter.groups ?? [names] {
        add(parameter, users: names.indices.filter { group.contains(names[$0]) }, use)
      }
    }
  }

  /// Adds what `parameter` holds for one group, which the modalities `users` use.
  private mutating func add(_ parameter: ParameterDeclaration, users: [Int], _ use: ExpertUse) {
    let experts = parameter.experts.map { count in
      Experts(count: count, taken: use.taken[parameter.name] ?? Double(count))
    }
    let isRouter = use.routers.contains(parameter.name)
    let place = items.firstIndex {
      $0.component == parameter.component && $0.modalities == users && $0.experts == experts
        && $0.isRouter == isRouter
    }
    if place == nil {
      items.append(
        Item(
          component: parameter.component, modalities: users, experts: experts, isRouter: isRouter,
          count: 0, matrices: 0))
    }
    let count = parameter.shape.reduce(experts?.count ?? 1, *)
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
  /// head these are whole tables, of experts those that take it on the average.
  package func active(_ modality: Int, of component: String? = nil) -> Int {
    sum(of: component) { $0.modalities.contains(modality) ? $0.active : 0 }
  }

  /// The modality whose tokens use most parameters but for experts, the first of several; `nil` without modalities.
  private var largest: Int? {
    (0..<modalities).max { (withoutExperts($0), $1) < (withoutExperts($1), $0) }
  }

  /// Returns the parameters of `component`, or of all, that are there for `modality` without experts.
  private func withoutExperts(_ modality: Int, of component: String? = nil) -> Int {
    sum(of: component) { $0.modalities.contains(modality) ? $0.withoutExperts : 0 }
  }

  /// Returns the parameters of `component`, or of all, that are added by having weights by modality: those that
  /// the largest modality does not use.
  package func addedByModality(of component: String? = nil) -> Int {
    guard let largest else { return 0 }
    return sum(of: component) { $0.withoutExperts } - withoutExperts(largest, of: component)
  }

  /// Returns the parameters of `component`, or of all, that are added by having experts: all but one network of each
  /// group, and the routers.
  package func addedByExperts(of component: String? = nil) -> Int {
    sum(of: component) { $0.count - $0.withoutExperts }
  }

  private func sum(of component: String?, _ value: (Item) -> Int) -> Int {
    items.reduce(0) { $0 + ((component ?? $1.component) == $1.component ? value($1) : 0) }
  }
}
