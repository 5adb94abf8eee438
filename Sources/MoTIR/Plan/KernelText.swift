// A kernel's definition as text: all of its shape, each kernel once.

extension Kernel {
  /// Returns the definition under `name`.
  func lines(name: String) -> [String] {
    guard case .block(let program) = self else {
      let shape = shapeText
      return ["kernel \(name)\(shape.isEmpty ? "" : " : \(shape)")"]
    }
    return ["kernel \(name) : \(program.headText)"] + program.valueLines + program.stepLines
  }

  /// The shape of a kernel that is no block program.
  private var shapeText: String {
    switch self {
    case .block, .sync, .round, .accumulate, .squaredNorm, .clip, .adamW, .adamWPacked,
      .packForward,
      .packBackward:
      ""
    case .columnSum(let sum):
      "rows \(sum.rows) grain \(sum.grain) width \(sum.width) parts \(sum.parts) "
        + "segments \(sum.segments)" + (sum.groups.map { " groups \($0.text)" } ?? "")
    case .weightGradient(let shape, let laidOut):
      "rows \(shape.rows) input \(shape.input) outputs \(shape.outputs)\(shape.routing.text)"
        + (laidOut.isEmpty ? "" : " laid_out \(laidOut.sorted())")
    case .fewRowLinear(let shape), .blasLinear(let shape), .blasInputGradient(let shape),
      .blasWeightGradient(let shape):
      "rows \(shape.rows) input \(shape.input) outputs \(shape.outputs)\(shape.routing.text)"
    case .attention(let shape): shape.text(of: .attention(shape.attention))
    case .attentionGradient(let shape): shape.text(of: .attentionGradient(shape.attention))
    case .cacheStore(let shape), .cachedAttention(let shape): shape.text
    case .embedGradient(let rows, let vocabulary, let width):
      "rows \(rows) vocabulary \(vocabulary) width \(width)"
    case .sum(let count): "count \(count)"
    case .tokenWeights(let rows, let ranges, _):
      "rows \(rows) ranges [\(ranges.map(rangeText).joined(separator: ", "))]"
    case .headLoss(let shape):
      "rows \(shape.rows) width \(shape.width) vocabulary \(shape.vocabulary) chunk \(shape.chunk)"
        + (shape.hasGradient ? " gradient" : "")
    case .routeExperts(let shape): shape.text
    case .combine(let plan, let width): "\(plan.text) width \(width)"
    case .gates(let plan), .gatesGradient(let plan), .balance(let plan, _): plan.text
    case .route(let rows, let segments): "rows \(rows) segments \(segments)"
    }
  }
}

extension ExpertRoutingShape {
  fileprivate var text: String {
    let attributes = Op.routeExperts(routing, groups).syntax.attributes.map(\.text)
    return ([layout.text] + attributes).joined(separator: " ")
  }
}

extension PlanLayout {
  fileprivate var text: String { "rows \(rows) segments \(segments)\(expertText)" }

  /// What a plan of experts has besides rows and segments.
  fileprivate var expertText: String {
    experts.map { " of \($0) experts for \(tokens) tokens" } ?? ""
  }
}

extension KernelRouting? {
  fileprivate var text: String {
    map { routing in
      " segments \(routing.segments) groups \(routing.groups.text)"
        + (routing.experts.map { " experts \($0)" } ?? "")
    } ?? ""
  }
}

extension AttentionShape {
  fileprivate func text(of op: Op) -> String {
    let syntax = op.syntax
    return
      (["sequence \(sequence)", "head_width \(headWidth)"] + syntax.attributes.map(\.text)
      + syntax.labels)
      .joined(separator: " ")
  }
}

extension CachedAttentionShape {
  fileprivate var text: String {
    (["sequence \(sequence)", "head_width \(headWidth)", "capacity \(capacity)"]
      + Op.cachedAttention(attention).syntax.attributes.map(\.text)).joined(separator: " ")
  }
}

extension BlockProgram {
  /// Rows, rows of a block and of a grain, and the plan.
  fileprivate var headText: String {
    "rows \(rows) in blocks of \(blockRows) by \(grain)"
      + (plan.map { ", plan a\($0.argument) of \($0.segments) segments\($0.layout.expertText)" }
        ?? "")
  }

  /// The values that no step computes: arguments by their numbers and row accesses.
  fileprivate var valueLines: [String] {
    values.indices.flatMap { index -> [String] in
      let value = values[index]
      let source: String
      switch value.source {
      case .rows(let argument, let access): source = "rows a\(argument)\(access.text)"
      case .weight(let argument): source = "weight a\(argument)"
      case .scalar(let argument): source = "scalar a\(argument)"
      case .constant(let number): source = "constant \(number)"
      case .step: return []
      }
      return ["  \(resultText(index)) = \(source)"] + storeLines([index])
    }
  }

  /// One line a step, as a node is written in IR text.
  fileprivate var stepLines: [String] {
    steps.flatMap { step in
      let results = step.results.map(resultText).joined(separator: ", ")
      return ["  \(results) = \(text(of: step))"] + storeLines(step.results)
    }
  }

  private func text(of step: Step) -> String {
    // The plan is no operand of a step.
    let syntax = step.op.syntax
    let labels = syntax.labels.filter { $0 != "by" }
    let names = step.operands.map { "%\($0)" }
    let labelled = min(labels.count, names.count)
    var parts = [step.op.mnemonic]
    if let literal = syntax.literal { parts.append(literal.text) }
    if labelled < names.count { parts.append(names.dropLast(labelled).joined(separator: ", ")) }
    for (label, name) in zip(labels, names.suffix(labelled)) { parts.append("\(label) \(name)") }
    parts += syntax.attributes.map(\.text)
    if let segments = step.segments { parts.append("only \(segments)") }
    return parts.joined(separator: " ")
  }

  private func resultText(_ index: Int) -> String {
    guard values.indices.contains(index) else { return "%\(index)" }
    return "%\(index) : \(values[index].element.rawValue)[\(values[index].width)]"
  }

  /// The lines that say where `results` are kept.
  private func storeLines(_ results: [Int]) -> [String] {
    results.filter(values.indices.contains).flatMap { index in
      let rows = values[index].store.map { "  a\($0.argument)\($0.access.text) = %\(index)" }
      let outer = values[index].outer.map { "  a\($0.argument)[\($0.side)] = %\(index)" }
      return [rows, outer].compactMap { $0 }
    }
  }
}

extension BlockProgram.RowAccess {
  /// `[r]`, or `[plan r]` for the row that the plan says.
  fileprivate var text: String {
    switch self {
    case .identity: "[r]"
    case .routed: "[plan r]"
    }
  }
}
