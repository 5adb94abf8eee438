#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A generator of random numbers (SplitMix64) that gives the same numbers in every process.
package struct TestRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Creates a generator.
  package init(seed: UInt64) { state = seed }

  /// Returns 64 random bits.
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Returns a number of `0..<1`.
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Returns a number of `range`.
  package mutating func integer(in range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() % UInt64(range.count))
  }

  /// Returns a number of `0..<bound`.
  package mutating func below(_ bound: Int) -> Int { integer(in: 0...(bound - 1)) }

  /// Returns one of `choices`.
  ///
  /// - Requires: `choices` is not empty.
  package mutating func pick<T>(_ choices: [T]) -> T {
    choices[integer(in: 0...(choices.count - 1))]
  }

  /// Returns `true` with this probability.
  package mutating func chance(_ probability: Double) -> Bool { uniform() < probability }

  /// Returns a normally distributed number, rounded to single precision.
  package mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return Double(Float(radius * cos(2 * .pi * uniform())))
  }

  /// Returns `count` normally distributed numbers, rounded to single precision.
  package mutating func normals(_ count: Int, deviation: Double = 1, mean: Double = 0) -> [Double] {
    (0..<count).map { _ in Double(Float(mean + deviation * normal())) }
  }
}
