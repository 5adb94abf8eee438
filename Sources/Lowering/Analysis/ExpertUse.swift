internal import MoTIR

/// What a forward graph does with experts.
struct ExpertUse {
  /// By parameter: how many of a group's experts a token takes, on the average.
  private(set) var taken: [String: Double] = [:]
  /// The parameters by which tokens find their experts.
  private(set) var routers: Set<String> = []

  /// Finds the experts in `graph`.
  init(_ graph: Graph) {
    for node in graph.nodes {
      switch node.op {
      case .routeExperts:
        addRouters(behind: node.operands[0], in: graph)
      case .linear:
        guard let routing = graph.expertRouting(of: node)?.routing else { break }
        for weight in graph.operandsWithoutPlan(of: node).dropFirst() {
          if case .parameter(let name) = graph.definition(of: weight).op {
            taken[name] = routing.perToken
          }
        }
      default: break
      }
    }
  }

  /// Adds the weights of the linear maps from which `scores` are computed row by row.
  private mutating func addRouters(behind scores: ValueID, in graph: Graph) {
    var waiting = [scores]
    var seen: Set<ValueID> = []
    while let value = waiting.popLast() {
      guard seen.insert(value).inserted else { continue }
      let node = graph.definition(of: value)
      if case .linear = node.op {
        for weight in graph.operandsWithoutPlan(of: node).dropFirst() {
          if case .parameter(let name) = graph.definition(of: weight).op { routers.insert(name) }
        }
      } else if node.op.isTokenwise {
        waiting += node.operands
      }
    }
  }
}

extension Graph {
  /// Returns by what rule, and in which groups, tokens come to `node`, a linear map of experts; `nil` for any other.
  func expertRouting(of node: Node) -> (routing: ExpertRouting, groups: Groups)? {
    guard case .linear(.some) = node.op, let plan = node.operands.last,
      case .routeExperts(let routing, let groups) = definition(of: plan).op
    else { return nil }
    return (routing, groups)
  }

  /// Returns how many of `rows` rows `node`, a linear map or a gradient of one, multiplies where modalities have
  /// equally many tokens: rows of modalities without weights cost nothing, nor does room that experts leave.
  func multipliedRows(of node: Node, rows: Int) -> Double {
    if let plan = node.operands.last, case .plan(let layout) = type(of: plan),
      case .routeExperts(let routing, let groups) = definition(of: plan).op
    {
      return Double(layout.tokens) * groups.share * routing.perToken
    }
    return Double(rows) * (node.op.groups?.share ?? 1)
  }
}

extension Groups {
  /// The share of segments that have weights.
  fileprivate var share: Double {
    Double(ofSegment.count { $0 != Groups.none }) / Double(max(1, ofSegment.count))
  }
}

extension ExpertRouting {
  /// The experts that take a token, on the average.
  var perToken: Double {
    switch rule {
    case .top(let count): Double(count)
    case .capacity(let capacity): min(capacity, Double(experts))
    }
  }
}
