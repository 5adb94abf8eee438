/// A value as the interpreter holds it: all numbers in double precision, row after row.
public struct ReferenceValue: Hashable, Sendable {
  /// The elements of a value.
  public enum Contents: Hashable, Sendable {
    /// Elements of type f32, with the precision of a Double.
    case numbers([Double])
    /// Elements of type i32.
    case integers([Int32])
    /// A routing plan.
    case plan(RoutingPlan)
  }

  /// The type.
  public let type: ValueType
  /// The elements; as many as the type says.
  public let contents: Contents

  /// Creates a value.
  public init(_ contents: Contents, type: ValueType) {
    self.contents = contents
    self.type = type
  }

  /// Creates a value of element type f32.
  public init(_ numbers: [Double], type: ValueType) { self.init(.numbers(numbers), type: type) }

  /// Creates a value of element type i32, one element a token, in sequence order.
  public init(tokens integers: [Int32]) {
    self.init(
      .integers(integers), type: .rows(.i32, .sequence, count: integers.count, width: 1))
  }

  /// Creates a value that is a plan.
  public init(_ plan: RoutingPlan) {
    self.init(.plan(plan), type: .plan(tokens: plan.rows.count, segments: plan.segments))
  }

  /// The elements of a value of element type f32; empty for any other.
  public var numbers: [Double] {
    if case .numbers(let numbers) = contents { numbers } else { [] }
  }

  /// The elements of a value of element type i32; empty for any other.
  public var integers: [Int32] {
    if case .integers(let integers) = contents { integers } else { [] }
  }

  /// The plan, or `nil` for a value of any other type.
  public var plan: RoutingPlan? {
    if case .plan(let plan) = contents { plan } else { nil }
  }

  /// `true` iff the elements are of the kind and number that the type says.
  var isConsistent: Bool {
    switch (contents, type) {
    case (.numbers(let numbers), _):
      type.element == .f32 && numbers.count == type.elementCount
    case (.integers(let integers), _):
      type.element == .i32 && integers.count == type.elementCount
    case (.plan(let plan), .plan(let layout)):
      plan.rows.count == layout.rows && plan.segments == layout.segments
        && plan.slots.count == layout.tokens * layout.slotsOfToken
    case (.plan, _): false
    }
  }
}
