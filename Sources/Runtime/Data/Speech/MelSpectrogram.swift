internal import Foundation

/// How loud a recording is, 100 times a second in 80 bands: the logarithm of the mean power in each.
///
/// Bands are triangles of equal width on the mel scale of Slaney (Auditory Toolbox, 1998), which is linear up to 1 kHz
/// and logarithmic above, from 0 to 8 kHz. Power is relative to the recording's level, so that a quiet voice gives the
/// numbers of a loud one.
package enum MelSpectrogram {
  /// Bands of a frame.
  package static let bands = 80
  /// Power below the level that counts as silence, 40 dB.
  private static let floor: Float = 1e-4
  /// Levels below this are silence, and made no louder.
  private static let quiet: Float = 1e-4
  /// The level of recordings that are made: of speech some 20 dB below the loudest there can be.
  private static let made: Float = 12

  /// The logarithm of silence.
  package static var silence: Float { log(floor) }

  /// Returns the frames of `samples`, of 16,000 a second. [⌈N / 160⌉, 80]
  package static func frames(of samples: [Float]) -> [Float] {
    let spectra = Spectrum.spectra(of: samples)
    let (bins, count) = (Spectrum.bins, spectra.count / (2 * Spectrum.bins))
    var power = [Float](repeating: 0, count: count * bins)
    for frame in 0..<count {
      for bin in 0..<bins {
        let (real, imaginary) = (frame * 2 * bins + bin, frame * 2 * bins + bins + bin)
        power[frame * bins + bin] =
          spectra[real] * spectra[real] + spectra[imaginary] * spectra[imaginary]
      }
    }
    let mel = matrixProduct(power[...], filters, rows: count, inner: bins, transposed: true)
    let level = max(quiet, level(of: mel))
    return mel.map { log($0 / level + floor) }
  }

  /// Returns the mean power of the frames, each weighted by its power, so that pauses do not count.
  private static func level(of mel: [Float]) -> Float {
    var (sum, squares) = (0.0, 0.0)
    for start in stride(from: 0, to: mel.count, by: bands) {
      let power = Double(mel[start..<(start + bands)].reduce(0, +)) / Double(bands)
      sum += power
      squares += power * power
    }
    return sum > 0 ? Float(squares / sum) : 0
  }

  /// Returns magnitudes of spectra that have these `frames`, at the level of recordings that are made. [F, B]
  package static func magnitudes(of frames: [Float]) -> [Float] {
    let mel = frames.map { max(0, exp($0) - floor) * made }
    let (bins, count) = (Spectrum.bins, frames.count / bands)
    // Each frequency begins with the mean of its bands. Then all are multiplied until the bands are right, which keeps
    // them positive (Lee and Seung, 2001).
    var power = matrixProduct(mel[...], spreadFilters, rows: count, inner: bands)
    let wanted = matrixProduct(mel[...], filters, rows: count, inner: bands)
    for _ in 0..<rounds {
      let heard = matrixProduct(power[...], filters, rows: count, inner: bins, transposed: true)
      let present = matrixProduct(heard[...], filters, rows: count, inner: bands)
      for index in power.indices where present[index] > 0 {
        power[index] *= wanted[index] / present[index]
      }
    }
    return power.map { $0.squareRoot() }
  }

  /// Rounds of multiplication.
  private static let rounds = 20

  // MARK: Bands

  /// The share of each frequency in a band; those of a band sum to 1. [80, B]
  static let filters: [Float] = {
    let edges = (0...(bands + 1)).map { frequency(ofMel: highest * Double($0) / Double(bands + 1)) }
    return (0..<bands).flatMap { band -> [Float] in
      let (low, middle, high) = (edges[band], edges[band + 1], edges[band + 2])
      let row = (0..<Spectrum.bins).map { bin in
        let place = Double(Spectrum.rate) / 2 * Double(bin) / Double(Spectrum.bins - 1)
        return max(0, min((place - low) / (middle - low), (high - place) / (high - middle)))
      }
      let sum = row.reduce(0, +)
      return row.map { Float($0 / sum) }
    }
  }()

  /// The share of each band in a frequency; those of a frequency sum to 1, where any band has it. [80, B]
  private static let spreadFilters: [Float] = {
    let bins = Spectrum.bins
    let sums = (0..<bins).map { bin in
      stride(from: bin, to: filters.count, by: bins).reduce(0) { $0 + filters[$1] }
    }
    return filters.indices.map { sums[$0 % bins] > 0 ? filters[$0] / sums[$0 % bins] : 0 }
  }()

  /// The mel of 8 kHz.
  private static let highest = 15 + 27 * log(8) / log(6.4)

  /// Returns the frequency of `mel`.
  private static func frequency(ofMel mel: Double) -> Double {
    mel < 15 ? 200 / 3 * mel : 1000 * pow(6.4, (mel - 15) / 27)
  }
}
