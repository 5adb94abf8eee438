package import MoTIR

// What rows cost, so that threads share the work and not the rows: segments differ where towers do.
extension BlockProgram {
  /// What a row of each segment costs, the rows of no segment last, relative to each other and at least 1.
  package var rowCosts: [Int] {
    (0...(plan?.segments ?? 0)).map { segment in
      max(1, steps.reduce(0) { $0 + cost(of: $1, in: segment) })
    }
  }

  /// Returns the multiplications of a row, where an element that a step leaves counts as many: what a core multiplies
  /// while it computes an element and has it written.
  private func cost(of step: Step, in segment: Int) -> Int {
    guard step.isDone(in: segment) else { return 0 }
    let elements = 64 * step.results.reduce(0) { $0 + values[$1].width }
    guard step.op.traits.contains(.matmul), step.reads(in: segment) else { return elements }
    let inner = values[step.operands[0]].width
    switch step.op {
    case .linear: return elements + inner * step.results.reduce(0) { $0 + values[$1].width }
    default:
      let rows = stride(from: 0, to: step.operands.count, by: 2).map { values[step.operands[$0]] }
      return elements + values[step.results[0]].width * rows.reduce(0) { $0 + $1.width }
    }
  }
}
