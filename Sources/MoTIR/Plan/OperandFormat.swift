/// What matmul operands are made of.
///
/// Along its depth, the dimension that is summed over, an operand is a row of *units* of 32 bits, which one lane
/// of a multiply-add takes.
public enum OperandFormat: String, Hashable, Sendable, CaseIterable {
  /// A unit is one f32.
  case f32
  /// A unit is two neighbours in depth, rounded to bf16.
  case bf16
  /// The same for a matrix unit: the left operand in tiles of 16 rows of 16 units, one after the other.
  case bf16Tiles = "bf16-tiles"
  /// Each f32 is the exact sum of three bf16, its *terms*: a matrix unit for bf16 multiplies f32.
  ///
  /// Of the nine products of two numbers' terms, the six largest are added up in f32. What the other three would
  /// add is at most 2⁻²³ of the product, and on average much less than an f32 product loses by rounding. Tiles
  /// are as those of bf16: of the first term for a band of depth, then of the second, then of the third. An
  /// infinity gives NaN, because what is left of it beside its first term is ∞ − ∞, and so do the largest finite
  /// numbers, whose nearest bf16 is one.
  case splitF32 = "split-f32"
}

extension OperandFormat {
  /// `true` iff a matrix unit multiplies.
  package var isTiled: Bool { self == .bf16Tiles || self == .splitF32 }

  /// `true` iff numbers are rounded to bf16.
  package var isRounded: Bool { self == .bf16 || self == .bf16Tiles }

  /// Elements of a unit.
  package var depth: Int { self == .f32 ? 1 : 2 }

  /// Terms of an element.
  package var terms: Int { self == .splitF32 ? 3 : 1 }

  /// Products of terms that make up a product.
  package var products: Int { self == .splitF32 ? 6 : 1 }

  /// Elements of depth that an instruction of the matrix unit takes. Sums over rows are padded to whole bands
  /// with zeros.
  package var band: Int { self == .f32 ? 1 : 32 }

  /// Units of a band.
  package var bandUnits: Int { units(band) }

  /// Returns the units of `deep` elements of depth.
  package func units(_ deep: Int) -> Int {
    switch self {
    case .f32: deep
    case .bf16: (deep + 1) / 2
    case .bf16Tiles, .splitF32: (deep + band - 1) / band * (band / depth * terms)
    }
  }

  /// Returns `rows` rounded up to whole bands, once for each of `parts` parts.
  private func banded(_ rows: Int, parts: Int) -> Int {
    (rows + (band - 1) * parts + band - 1) / band * band
  }

  /// Returns the units of depth that outer products over `rows` rows in `parts` parts have, in whole bands.
  package func outerUnits(rows: Int, parts: Int) -> Int { units(banded(rows, parts: parts)) }

  /// Returns the bytes in which `rows` rows of `width` columns in whole panels are laid out for outer products,
  /// each of `parts` parts in whole bands.
  package func outerBytes(rows: Int, width: Int, parts: Int) -> Int {
    4 * width * outerUnits(rows: rows, parts: parts)
  }
}

/// The side of an outer product over rows on which an operand stands: dy on the left, x on the right.
public enum OuterSide: String, Hashable, Sendable {
  case left, right
}
