internal import Foundation

/// A recording: samples of one channel, from -1 to 1.
package struct Waveform: Hashable, Sendable {
  /// The longest recording that is read or made, in seconds.
  package static let limit = 600
  /// The rates that are read.
  static let rates = 4_000...384_000

  /// Samples a second.
  package let rate: Int
  /// The samples.
  package let samples: [Float]

  /// The length in seconds.
  package var seconds: Double { Double(samples.count) / Double(rate) }

  /// Creates a recording; what is beyond -1 or 1 is clipped.
  ///
  /// - Requires: samples are finite, and the rate is above 0.
  package init(rate: Int, samples: [Float]) {
    precondition(rate > 0, "a recording has no rate")
    self.rate = rate
    self.samples = samples.map { max(-1, min(1, $0)) }
  }

  /// Returns the recording as a WAV file's bytes: 16 bits a sample.
  package func wav() -> [UInt8] {
    func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let size = 2 * samples.count
    var file = Array("RIFF".utf8) + bytes(UInt32(clamping: 36 + size)) + Array("WAVEfmt ".utf8)
    file += bytes(UInt32(16)) + bytes(UInt16(1)) + bytes(UInt16(1))
    file += bytes(UInt32(clamping: rate)) + bytes(UInt32(clamping: 2 * rate))
    file += bytes(UInt16(2)) + bytes(UInt16(16))
    file += Array("data".utf8) + bytes(UInt32(clamping: size))
    file.reserveCapacity(file.count + size)
    for sample in samples {
      let level = UInt16(bitPattern: Int16(clamping: Int((sample * 32768).rounded())))
      file.append(UInt8(level & 0xFF))
      file.append(UInt8(level >> 8))
    }
    return file
  }

  // MARK: Other rates

  /// Returns the recording with `newRate` samples a second, without what they cannot hold: each is a sum of those
  /// around it, weighted by a sinc under a Hann window.
  ///
  /// - Requires: `newRate` is above 0.
  package func resampled(to newRate: Int) -> Waveform {
    guard rate != newRate else { return self }
    let filter = ResamplingFilter(from: rate, to: newRate)
    let count = (samples.count * newRate + rate - 1) / rate
    return Waveform(rate: newRate, samples: filter.applied(to: samples, count: count))
  }
}

/// What turns samples of a rate into those of another: weights for each place that a new sample can have between two
/// old ones.
private struct ResamplingFilter {
  /// Zeros of the sinc on each side.
  private static let zeros = 16.0
  /// The share of the band that passes; the rest is where the filter falls.
  private static let share = 0.94

  /// New and old samples after which places repeat.
  private let new: Int
  private let old: Int
  /// Old samples that count on each side.
  private let reach: Int
  /// The weights of samples from `1 - reach` to `reach`, for each place. [new, 2 · reach]
  private let weights: [Float]

  init(from rate: Int, to newRate: Int) {
    var (divisor, rest) = (rate, newRate)
    while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
    new = newRate / divisor
    old = rate / divisor
    // The band that passes, in halves of the old rate.
    let band = Self.share * min(1, Double(newRate) / Double(rate))
    let width = Self.zeros / band
    reach = Int(width.rounded(.up))
    var all: [Float] = []
    all.reserveCapacity(new * 2 * reach)
    for place in 0..<new {
      let offset = Double(place * old % new) / Double(new)
      let row = (1 - reach...reach).map { tap in
        Self.weight(at: Double(tap) - offset, band: band, width: width)
      }
      // A level stays what it is.
      let sum = row.reduce(0, +)
      all += row.lazy.map { Float($0 / sum) }
    }
    weights = all
  }

  /// Returns the sinc of `band` at `distance`, under a window of `width` on each side.
  private static func weight(at distance: Double, band: Double, width: Double) -> Double {
    guard abs(distance) < width else { return 0 }
    let angle = Double.pi * band * distance
    let sinc = angle == 0 ? 1 : sin(angle) / angle
    return sinc * (1 + cos(.pi * distance / width)) / 2
  }

  /// Returns the first `count` new samples; before and behind `samples` there is silence.
  func applied(to samples: [Float], count: Int) -> [Float] {
    (0..<count).map { index in
      let first = index * old / new + 1 - reach
      let row = index % new * 2 * reach
      var sum: Float = 0
      for place in max(first, 0)..<max(first, 0, min(first + 2 * reach, samples.count)) {
        sum += weights[row + place - first] * samples[place]
      }
      return sum
    }
  }
}
