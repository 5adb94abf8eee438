import Foundation
import MoTIR
import Runtime
import Testing

/// Speech as units, and units as speech.
@Suite struct SpeechTests {
  /// Returns the squared magnitude of `samples` at `frequency`, over their number.
  private func power(_ samples: ArraySlice<Float>, at frequency: Double) -> Double {
    var (real, imaginary) = (0.0, 0.0)
    for (index, sample) in samples.enumerated() {
      let angle = 2 * Double.pi * frequency * Double(index) / 16_000
      real += Double(sample) * cos(angle)
      imaginary += Double(sample) * sin(angle)
    }
    return (real * real + imaginary * imaginary) / Double(samples.count)
  }

  /// Recordings of two tones, one after the other, of different lengths.
  private func tones(_ seconds: Double = 0.4) -> Waveform {
    Waveform.tones([500], seconds: seconds).followed(by: .tones([2000], seconds: seconds))
  }

  /// Returns a codebook of these recordings.
  private func codebook(_ waveforms: [Waveform], count: Int) throws -> SpeechCodebook {
    let folder = try TemporaryFolder()
    let paths = try waveforms.enumerated().map { try folder.write($1.wav(), to: "\($0).wav") }
    return try SpeechCodebook.learned(from: paths, count: count, seed: 1)
  }

  @Test(arguments: [150.0, 440, 1000, 3000, 7000])
  func tonesAreInTheirBand(frequency: Double) {
    let frames = MelSpectrogram.frames(
      of: Waveform.tones([frequency], seconds: 0.2).samples)
    #expect(frames.count == 20 * MelSpectrogram.bands)
    // The mel of a frequency by Slaney, in steps of a band.
    let mel = frequency < 1000 ? frequency * 3 / 200 : 15 + 27 * log(frequency / 1000) / log(6.4)
    let band = mel / (15 + 27 * log(8) / log(6.4)) * 81 - 1
    let frame = frames[(10 * MelSpectrogram.bands)..<(11 * MelSpectrogram.bands)]
    let loudest = frame.indices.max { frame[$0] < frame[$1] } ?? 0
    #expect(abs(Double(loudest - frame.startIndex) - band) <= 1)
  }

  @Test func loudnessDoesNotMatter() {
    let tone = Waveform.tones([300, 1234], seconds: 0.3).samples
    let loud = MelSpectrogram.frames(of: tone)
    let quiet = MelSpectrogram.frames(of: tone.map { $0 / 16 })
    #expect(zip(loud, quiet).allSatisfy { abs($0 - $1) < 1e-2 })
    // Nor does silence around it, nor is silence made loud.
    let silence = [Float](repeating: 0, count: 1600)
    let framed = MelSpectrogram.frames(of: silence + tone + silence)
    let bands = MelSpectrogram.bands
    let inside = framed[(12 * bands)..<(38 * bands)]
    #expect(zip(inside, loud[(2 * bands)...]).allSatisfy { abs($0 - $1) < 0.1 })
    #expect(MelSpectrogram.frames(of: silence).allSatisfy { $0 == MelSpectrogram.silence })
  }

  @Test func spectraAndSamplesAreTheSame() {
    let random = CounterRandom(seed: 3, name: "noise")
    let samples = (0..<1600).map { Float(random.uniform($0) - 0.5) }
    let again = Spectrum.samples(of: Spectrum.spectra(of: samples))
    #expect(zip(samples, again).allSatisfy { abs($0 - $1) < 1e-5 })
    // By Parseval, a spectrum has the power of its frame: here 400 samples of 1 under the window.
    let spectra = Spectrum.spectra(of: [Float](repeating: 1, count: 1600))
    let middle = spectra[(5 * 2 * Spectrum.bins)..<(6 * 2 * Spectrum.bins)]
    #expect(abs(middle[middle.startIndex] - 200) < 1e-2)
  }

  @Test func phasesAreFound() {
    let random = CounterRandom(seed: 4, name: "noise")
    // A gliding tone in some noise, as speech is.
    let samples = (0..<16_000).map { index -> Float in
      let time = Double(index) / 16_000
      let tone = sin(2 * .pi * (200 + 600 * time) * time)
      return Float(0.4 * tone + 0.02 * (random.uniform(index) - 0.5))
    }
    let wanted = magnitudes(Spectrum.spectra(of: samples))
    let found = magnitudes(Spectrum.spectra(of: GriffinLim.samples(of: wanted)))
    let difference = zip(wanted, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let convergence = (difference / wanted.reduce(0) { $0 + $1 * $1 }).squareRoot()
    #expect(convergence < 0.1)
  }

  private func magnitudes(_ spectra: [Float]) -> [Float] {
    let bins = Spectrum.bins
    return (0..<(spectra.count / 2)).map { index in
      let place = index / bins * 2 * bins + index % bins
      return hypot(spectra[place], spectra[place + bins])
    }
  }

  @Test func unitsAreStableAndDoNotRepeat() throws {
    let waveforms = [tones(), tones(0.24), Waveform.tones([900], seconds: 0.3)]
    let codebook = try codebook(waveforms, count: 8)
    #expect(try codebook == self.codebook(waveforms, count: 8))
    for waveform in waveforms {
      let units = codebook.units(of: waveform)
      #expect(zip(units, units.dropFirst()).allSatisfy { $0 != $1 })
      #expect(units.allSatisfy { 0..<8 ~= $0 })
      let quiet = Waveform(rate: 16_000, samples: waveform.samples.map { $0 / 8 })
      #expect(codebook.units(of: quiet) == units)
      #expect(codebook.units(of: waveform.resampled(to: 48_000)) == units)
    }
    #expect(codebook.units(of: waveforms[0]) != codebook.units(of: waveforms[2]))
    // 40 ms are a unit, and so is what is left of one.
    #expect(codebook.units(of: Waveform(rate: 16_000, samples: [0.1])).count == 1)
    #expect(codebook.units(of: Waveform(rate: 16_000, samples: [])).isEmpty)
  }

  @Test func unitsSoundAsTheyDid() throws {
    let waveform = tones()
    let codebook = try codebook([waveform], count: 6)
    let made = codebook.waveform(of: codebook.units(of: waveform))
    #expect(made.rate == 16_000)
    #expect(abs(made.seconds - waveform.seconds) <= 0.08)
    #expect(made == codebook.waveform(of: codebook.units(of: waveform)))
    let (first, second) = (made.samples[..<4800], made.samples.suffix(4800))
    for other in [250.0, 1000, 3000, 5000] {
      #expect(power(first, at: 500) > 20 * power(first, at: other))
      #expect(power(second, at: 2000) > 20 * power(second, at: other))
    }
    #expect(power(first, at: 500) > 20 * power(first, at: 2000))
    #expect(power(second, at: 2000) > 20 * power(second, at: 500))
    let loudest = made.samples.map(abs).max() ?? 0
    #expect(loudest > 0.02 && loudest < 0.9)
  }

  @Test func strayUnitsAreSilent() throws {
    let codebook = try codebook([tones()], count: 4)
    #expect(codebook.waveform(of: []).samples.isEmpty)
    let silent = codebook.waveform(of: [-1, 4, .max])
    #expect(silent.samples.count == 3 * 640 && silent.samples.allSatisfy { abs($0) < 1e-3 })
  }

  @Test func codebooksComeBack() throws {
    let folder = try TemporaryFolder()
    let codebook = try codebook([tones()], count: 40)
    // There are fewer units than codes: the others stand for nothing.
    #expect(codebook.count == 40)
    try codebook.write(to: folder.file("speech"))
    #expect(try SpeechCodebook(path: folder.file("speech")) == codebook)
  }

  @Test func badCodebooksAreErrors() throws {
    let folder = try TemporaryFolder()
    func message(_ shapes: [(String, [Int], Float)]) throws -> String {
      let tensors = try shapes.map { name, shape, value in
        try Tensor(
          name: name, shape: shape, floats: [Float](repeating: value, count: shape.reduce(1, *)))
      }
      try SafetensorsWriter.write(tensors, to: folder.file("c"))
      do {
        _ = try SpeechCodebook(path: folder.file("c"))
        return ""
      } catch {
        return error.description
      }
    }
    let units = ("units", [2, 4, 80], Float(-3))
    #expect(try message([units, ("durations", [2], 1)]).isEmpty)
    for shapes in [
      [units], [units, ("durations", [3], 1)], [units, ("durations", [2, 1], 1)],
      [("units", [2, 80, 4], 0), ("durations", [2], 1)], [units, ("lengths", [2], 1)],
      [("units", [0, 4, 80], 0), ("durations", [0], 1)],
      [units, ("durations", [2], 1), ("more", [1], 1)],
    ] as [[(String, [Int], Float)]] {
      #expect(try message(shapes).contains("no codebook of speech"))
    }
    for value in [Float.nan, .infinity, 21, -1e30] {
      let text = try message([("units", [2, 4, 80], value), ("durations", [2], 1)])
      #expect(text.contains("at [0, 0, 0]"))
    }
    for value in [Float.nan, .infinity, 0, 101] {
      #expect(try message([units, ("durations", [2], value)]).contains("durations are"))
    }
  }
}
