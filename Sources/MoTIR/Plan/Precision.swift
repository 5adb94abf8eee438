/// How precisely matmul operands are held.
public enum Precision: String, Hashable, Sendable, CaseIterable {
  case f32
  /// Operands rounded to bf16, sums in f32.
  case bf16
}
