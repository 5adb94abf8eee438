import Foundation
import Runtime
import Testing

/// Text, pictures and speech trained together, from scenes to losses.
@Suite struct SpokenShapesTests {
  private static let canSpeak =
    Executables.find("espeak-ng") != nil && Executables.find("python3") != nil

  /// Draws a corpus of 12 scenes, of which 8 are spoken, in the folder `name`.
  private func draw(_ name: String, _ motc: Motc) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let program = "\(Motc.repository)/examples/shapes/draw.py"
    process.arguments = [
      "python3", program, motc.path(name), "--count", "12", "--spoken", "8",
    ]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  @Test(.enabled(if: canSpeak, "speech takes espeak-ng, and scenes take python3"))
  func threeModalitiesAreTrainedTogether() throws {
    let motc = try Motc()
    try draw("corpus", motc)
    let spec = "\(Motc.repository)/examples/spoken-shapes.swift-spec"
    let made = try motc(
      "tokenize", spec, "--data", "corpus", "--together", "-o", "shards", "--validation", "0.3")
    #expect(made.status == 0 && made.errors.contains("12 items"), "\(made.errors)")
    let trained = try motc(
      "train", spec, "--data", "shards", "--out", "run", "--steps", "6", "--validate-every", "1",
      "--warmup", "1", "--batch", "2")
    #expect(trained.status == 0, "\(trained.errors)")
    let lines = try motc.text("run/metrics.jsonl").split(separator: "\n").map { line in
      try JSONDecoder().decode([String: Double].self, from: Data(line.utf8))
    }
    for name in ["loss.text", "loss.image", "loss.speech"] {
      #expect(lines.allSatisfy { $0["validation.\(name)"] ?? 0 > 0 }, "\(name)")
    }
    let first = try #require(lines.first?["validation.loss"])
    let last = try #require(lines.last?["validation.loss"])
    #expect(last < first)
  }
}
