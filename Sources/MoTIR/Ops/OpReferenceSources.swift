// The meaning of sources and of routing.

extension Evaluation {
  /// Returns the input `name`; by plan, row p is the token that the plan puts at p.
  func input(_ name: String) throws(Diagnostic) -> ReferenceValue.Contents {
    let plan = operands.first?.plan
    let wanted = plan == nil ? types[0] : types[0].reordered(.sequence)
    guard let value = inputs[name] ?? derivedPlan(wanted) else {
      throw error("the input \(name) is missing", suggestion: "give it as \(wanted)")
    }
    guard value.type == wanted, value.isConsistent else {
      throw error("the input \(name) is \(value.type), and the graph wants \(wanted)")
    }
    guard let plan else { return value.contents }
    return permuted(value, from: plan.rows)
  }

  /// Returns the plan of the input `modality`, if `type` is a plan and that input is there.
  private func derivedPlan(_ type: ValueType) -> ReferenceValue? {
    guard case .plan(let plan) = type, plan.experts == nil, let modality = inputs["modality"],
      modality.isConsistent, modality.type.element == .i32
    else { return nil }
    return ReferenceValue(RoutingPlan(modality: modality.integers, segments: plan.segments))
  }

  /// Returns the parameter `name`.
  func parameter(_ name: String) throws(Diagnostic) -> ReferenceValue.Contents {
    guard let elements = parameters[name] else { throw error("the parameter \(name) is missing") }
    guard elements.count == types[0].elementCount else {
      throw error(
        "the parameter \(name) has \(elements.count) elements, and the graph wants \(types[0])")
    }
    return .numbers(elements)
  }

  /// Returns `number` in every element.
  func constant(_ number: Double) -> ReferenceValue.Contents {
    .numbers([Double](repeating: number, count: types[0].elementCount))
  }

  /// Returns the plan of the tokens' modalities.
  func route(_ segments: Int) -> ReferenceValue.Contents {
    .plan(RoutingPlan(modality: integers(0), segments: segments))
  }

  /// y[p] = x[rows[p]]
  func gather() -> ReferenceValue.Contents {
    permuted(operands[0], from: operands[1].plan?.rows ?? [])
  }

  /// y[t] = x[slots[t]]
  func scatter() -> ReferenceValue.Contents {
    permuted(operands[0], from: operands[1].plan?.slots ?? [])
  }

  /// Returns the rows of `value` in the order `order`.
  private func permuted(_ value: ReferenceValue, from order: [Int32]) -> ReferenceValue.Contents {
    let width = value.type.width ?? 0
    switch value.contents {
    case .numbers(let numbers):
      return .numbers(order.flatMap { numbers[(Int($0) * width)..<((Int($0) + 1) * width)] })
    case .integers(let integers):
      return .integers(order.flatMap { integers[(Int($0) * width)..<((Int($0) + 1) * width)] })
    case .plan: return value.contents
    }
  }
}
