/// How precisely matmul operands are held.
public enum Precision: String, Hashable, Sendable, CaseIterable {
  case f32
  /// Operands rounded to bf16, sums in f32.
  case bf16
}

extension Precision {
  /// Bytes of one matmul operand element.
  package var bytes: Int { self == .f32 ? 4 : 2 }

  /// Elements of inner dimension that one multiply-add instruction takes together.
  package var depth: Int { self == .f32 ? 1 : 2 }

  /// Rows to whose multiples sums over rows are padded with zeros: the depth of a matrix unit's instruction.
  package var band: Int { self == .f32 ? 1 : 32 }

  /// Returns `rows` rounded up to whole bands, once for each of `parts` parts.
  package func banded(_ rows: Int, parts: Int) -> Int {
    (rows + (band - 1) * parts + band - 1) / band * band
  }

  /// Returns the bytes in which `rows` rows of `width` columns in whole panels are laid out for outer products,
  /// each of `parts` parts in whole bands.
  package func outerBytes(rows: Int, width: Int, parts: Int) -> Int {
    panelElements(wide: width, deep: banded(rows, parts: parts)) * bytes
  }

  /// Returns the elements of a packed operand, `deep` rounded up to whole instructions.
  package func panelElements(wide: Int, deep: Int) -> Int {
    wide * ((deep + depth - 1) / depth * depth)
  }
}

/// The side of an outer product over rows on which an operand stands: dy on the left, x on the right.
public enum OuterSide: String, Hashable, Sendable {
  case left, right
}
