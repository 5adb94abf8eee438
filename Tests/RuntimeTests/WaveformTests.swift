import Foundation
import MoTIR
import Runtime
import Testing

/// Recordings: the files that they are in, and their rates.
@Suite struct WaveformTests {
  /// Returns the bytes of a WAV file.
  ///
  /// - Parameters:
  ///   - tag: 1 for integers, 3 for floats.
  ///   - size: the size that the samples' chunk claims; by default its own.
  ///   - isLong: `true` iff the format is in its long form.
  ///   - extra: chunks before the samples.
  private func wav(
    tag: Int = 1, channels: Int = 1, rate: Int = 16_000, bits: Int = 16, data: [UInt8],
    size: Int? = nil, isLong: Bool = false, extra: [UInt8] = []
  ) -> [UInt8] {
    func bytes(_ value: Int, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let frame = channels * bits / 8
    var format = bytes(isLong ? 0xFFFE : tag, 2) + bytes(channels, 2) + bytes(rate, 4)
    format += bytes(rate * frame, 4) + bytes(frame, 2) + bytes(bits, 2)
    if isLong {
      format += bytes(22, 2) + bytes(bits, 2) + bytes(0, 4) + bytes(tag, 2)
      format += [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]
    }
    var file = Array("RIFF".utf8) + bytes(0, 4) + Array("WAVEfmt ".utf8)
    file += bytes(format.count, 4) + format + extra
    return file + Array("data".utf8) + bytes(size ?? data.count, 4) + data
  }

  /// Returns the bytes of `values`.
  private func bytes<Value>(_ values: [Value]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

  private func message(_ bytes: [UInt8]) -> String {
    do {
      _ = try Waveform(wav: bytes)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func everyCodingIsRead() throws {
    let expected: [Float] = [0, 0.5, -1, -0.25]
    let files = [
      wav(bits: 8, data: [128, 192, 0, 96]),
      wav(data: bytes([0, 16384, -32768, -8192] as [Int16])),
      wav(bits: 24, data: [0, 0, 0, 0, 0, 0x40, 0, 0, 0x80, 0, 0, 0xE0]),
      wav(bits: 32, data: bytes([0, 1 << 30, .min, -1 << 29] as [Int32])),
      wav(tag: 3, bits: 32, data: bytes(expected)),
      wav(tag: 3, bits: 64, data: bytes(expected.map(Double.init))),
      wav(data: bytes([0, 16384, -32768, -8192] as [Int16]), isLong: true),
      wav(tag: 3, bits: 32, data: bytes(expected), isLong: true),
    ]
    for file in files { #expect(try Waveform(wav: file).samples == expected) }
    // Beyond the ends, floats are clipped.
    let loud = wav(tag: 3, bits: 32, data: bytes([3, -1e30] as [Float]))
    #expect(try Waveform(wav: loud).samples == [1, -1])
  }

  @Test func channelsAreAveraged() throws {
    let stereo = wav(channels: 2, data: bytes([16384, 0, -16384, 16384] as [Int16]))
    #expect(try Waveform(wav: stereo).samples == [0.25, 0])
    let eight = wav(channels: 8, bits: 8, data: [UInt8](repeating: 192, count: 16))
    #expect(try Waveform(wav: eight).samples == [0.5, 0.5])
  }

  @Test func otherChunksAreSkipped() throws {
    // A chunk of odd size has a byte behind it.
    let odd = Array("LIST".utf8) + [3, 0, 0, 0] + Array("abc\0".utf8)
    let even = Array("fact".utf8) + [4, 0, 0, 0, 9, 9, 9, 9]
    let file = wav(data: bytes([16384] as [Int16]), extra: odd + even)
    #expect(try Waveform(wav: file).samples == [0.5])
    #expect(try Waveform(wav: file + odd).samples == [0.5])
  }

  @Test func streamsHaveWhatIsThere() throws {
    for size in [0xFFFF_FFFF, 0x7FFF_F000, 6] {
      let file = wav(data: bytes([16384, -32768] as [Int16]), size: size)
      #expect(try Waveform(wav: file).samples == [0.5, -1])
      // Half a sample is none.
      #expect(try Waveform(wav: Array(file.dropLast())).samples == [0.5])
    }
  }

  @Test func writtenFilesComeBack() throws {
    let samples = (-32768...32767).map { Float($0) / 32768 }
    let waveform = Waveform(rate: 22_050, samples: samples)
    #expect(try Waveform(wav: waveform.wav()) == waveform)
    #expect(Waveform(rate: 8000, samples: [2]).wav().suffix(2) == [0xFF, 0x7F])
  }

  @Test func hostileFilesAreErrors() throws {
    let data = bytes((0..<40).map { Int16($0 * 500) })
    let extra = Array("LIST".utf8) + [3, 0, 0, 0] + Array("abc\0".utf8)
    for good in [wav(data: data, extra: extra), wav(tag: 3, bits: 64, data: data, isLong: true)] {
      let start = good.count - data.count
      for count in 0..<good.count {
        let isCut = message(Array(good[..<count])).contains("no sound WAV")
        // The first whole sample is enough.
        #expect(isCut || count > start + 1, "\(count) bytes")
      }
      for index in good.indices {
        for bit in 0..<8 {
          var bad = good
          bad[index] ^= 1 << bit
          if let waveform = try? Waveform(wav: bad) {
            #expect(waveform.samples.allSatisfy { -1...1 ~= $0 })
          }
        }
      }
    }
  }

  @Test func everyRuleHasItsSentence() {
    let two: [UInt8] = [1, 2]
    #expect(message([]).contains("RIFF and WAVE"))
    #expect(message(wav(data: [])).contains("no samples"))
    #expect(message(wav(channels: 0, data: two)).contains("0 channels"))
    #expect(
      message(wav(channels: 9, data: [UInt8](repeating: 0, count: 18))).contains("9 channels"))
    #expect(message(wav(rate: 0, data: two)).contains("of 0 samples a second"))
    #expect(message(wav(rate: 4_000_000_000, data: two)).contains("4000000000"))
    #expect(message(wav(tag: 2, bits: 4, data: two)).contains("coding 2 of 4 bits"))
    #expect(message(wav(tag: 3, bits: 16, data: two)).contains("coding 3 of 16 bits"))
    for value in [Float.nan, .infinity, -.infinity] {
      let file = wav(tag: 3, bits: 32, data: bytes([0, value]))
      #expect(message(file).contains("sample 1 is not finite"))
    }
    let long = wav(rate: 4000, bits: 8, data: [UInt8](repeating: 128, count: 4000 * 601))
    #expect(message(long).contains("601 seconds"))
    var frames = wav(data: two)
    frames[32] = 3
    #expect(message(frames).contains("frames are not 1 numbers of 2 bytes"))
    let swapped = wav(data: two, extra: [])
    #expect(message(Array(swapped[..<12] + swapped[36...])).contains("before their format"))
  }

  @Test(arguments: [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 16_001])
  func resamplingKeepsTonesAndLevels(rate: Int) throws {
    let tone = Waveform.tones([440, 2500], rate: rate, seconds: 0.5)
    let other = tone.resampled(to: 16_000)
    #expect(other.rate == 16_000 && abs(other.samples.count - 8000) <= 1)
    let expected = Waveform.tones([440, 2500], rate: 16_000, seconds: 0.5)
    // At the ends there is silence around the tones.
    for index in 200..<7800 {
      #expect(abs(other.samples[index] - expected.samples[index]) < 1e-3)
    }
    let level = Waveform(rate: rate, samples: [Float](repeating: 0.5, count: rate / 10))
    #expect(level.resampled(to: 16_000).samples[300..<1300].allSatisfy { abs($0 - 0.5) < 1e-5 })
  }

  @Test func tonesTooHighForTheNewRateAreSilenced() {
    let high = Waveform.tones([10_000], rate: 44_100, seconds: 0.3).resampled(to: 16_000)
    #expect(high.samples[300..<4500].allSatisfy { abs($0) < 2e-3 })
  }
}

extension Waveform {
  /// Returns the mean of sines of these frequencies.
  static func tones(_ frequencies: [Double], rate: Int = 16_000, seconds: Double) -> Waveform {
    let count = Int(seconds * Double(rate))
    let samples = (0..<count).map { index in
      let time = Double(index) / Double(rate)
      let sum = frequencies.reduce(0) { $0 + sin(2 * .pi * $1 * time) }
      return Float(sum / Double(frequencies.count))
    }
    return Waveform(rate: rate, samples: samples)
  }

  /// Returns the recording with `other` behind it.
  func followed(by other: Waveform) -> Waveform {
    Waveform(rate: rate, samples: samples + other.samples)
  }
}
