import Foundation
import MoTIR
import Runtime
import Testing

/// `motc tokenize`: recordings, codebooks and what is refused.
@Suite struct TokenizeTests {
  private static let spec = "\(Motc.repository)/examples/chameleon-speech.swift-spec"
  private static let canSpeak = FileManager.default.isExecutableFile(atPath: "/usr/bin/espeak-ng")

  /// Writes a corpus of recordings that `speak` makes of their captions to the folder `name`.
  private func corpus(
    _ motc: Motc, _ name: String, _ captions: [String], _ speak: (Int, String) throws -> Void
  ) throws {
    try FileManager.default.createDirectory(
      atPath: motc.path(name), withIntermediateDirectories: true)
    for (index, caption) in captions.enumerated() { try speak(index, caption) }
    let lines = captions.enumerated().map { "\($0).wav\t\($1)\n" }
    try motc.write(lines.joined(), to: "\(name)/captions.txt")
  }

  /// Writes a corpus of tones.
  private func tones(_ motc: Motc, _ name: String) throws {
    try corpus(motc, name, ["low", "high", "higher"]) { index, _ in
      let samples = (0..<8000).map { Float(sin(Double($0 * (index + 1)) / 10) / 2) }
      try writeFile(
        Waveform(rate: 22_050, samples: samples).wav(), to: motc.path("\(name)/\(index).wav"))
    }
  }

  @Test func recordingsBecomeShards() throws {
    let motc = try Motc()
    try tones(motc, "tones")
    let first = try motc(
      "tokenize", Self.spec, "--data", "tones", "-o", "first", "--validation", "0")
    #expect(first.status == 0, "\(first.errors)")
    #expect(first.errors.contains("3 items → first: 6 documents"), "\(first.errors)")
    #expect(try motc.text("first/manifest.json").contains("\"file\" : \"speech.safetensors\""))
    #expect(try motc.tensors("first/speech.safetensors")["units"]?.shape == [500, 4, 80])
    // The same codebook gives the same shards, whatever the seed.
    let second = try motc(
      "tokenize", Self.spec, "--data", "tones", "-o", "second", "--validation", "0", "--seed", "9",
      "--speech-codebook", "first/speech.safetensors")
    #expect(second.status == 0, "\(second.errors)")
    #expect(try motc.text("first/manifest.json") == motc.text("second/manifest.json"))
  }

  @Test func speechIsLeftOutWhereNothingTakesIt() throws {
    let motc = try Motc()
    try tones(motc, "tones")
    let spec = "\(Motc.repository)/examples/chameleon.swift-spec"
    let result = try motc("tokenize", spec, "--data", "tones", "-o", "o", "--validation", "0")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("3 items → o: 3 documents"), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: motc.path("o/speech.safetensors")))
  }

  @Test func picturesAndSpeechOfOneCaptionStandTogether() throws {
    let motc = try Motc()
    let data = "\(Motc.repository)/examples/data"
    func documents(_ options: String...) throws -> [[Int]] {
      let out = "shards-\(options.count)"
      let result = try motc.run(
        ["tokenize", Self.spec, "--data", data, "-o", out, "--validation", "0"] + options)
      #expect(result.status == 0, "\(result.errors)")
      let shard = try motc.tensors("\(out)/train-00000.safetensors")
      let tokens = try #require(shard["tokens"]).integers()
      let ends = try #require(shard["ends"]).integers()
      return zip([0] + ends, ends).map { Array(tokens[$0..<$1]) }
    }
    #expect(try documents().count == 32)
    let together = try documents("--together")
    #expect(together.count == 16)
    // Text, picture, speech; and speech, text, picture: 256 and 258 begin the two.
    for (index, document) in together.enumerated() {
      let picture = try #require(document.firstIndex(of: 256))
      let speech = try #require(document.firstIndex(of: 258))
      #expect(index.isMultiple(of: 2) ? 0 < picture && picture < speech : speech == 0)
      #expect(document.last == (index.isMultiple(of: 2) ? 259 : 257))
    }
  }

  @Test func whatIsNoRecordingIsRefused() throws {
    let motc = try Motc()
    try tones(motc, "tones")
    try motc.write("no recording", to: "tones/1.wav")
    let result = try motc("tokenize", Self.spec, "--data", "tones", "-o", "o")
    #expect(result.status == 1)
    #expect(result.errors.contains("tones/1.wav: the recording is no sound WAV"))
    let other = try motc(
      "tokenize", Self.spec, "--data", "tones", "-o", "o", "--speech-codebook", "model.motir")
    #expect(other.status == 1)
    #expect(other.errors.contains("model.motir"))
  }

  @Test(.enabled(if: canSpeak)) func spokenWordsBecomeUnits() throws {
    let motc = try Motc()
    let captions = ["a red circle", "two blue squares", "three green crosses", "a red circle"]
    try corpus(motc, "spoken", captions) { index, caption in
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/espeak-ng")
      process.arguments = ["-w", motc.path("spoken/\(index).wav"), caption]
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
    }
    let result = try motc(
      "tokenize", Self.spec, "--data", "spoken", "-o", "shards", "--validation", "0",
      "--order", "content-first")
    #expect(result.status == 0, "\(result.errors)")
    let shard = try motc.tensors("shards/train-00000.safetensors")
    let tokens = try #require(shard["tokens"]).integers()
    let ends = try #require(shard["ends"]).integers()
    let documents = zip([0] + ends, ends).map { Array(tokens[$0..<$1]) }
    #expect(documents.count == 4 && documents[0] == documents[3])
    for (document, caption) in zip(documents, captions) {
      let units = document.filter { 324..<824 ~= $0 }
      #expect(document == [258] + units + [259] + (caption + "\n").utf8.map(Int.init))
      // A second or two, 25 units each, of which few repeat.
      #expect(10...60 ~= units.count, "\(units.count) units")
    }
  }
}
