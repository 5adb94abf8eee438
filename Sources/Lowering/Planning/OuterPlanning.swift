internal import MoTIR

/// A value that its kernel lays out for weight gradients.
struct OuterOperand {
  /// Where.
  let buffer: BufferID
  /// The side on which the gradients' outer products read it.
  let side: OuterSide
  /// The plan to whose segments it keeps; `nil` if its rows are one run.
  let plan: ValueID?
}

// A kernel that computes rows which a weight gradient reads lays them out as its outer products want them,
// while they are in cache. A pass of its own would take them from memory and back once more.
extension FunctionPlanner {
  /// Returns how a block with `plan` is to lay `value` out, if weight gradients can read that.
  mutating func planOuter(_ value: ValueID, plan: ValueID?) -> OuterOperand? {
    guard builder.plan.backend != .blas, graph.type(of: value).isRows,
      let reader = users[value.index].first(where: { keeps($0, to: plan) }),
      let side = side(of: value, in: reader)
    else { return nil }
    let (rows, width) = shape(value)
    var parts = 1
    if let plan, case .plan(let layout) = graph.type(of: plan) { parts = layout.segments }
    let bytes = builder.plan.operands.outerBytes(
      rows: rows, width: builder.plan.tile.padded(width), parts: parts)
    let buffer = builder.addTemporary(bytes: bytes, label: "%\(value.index) laid out")
    let outer = OuterOperand(buffer: buffer, side: side, plan: plan)
    outers[value] = outer
    return outer
  }

  /// Returns what `value` is laid out as, if `reader` is a weight gradient that can read that.
  func outer(_ value: ValueID, for reader: NodeID) -> OuterOperand? {
    guard let outer = outers[value], keeps(reader, to: outer.plan),
      side(of: value, in: reader) == outer.side
    else { return nil }
    return outer
  }

  /// `true` iff `reader` is a weight gradient whose runs of rows are those of `plan`: where there are no bands
  /// to be filled up, rows of all segments are one run too.
  private func keeps(_ reader: NodeID, to plan: ValueID?) -> Bool {
    guard case .linearWeightGradient = graph[reader].op else { return false }
    let own = graph.plan(of: graph[reader])
    return own == plan || (own == nil && builder.plan.operands.band == 1)
  }

  private func side(of value: ValueID, in reader: NodeID) -> OuterSide? {
    guard case .linearWeightGradient = graph[reader].op else { return nil }
    return data(graph[reader]).first == value ? .right : .left
  }
}
