package import MoTIR

/// Arithmetic that a function does for each token, by what it is for.
///
/// Only matrix products and attention count, a multiplication and an addition as two; masked-out
/// attention does not: a causal query sees half of the keys.
package struct GraphCosts: Hashable, Sendable {
  /// The cost of a component for one token of a modality.
  package struct Item: Hashable, Sendable {
    /// The component of the parameter that is multiplied; `attention_scores` for attention itself.
    package let component: String
    /// The number of the modality.
    package let modality: Int
    /// Floating-point operations a token.
    package var flops: Double
  }

  /// The costs, by component in order of appearance, then by modality.
  package private(set) var items: [Item] = []
  /// Bytes of keys and values that a token leaves to those behind it.
  package let cacheBytesPerToken: Int

  /// Counts the forward arithmetic of `graph`, a function of `module` as built.
  package init(_ graph: Graph, of module: Module) {
    cacheBytesPerToken = graph.nodes.reduce(0) { $0 + Self.cacheBytes(of: $1, in: graph) }
    var names: [String] = []
    var costs: [[Double]] = []
    for node in graph.nodes {
      guard let (component, flops) = Self.cost(of: node, in: graph, of: module) else { continue }
      if !names.contains(component) {
        names.append(component)
        costs.append([Double](repeating: 0, count: module.modalities.count))
      }
      guard let index = names.firstIndex(of: component) else { continue }
      for modality in costs[index].indices
      where Self.takesPart(modality, in: node, of: graph, module) {
        costs[index][modality] += flops
      }
    }
    for (name, row) in zip(names, costs) {
      for (modality, flops) in row.enumerated() {
        items.append(Item(component: name, modality: modality, flops: flops))
      }
    }
  }

  /// The components, in order of appearance.
  package var components: [String] {
    items.filter { $0.modality == 0 }.map(\.component)
  }

  /// Returns the operations for one token of modality `modality`, in one component or in all.
  package func flops(modality: Int, component: String? = nil) -> Double {
    items.reduce(0) { sum, item in
      let counts = item.modality == modality && (component ?? item.component) == item.component
      return counts ? sum + item.flops : sum
    }
  }

  /// Returns the operations for a token, in one component or in all: the mean over the modalities.
  package func mean(component: String? = nil) -> Double {
    let modalities = items.reduce(0) { max($0, $1.modality + 1) }
    let sum = items.reduce(0.0) { sum, item in
      (component ?? item.component) == item.component ? sum + item.flops : sum
    }
    return sum / Double(max(1, modalities))
  }

  /// `true` iff tokens of `modality` have weights in `node`; all groups of a weight have one shape.
  private static func takesPart(
    _ modality: Int, in node: Node, of graph: Graph, _ module: Module
  ) -> Bool {
    let map = graph.expertRouting(of: node)?.groups ?? node.op.groups
    guard let groups = map?.ofSegment, groups.count == module.modalities.count else {
      return true
    }
    return groups[modality] != Groups.none
  }

  /// Returns component and operations a token of a forward matrix product, `nil` for other nodes.
  private static func cost(
    of node: Node, in graph: Graph, of module: Module
  ) -> (String, Double)? {
    switch node.op {
    case .linear:
      let weights = graph.operandsWithoutPlan(of: node).dropFirst()
      let rows = graph.expertRouting(of: node)?.routing.perToken ?? 1
      let flops = weights.reduce(0.0) { $0 + 2 * rows * matrix(graph.type(of: $1)) }
      return weights.first.map { (component(of: $0, in: graph, module), flops) }
    case .headLoss:
      let weight = node.operands[1]
      return (component(of: weight, in: graph, module), 2 * matrix(graph.type(of: weight)))
    case .attention(let attention):
      let width = Double(graph.type(of: node.operands[0]).width ?? 0)
      let sequence = Double(module.tokens / max(1, attention.batch))
      return ("attention_scores", 4 * width * (attention.causal ? (sequence + 1) / 2 : sequence))
    default: return nil
    }
  }

  /// Returns the bytes of the keys and values of one token that `node` reads, 0 where it is no attention.
  private static func cacheBytes(of node: Node, in graph: Graph) -> Int {
    switch node.op {
    case .attention, .cachedAttention:
      node.operands[1...2].reduce(0) { $0 + 4 * (graph.type(of: $1).width ?? 0) }
    default: 0
    }
  }

  /// Returns the elements of one group's matrix.
  private static func matrix(_ type: ValueType) -> Double {
    guard case .tensor(_, let shape) = type else { return 0 }
    return shape.suffix(2).reduce(1.0) { $0 * Double($1) }
  }

  private static func component(
    of weight: ValueID, in graph: Graph, _ module: Module
  ) -> String {
    guard case .parameter(let name) = graph.definition(of: weight).op else { return "other" }
    return module.parameter(name)?.component ?? "other"
  }
}
