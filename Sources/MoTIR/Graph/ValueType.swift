/// What the elements of a tensor are.
public enum ElementType: String, Hashable, Sendable, CaseIterable {
  /// IEEE single precision.
  case f32
  /// Signed 32-bit integers: token ids, positions, segment numbers.
  case i32
}

/// How the rows of a token-indexed value are ordered.
public enum RowOrder: String, Hashable, Sendable, CaseIterable {
  /// As the batch holds them: sequence after sequence, position after position.
  case sequence = "T"
  /// As a plan of modalities holds them: segment after segment, stable inside one.
  case grouped = "R"
  /// As a plan of experts holds them: those that the first expert takes, those that the second takes.
  case dispatched = "E"
}

/// The type of an SSA value.
///
/// A token axis is part of the type, so that the verifier can tell an activation from a weight and
/// sequence order from grouped order: an op that takes weights by plan wants grouped rows, attention
/// wants sequence rows, and only `gather` and `scatter` turn one into the other. Only `dispatch` and `combine`
/// lead to the rows of experts and back.
public enum ValueType: Hashable, Sendable {
  /// A tensor without a token axis: a parameter, a parameter's gradient, or a scalar (`[]`).
  case tensor(ElementType, [Int])
  /// `count` rows of `width` elements, one row a token, or one a token and expert that takes it.
  case rows(ElementType, RowOrder, count: Int, width: Int)
  /// A routing plan.
  case plan(PlanLayout)

  /// Returns the type of a plan of modalities, of `tokens` tokens over `segments` segments.
  public static func plan(tokens: Int, segments: Int) -> ValueType {
    .plan(PlanLayout(tokens: tokens, segments: segments))
  }

  /// A scalar of type f32.
  public static let scalar = ValueType.tensor(.f32, [])

  /// The number of elements; for a plan 0.
  public var elementCount: Int {
    switch self {
    case .tensor(_, let shape): shape.reduce(1, *)
    case .rows(_, _, let count, let width): count * width
    case .plan: 0
    }
  }

  /// The element type, or `nil` for a plan.
  public var element: ElementType? {
    switch self {
    case .tensor(let element, _), .rows(let element, _, _, _): element
    case .plan: nil
    }
  }

  /// `true` iff the value is a plan that groups all tokens.
  package var isModalityPlan: Bool {
    if case .plan(let plan) = self { plan.experts == nil } else { false }
  }

  /// `true` iff the value has a token axis.
  public var isRows: Bool {
    if case .rows = self { true } else { false }
  }

  /// The number of elements in a row, or `nil` for a value without a token axis.
  public var width: Int? {
    if case .rows(_, _, _, let width) = self { width } else { nil }
  }

  /// The order of the rows, or `nil` for a value without a token axis.
  public var order: RowOrder? {
    if case .rows(_, let order, _, _) = self { order } else { nil }
  }

  /// Returns this type with its rows in `order`.
  public func reordered(_ order: RowOrder) -> ValueType {
    guard case .rows(let element, _, let count, let width) = self else { return self }
    return .rows(element, order, count: count, width: width)
  }

  /// Returns this type with rows of `width` elements of type f32.
  public func withWidth(_ width: Int) -> ValueType {
    guard case .rows(_, let order, let count, _) = self else { return self }
    return .rows(.f32, order, count: count, width: width)
  }
}

extension ValueType: CustomStringConvertible {
  /// The type as IR text: `f32[2, 64, 32]`, `f32[T=512, 256]`, `plan[512, 2]`, `plan[E=640, 8, 512, 4]`.
  public var description: String {
    switch self {
    case .tensor(let element, let shape):
      "\(element.rawValue)[\(shape.map(String.init).joined(separator: ", "))]"
    case .rows(let element, let order, let count, let width):
      "\(element.rawValue)[\(order.rawValue)=\(count), \(width)]"
    case .plan(let plan):
      if let experts = plan.experts {
        "plan[E=\(plan.rows), \(plan.segments), \(plan.tokens), \(experts)]"
      } else {
        "plan[\(plan.tokens), \(plan.segments)]"
      }
    }
  }
}
