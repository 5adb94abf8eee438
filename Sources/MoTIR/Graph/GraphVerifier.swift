// The invariants of a graph:
// 1. Operands and results are values of the graph; a node's results are consecutive, numbered in
//    order, and know their definition.
// 2. Every value is defined before it is read (SSA order).
// 3. Every type is legal (`ValueType.violation`), and the types of results are those that the typing
//    rules give.
// 4. Numbers among the attributes are finite, integers are in 0...2^40, lists have at most 64 items,
//    names are not empty and not longer than 4,096 bytes; so are the files of
//    locations, whose lines and columns are not negative.
// 5. Cluster numbers are not negative. With each cluster contracted to one node the graph has no
//    cycle: no path leaves a cluster and comes back to it, directly or through other clusters.
// 6. Outputs are values of the graph under names of their own.
// The invariants of a module around it are in ModuleVerifier.swift.

extension Graph {
  /// Returns what is wrong with the graph; nothing if it is sound.
  package func verify() -> [Diagnostic] {
    var verifier = GraphVerifier(self, function: nil, places: nil)
    verifier.run()
    return verifier.diagnostics
  }
}

/// Checks the invariants of one graph.
struct GraphVerifier {
  /// What was found wrong.
  private(set) var diagnostics: [Diagnostic] = []

  private let graph: Graph
  private let function: String?
  private let places: SourcePlaces.Function?

  /// Creates a verifier of the body of `function`.
  init(_ graph: Graph, function: String?, places: SourcePlaces.Function?) {
    self.graph = graph
    self.function = function
    self.places = places
  }

  /// Checks all invariants.
  mutating func run() {
    for id in graph.nodeIDs { check(id) }
    // What follows walks operands.
    guard diagnostics.isEmpty else { return }
    checkClusters()
    checkOutputs()
  }

  /// Reports that node `id` breaks a rule.
  mutating func report(_ message: String, at id: NodeID, help: String? = nil) {
    let node = graph[id]
    var prefix = function.map { "@\($0): " } ?? ""
    if places != nil, let location = node.location { prefix += "from \(location): " }
    append(
      "\(prefix)`\(node.op.mnemonic)`: \(message)", places?.nodes[id.index] ?? node.location, help)
  }

  /// Reports that an output breaks a rule.
  mutating func report(_ message: String, atOutput index: Int) {
    append("\(function.map { "@\($0): " } ?? "")\(message)", places?.outputs[index], nil)
  }

  private mutating func append(_ message: String, _ location: Location?, _ help: String?) {
    guard diagnostics.count < IRLimits.errors else { return }
    diagnostics.append(Diagnostic(message, at: location, suggestion: help))
  }

  // MARK: Nodes

  private mutating func check(_ id: NodeID) {
    let node = graph[id]
    for (position, result) in node.results.enumerated() {
      guard graph.values.indices.contains(result.index),
        graph.values[result.index].definition == id, graph.values[result.index].result == position
      else { return report("result \(position + 1) is not its own", at: id) }
    }
    for operand in node.operands {
      guard graph.values.indices.contains(operand.index) else {
        return report("operand %\(operand.index) is no value of the graph", at: id)
      }
      guard graph.values[operand.index].definition < id else {
        return report("operand %\(operand.index) is read before it is defined", at: id)
      }
    }
    if let violation = violation(of: node.op) { return report(violation, at: id) }
    checkTypes(of: node, id)
    if let cluster = node.cluster, !(0...IRLimits.elements).contains(cluster) {
      report("cluster #\(cluster) is no number of a cluster", at: id)
    }
    if let location = node.location,
      nameViolation(location.file) != nil || location.line < 0 || location.column < 0
    {
      report("its location is no place in a file", at: id)
    }
  }

  private mutating func checkTypes(of node: Node, _ id: NodeID) {
    let found = node.results.map { graph.type(of: $0) }
    for type in found {
      if let violation = type.violation { return report("\(type) is \(violation)", at: id) }
    }
    do {
      let operands = node.operands.map { graph.type(of: $0) }
      let wanted = try node.op.resultTypes(
        operands, declared: node.op.needsDeclaredType ? found.first : nil)
      if wanted != found { report("its results are \(found), and \(wanted) is right", at: id) }
    } catch { report(error.description, at: id) }
  }

  /// Returns what is wrong with the attributes of `op`, whatever its operands, or `nil`.
  private func violation(of op: Op) -> String? {
    let syntax = op.syntax
    switch syntax.literal {
    case .name(let name):
      if let violation = nameViolation(name) { return violation }
    case .number(let number):
      if !number.isFinite { return "\(number) is not finite" }
    case nil: break
    }
    return syntax.attributes.lazy.compactMap(\.violation).first
  }

  // MARK: Outputs and clusters

  private mutating func checkOutputs() {
    var names: Set<String> = []
    for (index, output) in graph.outputs.enumerated() {
      if !graph.values.indices.contains(output.value.index) {
        report("output \(quoted(output.name)) is no value of the graph", atOutput: index)
      }
      if let violation = nameViolation(output.name) { report(violation, atOutput: index) }
      if !names.insert(output.name).inserted {
        report("a second output called \(quoted(output.name))", atOutput: index)
      }
    }
  }

  /// Sorts clusters and lone nodes so that each follows what it reads; what cannot be sorted is an
  /// error.
  private mutating func checkClusters() {
    let units = Units(graph)
    guard units.hasClusters, let cyclic = units.cyclicUnit() else { return }
    report(
      "cluster #\(graph[cyclic].cluster ?? 0) reads, through nodes outside, what it computes itself",
      at: cyclic, help: "no path may leave a cluster and come back to it")
  }
}

/// The graph with each cluster contracted to one unit.
private struct Units {
  /// The unit of each node.
  private var ofNode: [Int] = []
  /// The first node of each unit.
  private var first: [NodeID] = []
  /// The units that read each unit, once for each operand.
  private var readers: [[Int]] = []
  /// How many operands each unit reads from others.
  private var reads: [Int] = []
  /// `true` iff some node is in a cluster.
  private(set) var hasClusters = false

  init(_ graph: Graph) {
    var ofCluster: [Int: Int] = [:]
    for id in graph.nodeIDs {
      let unit = graph[id].cluster.flatMap { ofCluster[$0] } ?? first.count
      if unit == first.count { first.append(id) }
      if let cluster = graph[id].cluster { ofCluster[cluster] = unit }
      ofNode.append(unit)
    }
    hasClusters = !ofCluster.isEmpty
    readers = [[Int]](repeating: [], count: first.count)
    reads = [Int](repeating: 0, count: first.count)
    for id in graph.nodeIDs {
      for operand in graph[id].operands {
        let source = ofNode[graph.values[operand.index].definition.index]
        guard source != ofNode[id.index] else { continue }
        readers[source].append(ofNode[id.index])
        reads[ofNode[id.index]] += 1
      }
    }
  }

  /// Returns the first node of a cluster on a cycle, or `nil` if there is no cycle.
  ///
  /// - Complexity: O(nodes + operands).
  func cyclicUnit() -> NodeID? {
    var open = reads
    var ready = open.indices.filter { open[$0] == 0 }
    while let unit = ready.popLast() {
      for reader in readers[unit] {
        open[reader] -= 1
        if open[reader] == 0 { ready.append(reader) }
      }
    }
    // Each unit left reads another one left: walking from reader to read one ends in a cycle.
    var source = [Int](repeating: -1, count: first.count)
    for unit in readers.indices where open[unit] > 0 {
      for reader in readers[unit] { source[reader] = unit }
    }
    guard var unit = open.firstIndex(where: { $0 > 0 }) else { return nil }
    for _ in first.indices { unit = source[unit] }
    // On the cycle now. Lone nodes follow what they read, so that some unit of it is a cluster, and
    // the one with the earliest node is.
    var earliest = unit
    var next = source[unit]
    while next != unit {
      earliest = min(earliest, next)
      next = source[next]
    }
    return first[earliest]
  }
}

/// Returns what is wrong with a name, or `nil`.
func nameViolation(_ name: String) -> String? {
  if name.isEmpty { return "a name is empty" }
  let count = quoted(name).utf8.count - 2
  if count > IRLimits.nameBytes {
    return "a name of \(count) bytes, and \(IRLimits.nameBytes) are allowed"
  }
  return nil
}

extension OpSyntax.Attribute {
  /// What is wrong with the attribute, whatever the op, or `nil`.
  fileprivate var violation: String? {
    switch self {
    case .integer(let name, let value):
      (0...IRLimits.elements).contains(value) ? nil : "`\(name)` is \(value)"
    case .number(let name, let value): value.isFinite ? nil : "`\(name)` is \(value)"
    case .word, .flag: nil
    case .groups(let groups):
      groups.ofSegment.count <= IRLimits.segments
        && groups.ofSegment.allSatisfy { (Groups.none..<IRLimits.segments).contains($0) }
        ? nil : "`groups` has a number or a count outside 0..<\(IRLimits.segments)"
    case .ranges(let ranges):
      ranges.count <= IRLimits.segments
        && ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= IRLimits.tokens }
        ? nil : "`ranges` has an id outside 0..<\(IRLimits.tokens)"
    }
  }
}
