internal import Foundation

/// The spectra of a recording's frames, 10 ms apart: the short-time Fourier transform.
///
/// Frame f is 25 ms under a Hann window, around the middle of samples 160 f ..< 160 (f + 1). A spectrum has the real
/// parts of B = 257 frequencies from 0 to 8 kHz, then the imaginary ones. F frames: [F, 2 · B]
package enum Spectrum {
  /// Samples a second.
  package static let rate = 16_000
  /// Samples of a frame, 25 ms.
  static let window = 400
  /// Samples from a frame to the next, 10 ms.
  package static let hop = 160
  /// Samples that are transformed; behind the frame there are zeros.
  private static let size = 512
  /// Frequencies, B.
  package static let bins = size / 2 + 1

  /// Samples of a frame that lie before its hop.
  private static let lead = (window - hop) / 2
  /// Hann's window, without the zero at its end.
  private static let hann = (0..<window).map { place in
    Float(0.5 - 0.5 * cos(2 * Double.pi * Double(place) / Double(window)))
  }

  /// Returns the spectra of `samples`, F = ⌈N / 160⌉. Around them there is silence.
  package static func spectra(of samples: [Float]) -> [Float] {
    let frames = (samples.count + hop - 1) / hop
    var parts = [Float](repeating: 0, count: frames * window)
    for frame in 0..<frames {
      let start = frame * hop - lead
      let present = max(0, -start)..<min(window, samples.count - start)
      for place in present { parts[frame * window + place] = samples[start + place] }
    }
    return matrixProduct(parts[...], transform, rows: frames, inner: window)
  }

  /// Returns the samples whose spectra differ least from these, by squares. [160 · F]
  package static func samples(of spectra: [Float]) -> [Float] {
    let frames = spectra.count / (2 * bins)
    let parts = matrixProduct(spectra[...], inverse, rows: frames, inner: 2 * bins)
    var samples = [Float](repeating: 0, count: frames * hop)
    var weights = samples
    for frame in 0..<frames {
      let start = frame * hop - lead
      for place in max(0, -start)..<min(window, samples.count - start) {
        samples[start + place] += parts[frame * window + place]
        weights[start + place] += hann[place] * hann[place]
      }
    }
    for index in samples.indices { samples[index] /= weights[index] }
    return samples
  }

  // MARK: Matrices

  /// Cosines of a whole turn in `size` steps.
  private static let turn = (0..<size).map { cos(2 * Double.pi * Double($0) / Double(size)) }

  /// The window and the transform behind it. [400, 2 · B]
  private static let transform: [Float] = (0..<window).flatMap { place -> [Float] in
    let real = (0..<bins).map { hann[place] * Float(turn[place * $0 % size]) }
    // -sin x = cos (x + a quarter)
    return real + (0..<bins).map { hann[place] * Float(turn[(place * $0 + size / 4) % size]) }
  }

  /// The transform back and the window behind it. [2 · B, 400]
  private static let inverse: [Float] = (0..<(2 * bins)).flatMap { row -> [Float] in
    let bin = row % bins
    // All but the first and the last stand for two, of which the other is their mirror image.
    let share = (bin == 0 || bin == size / 2 ? 1 : 2) / Float(size)
    return (0..<window).map { share * transform[$0 * 2 * bins + row] }
  }
}
