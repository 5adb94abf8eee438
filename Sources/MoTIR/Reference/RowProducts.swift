// Sums of products over rows. They take nearly all the time of an evaluation; with pointers, which an
// array turns into at a call, they are fast enough without optimisation too.

/// Returns Σ a[i + k] · b[j + k] over k in `0..<count`.
///
/// - Requires: both ranges are inside their arrays.
func dot(
  _ a: UnsafePointer<Double>, _ i: Int, _ b: UnsafePointer<Double>, _ j: Int, count: Int
) -> Double {
  let (x, y) = (a + i, b + j)
  var sum = 0.0
  var k = 0
  while k < count {
    sum += x[k] * y[k]
    k += 1
  }
  return sum
}

/// Adds `factor` · a[i + k] to b[j + k] for k in `0..<count`.
///
/// - Requires: both ranges are inside their arrays.
func addScaled(
  _ factor: Double, _ a: UnsafePointer<Double>, _ i: Int,
  to b: UnsafeMutablePointer<Double>, _ j: Int, count: Int
) {
  let (x, y) = (a + i, b + j)
  var k = 0
  while k < count {
    y[k] += factor * x[k]
    k += 1
  }
}

/// The three products of a linear map y = x wᵀ over some rows; x is `width` and y `outputs` wide, w is
/// [`outputs`, `width`] and starts at element `offset` of its array.
struct LinearMap {
  let rows: Range<Int>
  let width: Int
  let outputs: Int
  let offset: Int

  /// y[r, n] = Σ_d x[r, d] w[n, d]
  func forward(_ x: [Double], _ w: [Double], into y: inout [Double]) {
    for row in rows {
      for n in 0..<outputs {
        y[row * outputs + n] = dot(x, row * width, w, offset + n * width, count: width)
      }
    }
  }

  /// dx[r, d] += Σ_n dy[r, n] w[n, d]
  func addInputGradient(_ dy: [Double], _ w: [Double], to dx: inout [Double]) {
    for row in rows {
      for n in 0..<outputs {
        let factor = dy[row * outputs + n]
        addScaled(factor, w, offset + n * width, to: &dx, row * width, count: width)
      }
    }
  }

  /// dw[n, d] += Σ_r dy[r, n] x[r, d]
  func addWeightGradient(_ x: [Double], _ dy: [Double], to dw: inout [Double]) {
    for row in rows {
      for n in 0..<outputs {
        let factor = dy[row * outputs + n]
        addScaled(factor, x, row * width, to: &dw, offset + n * width, count: width)
      }
    }
  }
}
