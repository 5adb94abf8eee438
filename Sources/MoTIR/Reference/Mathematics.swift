#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Functions of one number, in double precision. The one place that needs the C library.
enum Mathematics {
  static func exponential(_ x: Double) -> Double { exp(x) }
  static func logarithm(_ x: Double) -> Double { log(x) }
  static func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
  static func sine(_ x: Double) -> Double { sin(x) }
  static func cosine(_ x: Double) -> Double { cos(x) }
  static func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

  /// 1 / (1 + e^−x)
  static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

  /// x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))
  static func gelu(_ x: Double) -> Double {
    x / 2 * (1 + tanh(geluScale * (x + geluCubic * x * x * x)))
  }

  /// √(2/π)
  static let geluScale = (2 / Double.pi).squareRoot()
  /// The factor of the cube in `gelu`.
  static let geluCubic = 0.044715
}
