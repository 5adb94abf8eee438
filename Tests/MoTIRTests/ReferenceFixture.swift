import MoTIR

/// A graph with its inputs, for a test that states both and the expected numbers.
struct ReferenceFixture {
  var graph = Graph()
  var inputs: [String: ReferenceValue] = [:]
  var parameters: [String: [Double]] = [:]
  private var plan: ValueID?

  /// Creates a graph; with `modality` ids it has a plan.
  init(modality: [Int32]? = nil, segments: Int = 2) throws {
    guard let modality else { return }
    inputs["modality"] = ReferenceValue(tokens: modality)
    let type = ValueType.plan(tokens: modality.count, segments: segments)
    plan = try graph.add(.input("plan"), [], type: type)
  }

  /// Returns rows of numbers, given in sequence order; in grouped order if there is a plan.
  mutating func rows(_ numbers: [[Double]]) throws -> ValueID {
    let type = ValueType.rows(.f32, .sequence, count: numbers.count, width: numbers[0].count)
    return try input(ReferenceValue(numbers.flatMap { $0 }, type: type))
  }

  /// Returns one integer a row, given in sequence order; in grouped order if there is a plan.
  mutating func integers(_ integers: [Int32]) throws -> ValueID {
    try input(ReferenceValue(tokens: integers))
  }

  private mutating func input(_ value: ReferenceValue) throws -> ValueID {
    let name = "input\(inputs.count)"
    inputs[name] = value
    let type = plan == nil ? value.type : value.type.reordered(.grouped)
    return try graph.add(.input(name), plan.map { [$0] } ?? [], type: type)
  }

  /// Returns a parameter.
  mutating func weight(_ shape: [Int], _ elements: [Double]) throws -> ValueID {
    let name = "weight\(parameters.count)"
    parameters[name] = elements
    return try graph.add(.parameter(name), [], type: .tensor(.f32, shape))
  }

  /// Returns the numbers of each result of `op`, in sequence order where it has rows by plan.
  mutating func results(_ op: Op, _ operands: [ValueID]) throws -> [[Double]] {
    let routed = op.groups == nil ? [] : plan.map { [$0] } ?? []
    let results = try graph.append(op, operands + routed)
    for (index, result) in results.enumerated() {
      var value = result
      if let plan, graph.type(of: result).order == .grouped {
        value = try graph.add(.scatter, [result, plan])
      }
      graph.output(value, as: "\(index)")
    }
    let outputs = try Interpreter.run(graph, inputs: inputs, parameters: parameters)
    return results.indices.compactMap { outputs["\($0)"]?.numbers }
  }

  /// Returns the numbers of the only result of `op`.
  mutating func result(_ op: Op, _ operands: [ValueID]) throws -> [Double] {
    try results(op, operands)[0]
  }
}

/// `true` iff all elements agree to twelve digits.
func close(_ a: [Double], _ b: [Double]) -> Bool {
  a.count == b.count
    && zip(a, b).allSatisfy { $0 == $1 || abs($0 - $1) <= 1e-12 * max(1, abs($1)) }
}
