internal import Foundation

/// Samples whose spectra have given magnitudes, though nobody knows the phases (Griffin and Lim, 1984).
///
/// From some phases, samples are made of the spectra, and spectra of the samples, which have phases that go together
/// better; and again. A step goes on in its direction, which takes fewer of them (Perraudin, Balazs and Søndergaard,
/// 2013).
package enum GriffinLim {
  private static let rounds = 40
  private static let momentum: Float = 0.99

  /// Returns samples whose spectra have about these `magnitudes`. [F, B] -> [160 · F]
  package static func samples(of magnitudes: [Float]) -> [Float] {
    var spectra = start(magnitudes)
    var last = [Float](repeating: 0, count: spectra.count)
    for _ in 0..<rounds {
      let next = Spectrum.spectra(of: Spectrum.samples(of: spectra))
      for index in spectra.indices {
        spectra[index] = next[index] + momentum * (next[index] - last[index])
      }
      last = next
      give(magnitudes, to: &spectra)
    }
    return Spectrum.samples(of: spectra)
  }

  /// Returns spectra of `magnitudes` with phases that look random, and are always the same.
  private static func start(_ magnitudes: [Float]) -> [Float] {
    let random = CounterRandom(seed: 0, name: "phases")
    var spectra = [Float](repeating: 0, count: 2 * magnitudes.count)
    for (index, magnitude) in magnitudes.enumerated() {
      let angle = 2 * Float.pi * Float(random.uniform(index))
      let place = index / Spectrum.bins * 2 * Spectrum.bins + index % Spectrum.bins
      spectra[place] = magnitude * cos(angle)
      spectra[place + Spectrum.bins] = magnitude * sin(angle)
    }
    return spectra
  }

  /// Gives `magnitudes` to `spectra`, which keep their phases.
  private static func give(_ magnitudes: [Float], to spectra: inout [Float]) {
    let bins = Spectrum.bins
    for frame in 0..<(magnitudes.count / bins) {
      for bin in 0..<bins {
        let (real, imaginary) = (frame * 2 * bins + bin, frame * 2 * bins + bins + bin)
        let power = spectra[real] * spectra[real] + spectra[imaginary] * spectra[imaginary]
        let scale = magnitudes[frame * bins + bin] / max(power, 1e-20).squareRoot()
        spectra[real] *= scale
        spectra[imaginary] *= scale
      }
    }
  }
}
