package import MoTIR

/// The nodes of a graph in units that are executed whole, in an order that respects every dependence.
///
/// It starts with one unit a node (or a cluster) and merges units as passes ask, as long as no value
/// would have to leave a unit and come back. The order is kept up to date in the window between the
/// merged units only, so that merging neighbours is cheap in a graph of thousands of nodes.
package struct Condensation {
  /// For each node, the nodes that read its results.
  private let readers: [[NodeID]]
  /// For each node, the unit that it is in.
  private var unitOfNode: [Int]
  /// For each unit, its nodes in order; empty for a unit that was merged into another.
  private var membersOfUnit: [[NodeID]]
  /// The units in a valid order; `nil` where a merged unit stood.
  private var slots: [Int?]
  /// For each unit, its place in `slots`.
  private var position: [Int]
  /// For each unit, the number of the last search that came across it.
  private var visited: [Int]
  /// The number of searches so far.
  private var searches = 0

  /// Creates the condensation of `graph` with one unit for each cluster and each node of none.
  ///
  /// - Throws: `Diagnostic` if the clusters have no order.
  package init(_ graph: Graph) throws {
    let users = graph.users()
    readers = graph.nodes.map { node in
      Array(Set(node.results.flatMap { users[$0.index] })).sorted()
    }
    unitOfNode = Array(graph.nodes.indices)
    membersOfUnit = graph.nodeIDs.map { [$0] }
    slots = graph.nodes.indices.map { $0 }
    position = Array(graph.nodes.indices)
    visited = [Int](repeating: 0, count: graph.nodes.count)
    for (cluster, members) in graph.clusters() where merge(members.map(\.index)) == nil {
      throw Diagnostic(
        "cluster \(cluster) cannot be one kernel: a value leaves it and comes back",
        at: graph[members[0]].location)
    }
  }

  /// Returns the unit that `node` is in.
  package func unit(of node: NodeID) -> Int { unitOfNode[node.index] }

  /// Returns the nodes of `unit`, in order.
  package func members(of unit: Int) -> [NodeID] { membersOfUnit[unit] }

  /// The units, each after all that it depends on.
  package var order: [Int] { slots.compactMap { $0 } }

  /// Merges `units` into one and returns it, or returns `nil` if a value would leave it and come back.
  ///
  /// - Complexity: linear in the part of the graph between the first and the last of the units.
  package mutating func merge(_ units: [Int]) -> Int? {
    let units = Set(units).sorted { position[$0] < position[$1] }
    guard let first = units.first, let last = units.last, first != last else { return units.first }
    let window = position[first]...position[last]
    guard let after = dependents(of: units, until: window.upperBound) else { return nil }
    reorder(window, merged: units, into: first, after: after)
    membersOfUnit[first] = units.flatMap { membersOfUnit[$0] }.sorted()
    for unit in units.dropFirst() { membersOfUnit[unit] = [] }
    for member in membersOfUnit[first] { unitOfNode[member.index] = first }
    return first
  }

  /// Returns the number of a search under which the units outside of `units` are visited that depend
  /// on them and stand before `end`; `nil` if one of `units` depends on such a unit.
  private mutating func dependents(of units: [Int], until end: Int) -> Int? {
    searches += 2
    let (inside, outside) = (searches, searches + 1)
    for unit in units { visited[unit] = inside }
    var open: [Int] = units
    while let unit = open.popLast() {
      for reader in membersOfUnit[unit].flatMap({ readers[$0.index] }) {
        let next = unitOfNode[reader.index]
        if visited[next] == inside {
          if visited[unit] == outside { return nil }
        } else if visited[next] != outside, position[next] < end {
          visited[next] = outside
          open.append(next)
        }
      }
    }
    return outside
  }

  /// Puts the merged unit into `window`: behind all that does not depend on it, before all that does.
  private mutating func reorder(
    _ window: ClosedRange<Int>, merged units: [Int], into unit: Int, after search: Int
  ) {
    let standing = window.compactMap { slots[$0] }
    let inside = search - 1
    let before = standing.filter { visited[$0] != search && visited[$0] != inside }
    let after = standing.filter { visited[$0] == search }
    var next = window.lowerBound
    for place in window { slots[place] = nil }
    for moved in before + [unit] + after {
      slots[next] = moved
      position[moved] = next
      next += 1
    }
  }
}

extension Graph {
  /// The fusion clusters with their nodes, by number.
  package func clusters() -> [(number: Int, members: [NodeID])] {
    var members: [Int: [NodeID]] = [:]
    for id in nodeIDs {
      if let cluster = self[id].cluster { members[cluster, default: []].append(id) }
    }
    return members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}
