internal import Foundation

/// Random numbers by their position in a stream: the stream is named, and any number of it can be had
/// without those before it.
package struct CounterRandom: Sendable {
  private let key: UInt64

  /// Creates the stream called `name` of `seed`.
  package init(seed: UInt64, name: String) {
    // FNV-1a, then mixed with the seed so that neighbouring seeds share nothing.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    key = Self.mixed(Self.mixed(seed &+ 0x9E37_79B9_7F4A_7C15) ^ hash)
  }

  /// Returns number `index` of the stream: SplitMix64.
  package func bits(_ index: Int) -> UInt64 {
    Self.mixed(key &+ (UInt64(bitPattern: Int64(index)) &+ 1) &* 0x9E37_79B9_7F4A_7C15)
  }

  /// Returns number `index` of the stream as an integer in `0..<bound`.
  package func integer(_ index: Int, below bound: Int) -> Int {
    Int(bits(index).multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// Returns number `index` of the stream as a number above 0 and at most 1.
  package func uniform(_ index: Int) -> Double { (Double(bits(index) >> 11) + 1) * 0x1p-53 }

  /// Returns two independent normally distributed numbers, by Box and Muller: pair `index` of the stream.
  package func normals(_ index: Int) -> (Double, Double) {
    let radius = (-2 * log(uniform(2 * index))).squareRoot()
    let angle = 2 * Double.pi * uniform(2 * index + 1)
    return (radius * cos(angle), radius * sin(angle))
  }

  /// Returns `count` normally distributed numbers: part `part`, from 0, of those of the stream.
  package func normals(count: Int, from part: Int = 0) -> [Float] {
    var numbers: [Float] = []
    numbers.reserveCapacity(count + 1)
    let pairs = (count + 1) / 2
    for index in (part * pairs)..<((part + 1) * pairs) {
      let pair = normals(index)
      numbers += [Float(pair.0), Float(pair.1)]
    }
    return Array(numbers.prefix(count))
  }

  /// Returns `elements` in the order that the stream gives (Fisher and Yates).
  package func shuffled<Element>(_ elements: [Element]) -> [Element] {
    var order = elements
    for index in order.indices.dropFirst().reversed() {
      order.swapAt(index, integer(index, below: index + 1))
    }
    return order
  }

  /// Returns a number that looks unrelated to `value`; no two values give the same.
  private static func mixed(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
