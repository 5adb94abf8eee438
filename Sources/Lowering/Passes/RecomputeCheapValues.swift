import MoTIR

extension Pass {
  /// Computes norms and activations again for the backward pass rather than keep them from the forward
  /// pass on.
  package static let recomputeCheapValues = Pass(
    "recompute-cheap-values", "computes activations and norms again where gradients read them"
  ) { graph, _ in
    var recomputation = Recomputation(graph)
    graph = try recomputation.run()
  }
}

/// The rebuilding of a graph in which the backward pass has its own copies of what is cheap to compute
/// from what is kept anyway.
private struct Recomputation {
  private let source: Graph
  /// For each node, whether an output that is no gradient depends on it.
  private let isForward: [Bool]
  /// The values that the backward pass computes again.
  private let cheap: Set<ValueID>
  private var copy: GraphCopy
  /// For each cheap value, the backward pass's copy, once it is made.
  private var again: [ValueID: ValueID] = [:]

  init(_ source: Graph) {
    self.source = source
    let results = source.outputs.filter { $0.gradientParameter == nil }.map(\.value)
    isForward = source.neededNodes(for: results, keepingEffects: false)
    cheap = source.cheapValues(isForward)
    copy = GraphCopy(of: source)
  }

  mutating func run() throws -> Graph {
    for id in source.nodeIDs {
      if isForward[id.index] { try copy.copy(id) } else { try copyBackward(id) }
    }
    return copy.finished()
  }

  private mutating func copyBackward(_ id: NodeID) throws {
    for (old, new) in zip(source[id].results, try clone(id)) { copy[old] = new }
  }

  /// Appends a copy of a node that reads the backward pass's values.
  private mutating func clone(_ id: NodeID) throws -> [ValueID] {
    let node = source[id]
    let operands = try node.operands.map { cheap.contains($0) ? try recomputed($0) : copy[$0] }
    return try copy.withGraph { try $0.copy(node, of: source, operands: operands) }
  }

  private mutating func recomputed(_ value: ValueID) throws -> ValueID {
    if let known = again[value] { return known }
    let results = try clone(source.values[value.index].definition)
    again[value] = results[0]
    return results[0]
  }
}

extension Graph {
  /// Returns the rows that gradients read, and that are cheap to compute from rows which they read too.
  fileprivate func cheapValues(_ isForward: [Bool]) -> Set<ValueID> {
    let users = users()
    var found: Set<ValueID> = []
    for id in nodeIDs where isForward[id.index] && self[id].op.isCheap {
      let value = self[id].results[0]
      let rows = self[id].operands.filter { type(of: $0).isRows }
      func isReadLate(_ value: ValueID) -> Bool {
        users[value.index].contains { !isForward[$0.index] }
      }
      guard type(of: value).isRows, !isOutput(value), !rows.isEmpty else { continue }
      if rows.allSatisfy({ found.contains($0) || isReadLate($0) }) { found.insert(value) }
    }
    return found
  }
}

extension Op {
  /// `true` iff computing it again costs less than a way to memory and back.
  fileprivate var isCheap: Bool {
    if case .norm = self { true } else { isElementwise }
  }
}
