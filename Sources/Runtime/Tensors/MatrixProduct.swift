internal import COpenBLAS

/// Returns the matrix product `left · right`, or `left · rightᵀ`. [rows, columns]
///
/// One thread computes it: the order of sums, and with it every bit, does not depend on their number.
///
/// - Parameters:
///   - left: `[rows, inner]`.
///   - right: `[inner, columns]`, or `[columns, inner]` if it is transposed.
///   - rows: the rows of `left`.
///   - inner: what is summed over.
///   - isTransposed: `true` iff `right` is transposed.
func matrixProduct(
  _ left: ArraySlice<Float>, _ right: [Float], rows: Int, inner: Int,
  transposed isTransposed: Bool = false
) -> [Float] {
  precondition(inner > 0 && left.count == rows * inner, "rows are not whole")
  let columns = right.count / inner
  openblas_set_num_threads(1)
  return [Float](unsafeUninitializedCapacity: rows * columns) { result, initialized in
    left.withUnsafeBufferPointer { left in
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, isTransposed ? CblasTrans : CblasNoTrans, blasint(rows),
        blasint(columns), blasint(inner), 1, left.baseAddress, blasint(inner), right,
        blasint(isTransposed ? inner : columns), 0, result.baseAddress, blasint(columns))
    }
    initialized = rows * columns
  }
}
