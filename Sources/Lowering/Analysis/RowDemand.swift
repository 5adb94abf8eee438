internal import MoTIR

/// Whose rows of each value are read: those of all tokens, or of some segments of a plan.
///
/// Towers of their own and experts leave many rows that nobody asks for: a feed-forward network of images has none for
/// text, and experts leave the room behind the tokens that they take. What is computed of them would be dropped.
struct RowDemand {
  /// Some of a value's rows.
  private enum Rows: Equatable {
    case none, all
    /// Those of some segments of a plan; none of no segment.
    case segments(Set<Int>, plan: ValueID)

    func union(_ other: Rows) -> Rows {
      switch (self, other) {
      case (.none, let rows), (let rows, .none): rows
      case (.segments(let a, let plan), .segments(let b, let other)) where plan == other:
        .segments(a.union(b), plan: plan)
      default: .all
      }
    }

    func intersection(_ other: Rows) -> Rows {
      switch (self, other) {
      case (.all, let rows): rows
      case (.segments(let a, let plan), .segments(let b, let other)) where plan == other:
        .segments(a.intersection(b), plan: plan)
      default: self
      }
    }
  }

  private let graph: Graph
  private var demanded: [Rows]

  /// Finds out who reads what of `graph`, from its end on.
  init(_ graph: Graph) {
    self.graph = graph
    demanded = [Rows](repeating: .none, count: graph.values.count)
    for output in graph.outputs { demanded[output.value.index] = .all }
    for node in graph.nodes.reversed() {
      for (position, operand) in node.operands.enumerated() {
        let read = rows(of: position, in: node)
        demanded[operand.index] = demanded[operand.index].union(read)
      }
    }
  }

  /// Returns the segments of `plan` for whose rows `node`, a step of a block, is to be done, in order; `nil` for all.
  ///
  /// Rows of no segment are few where tokens come by modality, and steps that leave only them out are done for all.
  func segments(of node: Node, plan: ValueID?) -> [Int]? {
    guard let plan, case .plan(let layout) = graph.type(of: plan) else { return nil }
    let rows =
      if case .columnSum = node.op { self.rows(of: 0, in: node) } else { results(of: node) }
    switch rows {
    case .none: return []
    case .segments(let segments, let own) where own == plan:
      let isWhole = layout.experts == nil && segments.count == layout.segments
      return isWhole ? nil : segments.sorted()
    case .segments, .all: return nil
    }
  }

  private func results(of node: Node) -> Rows {
    node.results.reduce(.none) { $0.union(demanded[$1.index]) }
  }

  /// Returns the rows that `node` reads of its operand at `position`.
  private func rows(of position: Int, in node: Node) -> Rows {
    guard graph.type(of: node.operands[position]).isRows else { return .all }
    switch node.op {
    case .linear, .linearInputGradient, .channelAdd:
      return results(of: node).intersection(readSegments(of: node))
    case .linearWeightGradient, .columnSum:
      return readSegments(of: node)
    case .combine, .gatesGradient:
      guard position == 0, let plan = graph.plan(of: node),
        case .plan(let layout) = graph.type(of: plan)
      else { return .all }
      return .segments(Set(0..<layout.segments), plan: plan)
    case .norm, .normGradient, .channelMultiply, .rotary, .unary, .binary, .rowSum,
      .logSumExponentials, .crossEntropy, .crossEntropyGradient:
      return results(of: node)
    case .input, .parameter, .constant, .route, .sync, .gather, .scatter, .routeExperts, .dispatch,
      .gates, .balance, .attention, .attentionGradient, .cachedAttention, .sum, .embed,
      .embedGradient, .tokenWeights, .headLoss, .headLossGradient:
      return .all
    }
  }

  /// Returns the rows on which results of `node` depend.
  private func readSegments(of node: Node) -> Rows {
    guard let groups = node.op.groups, let plan = graph.plan(of: node) else { return .all }
    return .segments(Set(groups.ofSegment.indices.filter(node.op.readsRows)), plan: plan)
  }
}
