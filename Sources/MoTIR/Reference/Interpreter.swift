/// Evaluates graphs node after node in double precision: the definition of every op.
public enum Interpreter {
  /// Returns the outputs of `graph`, by name.
  ///
  /// - Parameter inputs: the inputs by name, in sequence order also where the graph takes them by plan.
  ///   An input that is a plan may be left out if the rows `modality` are there.
  /// - Parameter parameters: the elements of each parameter, by name.
  /// - Throws: `Diagnostics` if an input or parameter is missing or misshapen, or holds a token id,
  ///   target or position that is out of range.
  public static func run(
    _ graph: Graph, inputs: [String: ReferenceValue], parameters: [String: [Double]]
  ) throws(Diagnostics) -> [String: ReferenceValue] {
    var values: [ReferenceValue] = []
    values.reserveCapacity(graph.values.count)
    for node in graph.nodes {
      let types = node.results.map { graph.type(of: $0) }
      let evaluation = Evaluation(
        op: node.op, operands: node.operands.map { values[$0.index] }, types: types,
        location: node.location, inputs: inputs, parameters: parameters)
      do throws(Diagnostic) {
        for (contents, type) in zip(try evaluation.results(), types) {
          values.append(ReferenceValue(contents, type: type))
        }
      } catch {
        throw Diagnostics([error])
      }
    }
    let outputs = graph.outputs.map { ($0.name, values[$0.value.index]) }
    return Dictionary(outputs, uniquingKeysWith: { first, _ in first })
  }
}

/// One node with the values of its operands.
struct Evaluation {
  let op: Op
  let operands: [ReferenceValue]
  /// The types of the results.
  let types: [ValueType]
  let location: Location?
  let inputs: [String: ReferenceValue]
  let parameters: [String: [Double]]

  /// Returns the numbers of operand `index`.
  func numbers(_ index: Int) -> [Double] { operands[index].numbers }

  /// Returns the integers of operand `index`.
  func integers(_ index: Int) -> [Int32] { operands[index].integers }

  /// Returns the width of the rows of operand `index`.
  func width(_ index: Int) -> Int { operands[index].type.width ?? 0 }

  /// Returns the number of rows of operand `index`.
  func rows(_ index: Int) -> Int {
    if case .rows(_, _, let count, _) = operands[index].type { count } else { 0 }
  }

  /// Returns the shape of operand `index`, which has no token axis.
  func shape(_ index: Int) -> [Int] {
    if case .tensor(_, let shape) = operands[index].type { shape } else { [] }
  }

  /// Returns zeros for each element of result `index`.
  func zeros(_ index: Int = 0) -> [Double] {
    [Double](repeating: 0, count: types[index].elementCount)
  }

  /// Returns an error of this node.
  func error(_ message: String, suggestion: String? = nil) -> Diagnostic {
    Diagnostic("\(op.mnemonic): \(message)", at: location, suggestion: suggestion)
  }

  /// Rows that share one weight.
  struct Block {
    let rows: Range<Int>
    let group: Int
  }

  /// Returns the blocks of rows of a node with this map of groups: a block a segment, or one for all rows.
  ///
  /// Rows of no segment, or of one without a group, are in no block.
  func blocks(_ groups: Groups?) -> [Block] {
    guard let groups else { return [Block(rows: 0..<rows(0), group: 0)] }
    guard let plan = operands.last?.plan else { return [] }
    return groups.ofSegment.enumerated().compactMap { segment, group in
      group == Groups.none ? nil : Block(rows: plan.range(of: segment), group: group)
    }
  }

  /// Returns the number of operands that are not the plan.
  func unrouted(_ groups: Groups?) -> Int { operands.count - (groups == nil ? 0 : 1) }
}
