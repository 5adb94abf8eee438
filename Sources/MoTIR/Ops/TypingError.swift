/// Operands that do not fit an op.
public struct TypingError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The rule and the values that broke it.
  public let description: String

  /// Creates an error.
  public init(_ description: String) { self.description = description }
}
