package import MoTIR

/// What speech is made of: 25 units a second, each the number of the code that sounds most like it, repeats removed.
///
/// A unit is 4 frames of 80 bands; a code also has a duration, how many times in a row it stood on average.
package struct SpeechCodebook: Hashable, Sendable {
  /// Frames of a unit.
  private static let frames = 4
  /// Samples of a unit, of 16,000 a second.
  private static let samples = frames * Spectrum.hop
  /// Numbers of a unit.
  private static let width = frames * MelSpectrogram.bands
  /// The longest duration, in units: 4 s.
  private static let longest: Float = 100

  /// Frames of units. [K, 4 · 80]
  private let codes: VectorCodes
  /// The mean duration of each, in units, at least 1. [K]
  private let durations: [Float]

  /// The number of codes, K.
  package var count: Int { codes.count }

  /// Learns `count` units from some of `recordings`, which are paths of WAV files.
  ///
  /// - Requires: there is a recording.
  /// - Throws: `Diagnostic` if one cannot be read.
  package static func learned(
    from recordings: [String], count: Int, seed: UInt64
  ) throws(Diagnostic) -> SpeechCodebook {
    let sample = try VectorSample(of: recordings, width: width, seed: seed) {
      path throws(Diagnostic) in vectors(of: try CorpusFolder.recording(at: path))
    }
    let codes = VectorCodes.learned(sample.values, width: width, count: count, seed: seed)
    var (runs, units) = ([Int](repeating: 0, count: count), [Int](repeating: 0, count: count))
    for path in sample.files {
      let numbers = codes.nearest(vectors(of: try CorpusFolder.recording(at: path)))
      for (index, number) in numbers.enumerated() {
        units[number] += 1
        if index == 0 || numbers[index - 1] != number { runs[number] += 1 }
      }
    }
    let durations = zip(units, runs).map { units, runs in
      min(longest, Float(units) / Float(max(1, runs)))
    }
    return SpeechCodebook(codes: codes, durations: durations.map { max(1, $0) })
  }

  private init(codes: VectorCodes, durations: [Float]) {
    self.codes = codes
    self.durations = durations
  }

  /// Returns the units of `waveform`, without repeats.
  package func units(of waveform: Waveform) -> [Int] {
    let numbers = codes.nearest(Self.vectors(of: waveform))
    return numbers.indices.filter { $0 == 0 || numbers[$0 - 1] != numbers[$0] }.map { numbers[$0] }
  }

  /// Returns a recording of `units`, each with its mean duration; what is no unit is silent. It ends where it would be
  /// longer than one that is read.
  package func waveform(of units: [Int]) -> Waveform {
    let most = Waveform.limit * Spectrum.rate / Self.samples
    var frames: [Float] = []
    var (rest, total): (Float, Int) = (0, 0)
    for unit in units {
      let isCode = 0..<count ~= unit
      let duration = isCode ? durations[unit] : 1
      // What rounding leaves goes to the next unit, so that the whole has the length that it should.
      let times = max(1, Int((duration + rest).rounded()))
      rest += duration - Float(times)
      total += times
      guard total <= most else { break }
      let vector = isCode ? Array(codes[unit]) : Self.silence
      frames += repeatElement(vector, count: times).joined()
    }
    let samples = GriffinLim.samples(of: MelSpectrogram.magnitudes(of: frames))
    return Waveform(rate: Spectrum.rate, samples: samples)
  }

  /// A unit without sound.
  private static let silence = [Float](repeating: MelSpectrogram.silence, count: width)

  /// Returns the units of `waveform` as they are, the last one filled up by silence. [N, 4 · 80]
  private static func vectors(of waveform: Waveform) -> [Float] {
    let samples = waveform.resampled(to: Spectrum.rate).samples
    let missing = (Self.samples - samples.count % Self.samples) % Self.samples
    return MelSpectrogram.frames(of: samples + repeatElement(0, count: missing))
  }

  // MARK: Files

  /// What the file is called in a folder of shards, and in that of a run.
  package static let fileName = "speech.safetensors"

  /// Writes the codebook to the file at `path`: `units` f32 [K, 4, 80] and `durations` f32 [K].
  ///
  /// - Throws: `Diagnostic` if it cannot be written.
  package func write(to path: String) throws {
    try SafetensorsWriter.write(
      [
        Tensor(
          name: "units", shape: [count, Self.frames, MelSpectrogram.bands], floats: codes.values),
        Tensor(name: "durations", shape: [count], floats: durations),
      ], to: path)
  }

  /// Reads the codebook in the file at `path`.
  ///
  /// - Throws: `Diagnostic` if it is none, or holds numbers that no speech gives.
  package init(path: String) throws(Diagnostic) {
    try self.init(SafetensorsReader(path: path))
  }

  /// Reads the codebook in an open file.
  ///
  /// - Throws: `Diagnostic` if it is none, or holds numbers that no speech gives.
  init(_ reader: SafetensorsReader) throws(Diagnostic) {
    guard let units = reader.tensor("units"), let durations = reader.tensor("durations"),
      reader.names.count == 2, units.format == .f32, durations.format == .f32,
      durations.shape.count == 1, durations.shape[0] >= 1,
      units.shape == [durations.shape[0], Self.frames, MelSpectrogram.bands]
    else {
      throw Diagnostic(
        "\(reader.path) is no codebook of speech: it needs two tensors, units F32 [K, "
          + "\(Self.frames), \(MelSpectrogram.bands)] and durations F32 [K]")
    }
    self.init(
      codes: VectorCodes(
        width: Self.width, values: try Self.numbers(of: units, in: -20...20, reader.path)),
      durations: try Self.numbers(of: durations, in: 1...Self.longest, reader.path))
  }

  /// Returns the numbers of `tensor`, which must be in `range`.
  private static func numbers(
    of tensor: Tensor, in range: ClosedRange<Float>, _ path: String
  ) throws(Diagnostic) -> [Float] {
    let numbers = try tensor.floats()
    guard let index = numbers.firstIndex(where: { !range.contains($0) }) else { return numbers }
    throw Diagnostic(
      "\(path): \(tensor.name) are \(numbers[index]) at \(tensor.position(index)), but they are "
        + "from \(range.lowerBound) to \(range.upperBound)")
  }
}
