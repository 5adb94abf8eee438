internal import Foundation
package import MoTIR

extension Waveform {
  /// Decodes a WAV file's bytes: PCM of 8, 16, 24 or 32 bits, or floats of 32 or 64. Channels are averaged, and what is
  /// beyond -1 or 1 is clipped.
  ///
  /// A program that writes to a pipe does not know the length beforehand: where the file ends first, what is there
  /// is taken.
  ///
  /// - Throws: `Diagnostic` if they are no WAV, damaged, of another coding, or longer than `limit`.
  package init(wav bytes: [UInt8]) throws(Diagnostic) {
    let file = try WaveFile(bytes)
    self.init(rate: file.format.rate, samples: try file.samples())
  }
}

/// The parts of a WAV file that matter.
private struct WaveFile {
  /// How samples are stored.
  struct Format {
    /// What a number is.
    enum Coding: Int {
      case integer = 1
      case float = 3
    }

    let coding: Coding
    let channels: Int
    let rate: Int
    /// Bytes of a number.
    let size: Int
  }

  let format: Format
  /// The numbers of one time after those of another.
  private let data: ArraySlice<UInt8>

  /// Finds the format and the samples in a file's `bytes`.
  init(_ bytes: [UInt8]) throws(Diagnostic) {
    guard bytes.count >= 12, bytes[0..<4].elementsEqual("RIFF".utf8),
      bytes[8..<12].elementsEqual("WAVE".utf8)
    else { throw Self.error("it does not begin with RIFF and WAVE") }
    var format: Format?
    var start = 12
    while start + 8 <= bytes.count {
      let size = bytes.natural(at: start + 4, count: 4)
      let body = bytes[(start + 8)..<min(bytes.count, start + 8 + size)]
      if bytes[start..<(start + 4)].elementsEqual("fmt ".utf8) {
        format = try Format(Array(body))
      } else if bytes[start..<(start + 4)].elementsEqual("data".utf8) {
        guard let format else { throw Self.error("its samples stand before their format") }
        self.format = format
        data = body
        return
      }
      // A chunk of an odd size has a byte behind it.
      start += 8 + size + size % 2
    }
    throw Self.error("it has no samples")
  }

  /// Returns the samples, channels averaged.
  func samples() throws(Diagnostic) -> [Float] {
    let count = data.count / (format.channels * format.size)
    guard count > 0 else { throw Self.error("it has no samples") }
    guard count <= Waveform.limit * format.rate else {
      throw Diagnostic(
        "the recording has \(count / format.rate) seconds, but at most \(Waveform.limit) are read",
        suggestion: "cut it into shorter ones, each with its caption")
    }
    var samples: [Float] = []
    samples.reserveCapacity(count)
    var place = data.startIndex
    for index in 0..<count {
      var sum: Float = 0
      for _ in 0..<format.channels {
        let number = self.number(at: place)
        guard number.isFinite else { throw Self.error("sample \(index) is not finite") }
        sum += Float(max(-1, min(1, number)))
        place += format.size
      }
      samples.append(sum / Float(format.channels))
    }
    return samples
  }

  /// Returns the number whose bytes begin at `place`, from -1 to 1 unless it is a float.
  private func number(at place: Int) -> Double {
    let bits = data.natural(at: place, count: format.size)
    switch (format.coding, format.size) {
    case (.float, 4): return Double(Float(bitPattern: UInt32(bits)))
    case (.float, _): return Double(bitPattern: UInt64(bitPattern: Int64(bits)))
    // Eight bits have no sign; 128 is silence.
    case (.integer, 1): return Double(bits - 128) / 128
    case (.integer, _):
      let unused = Int.bitWidth - 8 * format.size
      return Double((bits << unused) >> unused) / Double(1 << (8 * format.size - 1))
    }
  }

  /// Returns the error that the file breaks a rule of its format.
  static func error(_ reason: String) -> Diagnostic {
    Diagnostic("the recording is no sound WAV: \(reason)")
  }
}

extension WaveFile.Format {
  /// The codings and bytes that are read.
  private static let known: [(coding: Coding, size: Int)] = [
    (.integer, 1), (.integer, 2), (.integer, 3), (.integer, 4), (.float, 4), (.float, 8),
  ]
  /// What stands behind the coding in the long form.
  private static let tail: [UInt8] = [
    0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71,
  ]

  /// Reads the body of a chunk `fmt `.
  fileprivate init(_ body: [UInt8]) throws(Diagnostic) {
    let isLong = body.starts(with: [0xFE, 0xFF])
    guard body.count >= (isLong ? 40 : 16) else { throw WaveFile.error("its format is cut off") }
    let hasTag = isLong && body[26..<40].elementsEqual(Self.tail)
    let tag = body.natural(at: hasTag ? 24 : 0, count: 2)
    channels = body.natural(at: 2, count: 2)
    rate = body.natural(at: 4, count: 4)
    let bits = body.natural(at: 14, count: 2)
    guard let found = Self.known.first(where: { $0.coding.rawValue == tag && 8 * $0.size == bits })
    else {
      throw Diagnostic(
        "the recording has coding \(tag) of \(bits) bits, but PCM (1) of 8, 16, 24 or 32 and float (3) "
          + "of 32 or 64 are read", suggestion: "convert it to PCM of 16 bits")
    }
    (coding, size) = found
    guard 1...8 ~= channels, Waveform.rates ~= rate else {
      throw Diagnostic(
        "the recording has \(channels) channels of \(rate) samples a second, but 1 to 8 of "
          + "\(Waveform.rates.lowerBound) to \(Waveform.rates.upperBound) are read")
    }
    guard body.natural(at: 12, count: 2) == channels * size else {
      throw WaveFile.error("its frames are not \(channels) numbers of \(size) bytes")
    }
  }
}

extension RandomAccessCollection<UInt8> where Index == Int {
  /// Returns the little-endian number of `count` bytes at `place`; of 8 bytes its bits.
  fileprivate func natural(at place: Int, count: Int) -> Int {
    (0..<count).reduce(0) { $0 | Int(self[place + $1]) << (8 * $1) }
  }
}
