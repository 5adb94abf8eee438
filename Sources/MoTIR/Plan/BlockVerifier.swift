// The invariants of a block program:
// 1. There are rows, whole grains in a block, and values at least 1 wide.
// 2. Steps read values that are there: sources, or results of steps before. A step's results are values
//    that no other step defines; every value without a source is one. Partial column sums are not read.
// 3. Weights are where ops take weights, and nowhere else.
// 4. There is a plan, with a segment for each of an op's, if an op is routed or a row access is.
// 5. Every argument is used, and one that is written is written once and not read.
// 6. What is laid out for outer products is a step's result, and no sum over rows.
// 7. A step that is done for some segments names those that are there, in order; it reads what steps are done for
//    there, and scatters nothing. That other kernels read nothing else of its results is not known here.
// 8. Steps are row by row ops or matmuls, and type as the ops do in a graph.

extension BlockProgram {
  /// What is wrong with the program; nothing if it is sound.
  var violations: [String] {
    guard rows >= 1, grain >= 1, blockRows >= 1, blockRows.isMultiple(of: grain),
      rows <= IRLimits.tokens
    else {
      return ["\(rows) rows in blocks of \(blockRows) by \(grain)"]
    }
    guard values.allSatisfy({ $0.width >= 1 && $0.width <= IRLimits.elements }) else {
      return ["a value without elements"]
    }
    let unknown = unknownValueViolations
    guard unknown.isEmpty else { return unknown }
    let found = orderViolations + planViolations + segmentViolations + argumentViolations
    return found.isEmpty ? steps.flatMap(violations) : found
  }

  // MARK: Order

  /// What names a value that is not there: nothing else can be asked of such a program.
  private var unknownValueViolations: [String] {
    steps.enumerated().flatMap { number, step in
      (step.operands + step.results).filter { !values.indices.contains($0) }
        .map { "step \(number) names %\($0), which is not there" }
    }
  }

  private var orderViolations: [String] {
    var found: [String] = []
    var isDefined = values.map { $0.source != .step }
    var sums: Set<Int> = []
    for (number, step) in steps.enumerated() {
      for value in step.operands where !isDefined[value] || sums.contains(value) {
        found.append("step \(number) reads %\(value) before it is computed")
      }
      for value in step.results {
        if isDefined[value] { found.append("%\(value) is defined twice") }
        isDefined[value] = true
        if case .columnSum = step.op { sums.insert(value) }
      }
    }
    found += values.indices.filter { values[$0].outer != nil }
      .filter { values[$0].source != .step || sums.contains($0) }
      .map { "%\($0) is laid out, and no row of a step" }
    found += isDefined.indices.filter { !isDefined[$0] }.map { "nothing computes %\($0)" }
    return found
  }

  // MARK: Plan and arguments

  private var planViolations: [String] {
    let routed = values.contains { value in
      if case .rows(_, .routed) = value.source { return true }
      return value.store?.access == .routed
    }
    let groups = steps.compactMap(\.op.groups)
    guard let plan else { return routed || !groups.isEmpty ? ["routed rows without a plan"] : [] }
    if plan.segments < 1 { return ["a plan of \(plan.segments) segments"] }
    if plan.layout.rows != rows { return ["a plan of \(plan.layout.rows) rows for \(rows)"] }
    return groups.filter { $0.ofSegment.count != plan.segments || !$0.isSound }
      .map { "groups \($0.text) for \(plan.segments) segments" }
  }

  private var segmentViolations: [String] {
    let last = max(0, plan?.segments ?? 0)
    var found: [String] = []
    var producer: [Int: Step] = [:]
    for (number, step) in steps.enumerated() {
      if let segments = step.segments {
        let known = plan == nil ? 0..<0 : 0..<(last + 1)
        if plan == nil || !segments.allSatisfy(known.contains) || segments != Set(segments).sorted()
        {
          found.append("step \(number) is done for \(segments) of \(known.count) segments")
        }
        for value in step.results where values[value].store?.access == .routed {
          found.append("step \(number) scatters %\(value), but not of all segments")
        }
      }
      for value in step.operands {
        for segment in 0...last
        where step.reads(in: segment) && producer[value]?.isDone(in: segment) == false {
          found.append(
            "step \(number) reads %\(value) in segment \(segment), where nothing computes it")
        }
      }
      for value in step.results { producer[value] = step }
    }
    return found
  }

  private var argumentViolations: [String] {
    var reads: Set<Int> = []
    var writes: Set<Int> = []
    var found: [String] = []
    if let plan { reads.insert(plan.argument) }
    for value in values {
      switch value.source {
      case .rows(let argument, _), .weight(let argument), .scalar(let argument):
        reads.insert(argument)
      case .constant, .step: break
      }
      for argument in [value.store?.argument, value.outer?.argument].compactMap({ $0 })
      where !writes.insert(argument).inserted {
        found.append("a\(argument) is written twice")
      }
    }
    found += writes.intersection(reads).sorted().map { "a\($0) is read and written" }
    let used = writes.union(reads)
    if used != Set(0..<used.count) { found.append("the arguments are \(used.sorted())") }
    return found
  }

  // MARK: Steps

  private func violations(of step: Step) -> [String] {
    guard step.op.isBlockStep else { return ["\(step.op.mnemonic) is no step of a block"] }
    var weights = step.op.weightPositions(step.operands.count)
    if case .rotary = step.op { weights.append(2) }
    for (position, operand) in step.operands.enumerated() {
      let isWeight = if case .weight = values[operand].source { true } else { false }
      if isWeight != weights.contains(position) {
        return ["%\(operand) is \(isWeight ? "a" : "no") weight for \(step.op.mnemonic)"]
      }
    }
    if step.op == .scatter || step.op == .gather || step.op == .dispatch {
      let fits = step.operands.count == 1 && step.results.count == 1
      return fits
        ? widthViolations(step, [values[step.operands[0]].width])
        : ["a \(step.op.mnemonic) of \(step.operands.count) rows"]
    }
    do {
      let types = try step.op.resultTypes(operandTypes(of: step))
      return widthViolations(step, types.map { $0.width ?? $0.elementCount })
    } catch { return [error.description] }
  }

  private func widthViolations(_ step: Step, _ widths: [Int]) -> [String] {
    let found = step.results.map { values[$0].width }
    return found == widths ? [] : ["\(step.op.mnemonic) gives \(widths), and not \(found)"]
  }

  /// Returns the types that the step's operands have in a graph.
  private func operandTypes(of step: Step) -> [ValueType] {
    let weights = step.op.weightPositions(step.operands.count)
    var types = step.operands.enumerated().map { position, operand in
      weights.contains(position)
        ? weightType(operand, at: position, of: step)
        : rowType(operand, at: position, of: step)
    }
    if case .rotary = step.op { types = Array(types.prefix(2)) }
    if step.op.groups != nil, let plan {
      types.append(.plan(plan.layout))
    }
    return types
  }

  /// One number for all rows is a scalar where ops take one, and a row of width 1 elsewhere.
  private func rowType(_ index: Int, at position: Int, of step: Step) -> ValueType {
    let value = values[index]
    let isOne =
      switch value.source {
      case .scalar: true
      case .constant: value.width == 1
      case .rows, .weight, .step: false
      }
    if isOne, position == 1, case .binary = step.op { return .scalar }
    let order = step.op.groups == nil ? .sequence : plan?.layout.order ?? .grouped
    return .rows(value.element, order, count: rows, width: value.width)
  }

  /// A packed matrix has no shape of its own: it takes the one that the rows ask for.
  private func weightType(_ index: Int, at position: Int, of step: Step) -> ValueType {
    let groups = step.op.groups.map { [$0.count] } ?? []
    func width(_ values: [Int], _ index: Int) -> Int {
      index < values.count ? self.values[values[index]].width : 1
    }
    switch step.op {
    case .linear:
      let output = width(step.results, position - 1)
      return .tensor(.f32, groups + [output, width(step.operands, 0)])
    case .linearInputGradient:
      let output = width(step.operands, position - 1)
      return .tensor(.f32, groups + [output, width(step.results, 0)])
    case .embed:
      let wide = width(step.results, 0)
      return .tensor(.f32, [values[index].width / wide, wide])
    case .input, .parameter, .constant, .route, .sync, .gather, .scatter, .routeExperts, .dispatch,
      .combine, .gates, .gatesGradient, .balance, .logSumExponentials, .linearWeightGradient, .norm,
      .normGradient, .channelMultiply, .channelAdd, .columnSum, .rotary, .attention,
      .attentionGradient, .cachedAttention, .unary, .binary, .rowSum, .sum, .embedGradient,
      .crossEntropy,
      .crossEntropyGradient, .tokenWeights, .headLoss, .headLossGradient:
      return .tensor(.f32, groups + [values[index].width])
    }
  }
}

extension Op {
  /// `true` iff the op may be a step of a block program.
  fileprivate var isBlockStep: Bool {
    switch self {
    case .linear, .linearInputGradient, .norm, .normGradient, .channelMultiply, .channelAdd,
      .columnSum, .rotary, .unary, .binary, .rowSum, .embed, .crossEntropy, .crossEntropyGradient,
      .gather, .scatter, .dispatch, .logSumExponentials:
      true
    case .input, .parameter, .constant, .route, .sync, .routeExperts, .combine, .gates,
      .gatesGradient, .balance, .linearWeightGradient, .attention, .attentionGradient,
      .cachedAttention, .sum, .embedGradient, .tokenWeights, .headLoss,
      .headLossGradient:
      false
    }
  }
}
