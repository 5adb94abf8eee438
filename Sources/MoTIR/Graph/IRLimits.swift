/// Bounds on what a module may hold, so that work on a file of unknown origin is bounded and no size
/// overflows.
///
/// The parser refuses what is beyond them before it computes with it; the verifier refuses the same
/// in a module that was built in memory, so that every verified module has a text that parses.
package enum IRLimits {
  /// Elements of one value, and any integer attribute.
  package static let elements = 1 << 40
  /// Elements of all parameters together, and of all values of one function.
  package static let allElements = 1 << 50
  /// Dimensions of one tensor.
  package static let rank = 8
  /// Segments of one plan, groups of one op, and token ranges of one op.
  package static let segments = 64
  /// Tokens of one batch and ids of one vocabulary: both are stored as i32.
  package static let tokens = Int(Int32.max)
  /// Modalities of one model.
  package static let modalities = 8
  /// Bytes of one name or path.
  package static let nameBytes = 4_096
  /// Bytes of one IR text.
  package static let textBytes = 256 << 20
  /// Errors that one parse reports.
  package static let errors = 20
}

extension ValueType {
  /// What makes this type illegal in a module, or `nil` if it is legal.
  ///
  /// A legal type has dimensions of at least 1 and at most `IRLimits.elements` elements, so that
  /// `elementCount` cannot overflow.
  package var violation: String? {
    switch self {
    case .tensor(_, let shape):
      if shape.count > IRLimits.rank {
        return "a tensor of \(shape.count) dimensions, and at most \(IRLimits.rank) are allowed"
      }
      return Self.violation(of: shape)
    case .rows(_, _, let count, let width):
      return Self.violation(ofTokens: count) ?? Self.violation(of: [count, width])
    case .plan(let plan):
      if !(1...IRLimits.segments).contains(plan.segments) {
        return "a plan of \(plan.segments) segments, and 1 to \(IRLimits.segments) are allowed"
      }
      if let experts = plan.experts, experts < 1 || !plan.segments.isMultiple(of: experts) {
        return "a plan of \(plan.segments) segments of \(experts) experts each"
      }
      return Self.violation(ofTokens: plan.tokens) ?? Self.violation(ofTokens: plan.rows)
    }
  }

  private static func violation(ofTokens count: Int) -> String? {
    guard (1...IRLimits.tokens).contains(count) else {
      return "\(count) tokens, and 1 to \(IRLimits.tokens) are allowed"
    }
    return nil
  }

  private static func violation(of shape: [Int]) -> String? {
    var product = 1
    for dimension in shape {
      guard dimension >= 1 else { return "a dimension of \(dimension), and at least 1 is allowed" }
      let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
      guard !overflow, next <= IRLimits.elements else {
        return "a value of more than \(IRLimits.elements) elements"
      }
      product = next
    }
    return nil
  }
}
