internal import MoTIR

/// The order of the rows of a head, where a model turns other pairs than another project does.
struct HeadRows {
  /// Rows of a head.
  let width: Int
  private let ours: Rotary.Layout
  private let theirs: Rotary.Layout

  /// Creates the order for `module` and what turns pairs as `theirs` says; `nil` if rows stay where they are.
  ///
  /// - Throws: `Diagnostic` if the module's layers turn different pairs.
  init?(_ module: Module, theirs: Rotary.Layout?) throws(Diagnostic) {
    var found: [(layout: Rotary.Layout, width: Int)] = []
    for graph in module.functions.map(\.graph) {
      for node in graph.nodes {
        guard case .rotary(let rotary) = node.op, let x = node.operands.first,
          case .rows(_, _, _, let width) = graph.type(of: x)
        else { continue }
        found.append((rotary.layout, width / rotary.heads))
      }
    }
    guard let theirs, let first = found.first else { return nil }
    guard found.allSatisfy({ $0 == first }) else {
      throw Diagnostic("layers turn heads of different widths, or different pairs, by positions")
    }
    guard first.layout != theirs else { return nil }
    (width, ours, self.theirs) = (first.width, first.layout, theirs)
  }

  /// For each row of a head in motc, the row that it is in the other project.
  var toOurs: [Int] { order(ours, theirs) }

  /// For each row of a head in the other project, the row that it is in motc.
  var toTheirs: [Int] { order(theirs, ours) }

  private func order(_ new: Rotary.Layout, _ old: Rotary.Layout) -> [Int] {
    (0..<width).map { row in
      let (pair, side) =
        new == .interleaved ? (row / 2, row % 2) : (row % (width / 2), row / (width / 2))
      return old == .interleaved ? 2 * pair + side : pair + side * (width / 2)
    }
  }
}
