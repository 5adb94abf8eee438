import Foundation
import MoTIR
import Runtime
import Testing

/// Pictures as continuous tokens, from files to files.
@Suite struct TransfusionTests {
  private static let text = Modality("text", vocabulary: 0..<258)
  private static let image = Modality(
    "image", latents: 12, begin: 256, end: 257, attends: .withinSpan)

  /// Returns the model at these sizes.
  private func module(batch: Int, context: Model.Context = .none) throws -> Module {
    try Model("painter", modalities: [Self.text, Self.image], width: 16) {
      Embedding()
      Residual {
        RMSNorm()
        Attention(heads: 2, documents: true)
      }
      Residual {
        RMSNorm()
        FeedForward(hidden: 24)
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: Self.text)
      Denoise(on: Self.image, weight: 5)
    }.module(batch: batch, sequence: 24, context: context)
  }

  /// Returns a folder with models and `shards` of pictures of 2 x 2 patches of 2 x 2 pixels.
  private func prepared() throws -> Motc {
    let motc = try Motc()
    try motc.write(module(batch: 2).text, to: "painter.motir")
    try motc.write(module(batch: 1, context: .slots(48)).text, to: "drawer.motir")
    try motc.write(module(batch: 2, context: .slots(48)).text, to: "guided.motir")
    try FileManager.default.createDirectory(
      atPath: motc.path("corpus"), withIntermediateDirectories: true)
    for number in 0..<6 {
      let pixels = (0..<(3 * 4 * 4)).map { UInt8($0 * (number + 1) % 256) }
      try writeFile(
        Picture(width: 4, height: 4, pixels: pixels).png(), to: motc.path("corpus/\(number).png"))
    }
    try motc.write((0..<6).map { "\($0).png\tpicture \($0)\n" }.joined(), to: "corpus/captions.txt")
    let result = try motc(
      "tokenize", "painter.motir", "--data", "corpus", "-o", "shards", "--side", "2", "--patch",
      "2", "--validation", "0.3")
    #expect(result.status == 0, "\(result.errors)")
    return motc
  }

  private func train(_ motc: Motc, _ out: String, _ more: String...) throws -> Motc.Result {
    try motc.run(
      [
        "train", "painter.motir", "--data", "shards", "--out", out, "--steps", "4", "--warmup", "1",
        "--checkpoint-every", "2", "--validate-every", "2",
      ] + more)
  }

  @Test func trainingReportsAndGoesOnBitForBit() throws {
    let motc = try prepared()
    let whole = try train(motc, "whole", "--threads", "1")
    #expect(whole.status == 0, "\(whole.errors)")
    let header = try motc.text("whole/metrics.csv").prefix { $0 != "\n" }
    #expect(header.contains("loss.image") && header.contains("validation.loss.image"))
    let weights = "checkpoints/step-00000004/weights.safetensors"
    let expected = FileManager.default.contents(atPath: motc.path("whole/\(weights)"))
    #expect(expected != nil)
    #expect(try train(motc, "other", "--threads", "3").status == 0)
    #expect(FileManager.default.contents(atPath: motc.path("other/\(weights)")) == expected)
    try FileManager.default.removeItem(atPath: motc.path("other/checkpoints/step-00000004"))
    let resumed = try train(motc, "other", "--resume", "auto")
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(FileManager.default.contents(atPath: motc.path("other/\(weights)")) == expected)
    #expect(try train(motc, "added", "--accumulate", "2").status == 0)
  }

  @Test func picturesAreMadeOfNoise() throws {
    let motc = try prepared()
    #expect(try train(motc, "run").status == 0)
    func draw(_ model: String, _ name: String, _ more: String...) throws -> [UInt8]? {
      let result = try motc.run(
        [
          "generate", model, "--weights", "run/latest/weights.safetensors", "--prompt", "a picture",
          "--begin", "image", "--steps", "3", "-o", name,
        ] + more)
      #expect(result.status == 0, "\(result.errors)")
      return FileManager.default.contents(atPath: motc.path(name)).map(Array.init)
    }
    let first = try #require(try draw("drawer.motir", "a.png", "--threads", "1"))
    let picture = try Picture(png: first)
    #expect(picture.width == 4 && picture.height == 4)
    #expect(try draw("drawer.motir", "b.png", "--threads", "3") == first)
    #expect(try draw("drawer.motir", "c.png", "--seed", "1") != first)
    #expect(try draw("drawer.motir", "d.png", "--eta", "1") != first)
    // After four steps the text changes what is said by 0.003, and 47 of 48 estimates are beyond the range and cut to
    // it, so that one level alone could tell: at guidance 3 it moves by 0.002, less than a byte does (0.008), at 300
    // by enough.
    #expect(try draw("guided.motir", "e.png", "--guidance", "300") != first)
    let said = try motc(
      "generate", "drawer.motir", "--weights", "run/latest/weights.safetensors", "--picture",
      "a.png",
      "--tokens", "5")
    #expect(said.status == 0, "\(said.errors)")
    let refused = try motc(
      "generate", "drawer.motir", "--weights", "run/latest/weights.safetensors", "--begin", "image",
      "--guidance", "2", "-o", "f.png")
    #expect(refused.status == 1 && refused.errors.contains("two sequences"), "\(refused.errors)")
  }

  // MARK: Without text

  /// Returns the numbers of the last step of the run `out`.
  private func last(_ out: String, _ motc: Motc) throws -> [String: Double?] {
    let lines = try motc.text("\(out)/metrics.jsonl").split(separator: "\n")
    return try JSONDecoder().decode(
      [String: Double?].self, from: Data(try #require(lines.last).utf8))
  }

  @Test func picturesWithoutTextAreTheSameAfterAStop() throws {
    let motc = try prepared()
    func weights(_ out: String) -> Data? {
      FileManager.default.contents(
        atPath: motc.path("\(out)/checkpoints/step-00000004/weights.safetensors"))
    }
    #expect(try train(motc, "none").status == 0)
    #expect(try train(motc, "whole", "--condition-dropout", "0.5").status == 0)
    let expected = try #require(weights("whole"))
    #expect(weights("none") != expected)
    #expect(try train(motc, "other", "--condition-dropout", "0.5").status == 0)
    try FileManager.default.removeItem(atPath: motc.path("other/checkpoints/step-00000004"))
    let resumed = try train(motc, "other", "--resume", "auto")
    #expect(resumed.status == 0 && weights("other") == expected, "\(resumed.errors)")
    let changed = try train(motc, "other", "--resume", "auto", "--condition-dropout", "0.25")
    #expect(changed.status == 1)
    #expect(
      changed.errors.contains("condition_dropout is 0.25, but was 0.5"), "\(changed.errors)")
  }

  @Test func checkpointsThatAreOlderThanTheSettingGoOn() throws {
    let motc = try prepared()
    #expect(try train(motc, "run").status == 0)
    let state = "run/checkpoints/step-00000004/state.json"
    let text = try motc.text(state)
    let old = text.replacing(#/"condition_dropout"\s*:\s*"0.0"\s*,/#, with: "")
    #expect(old != text)
    try motc.write(old, to: state)
    let again = try train(motc, "run", "--resume", "auto")
    #expect(again.status == 0 && again.errors.contains("last step"), "\(again.errors)")
    let changed = try train(motc, "run", "--resume", "auto", "--condition-dropout", "1")
    #expect(
      changed.status == 1 && changed.errors.contains("condition_dropout is 1.0, but was 0.0"),
      "\(changed.errors)")
  }

  @Test func validationAlwaysHasItsText() throws {
    let motc = try prepared()
    #expect(try train(motc, "with", "--learning-rate", "0").status == 0)
    let without = try train(
      motc, "without", "--learning-rate", "0", "--condition-dropout", "1")
    #expect(without.status == 0, "\(without.errors)")
    let (one, other) = (try last("with", motc), try last("without", motc))
    #expect(one["loss.text"] != other["loss.text"], "training has it not")
    for name in ["validation.loss", "validation.loss.text", "validation.loss.image"] {
      #expect(one[name] == other[name] && one[name] != nil, "\(name)")
    }
  }

  // MARK: Evaluation

  @Test func squaresHaveNoPerplexity() throws {
    let motc = try prepared()
    #expect(try train(motc, "run").status == 0)
    let result = try motc(
      "eval", "painter.motir", "--weights", "run/latest/weights.safetensors", "--data", "shards",
      "--json", "found.json")
    #expect(result.status == 0, "\(result.errors)")
    func words(_ name: String) -> Int? {
      result.output.split(separator: "\n").map { $0.split(separator: " ") }
        .first { $0.first == name[...] }?.count
    }
    #expect(words("text") == 4 && words("image") == 3, "\(result.output)")
    struct Found: Decodable {
      let losses: [String: [String: Double]]
    }
    let found = try JSONDecoder().decode(Found.self, from: Data(motc.text("found.json").utf8))
    #expect(found.losses["text"]?.keys.sorted() == ["loss", "perplexity", "targets"])
    #expect(found.losses["image"]?.keys.sorted() == ["loss", "targets"])
    let image = try #require(found.losses["image"]?["loss"])
    let validated = try #require(try last("run", motc)["validation.loss.image"] ?? nil)
    #expect(abs(image - validated) < 1e-6)
  }

  @Test func evaluationDrawsAndDescribes() throws {
    let motc = try prepared()
    #expect(try train(motc, "run").status == 0)
    try motc.write(
      "#!/bin/sh\nprintf '{\"lines\": %d}' $(wc -l < $1/captions.txt)\n", to: "count.sh")
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: motc.path("count.sh"))
    func evaluate(_ model: String, _ out: String, _ more: String...) throws -> Motc.Result {
      try motc.run(
        [
          "eval", model, "--weights", "run/latest/weights.safetensors", "--data", "shards",
          "--split", "train", "--batches", "0", "--generate", "3", "--steps", "2", "--out", out,
          "--checker", "count.sh",
        ] + more)
    }
    let result = try evaluate("guided.motir", "made", "--json", "scores.json")
    #expect(result.status == 0, "\(result.errors)")
    #expect(try motc.text("scores.json").contains(#""lines" : 3"#))
    let drawn = try motc.text("made/captions.txt").split(separator: "\n")
    #expect(drawn.count == 3 && drawn[2].hasPrefix("pictures/000002.png\tpicture "), "\(drawn)")
    func picture(_ name: String) throws -> Picture {
      try Picture(
        png: Array(try #require(FileManager.default.contents(atPath: motc.path(name)))))
    }
    #expect(try picture("made/pictures/000002.png").width == 4)
    // What is described is what the corpus has.
    for line in try motc.text("made/said/truth.txt").split(separator: "\n") {
      let parts = line.split(separator: "\t")
      let number = try #require(parts[1].split(separator: " ").last)
      #expect(
        try picture("made/said/\(parts[0])").pixels == picture("corpus/\(number).png").pixels)
    }
    // Noise has the number of its document, not its place in a batch.
    #expect(try evaluate("drawer.motir", "alone").status == 0)
    #expect(
      try picture("alone/pictures/000002.png").pixels
        == picture("made/pictures/000002.png").pixels)
    #expect(try evaluate("guided.motir", "guided", "--guidance", "300").status == 0)
    #expect(
      try picture("guided/pictures/000002.png").pixels
        != picture("made/pictures/000002.png").pixels)
    let refused = try evaluate("drawer.motir", "refused", "--guidance", "2")
    #expect(
      refused.status == 1 && refused.errors.contains("two sequences a document"),
      "\(refused.errors)")
  }

  @Test func batchesOfFilesAreRun() throws {
    let motc = try prepared()
    #expect(try motc("init", "painter.motir", "--seed", "1", "-o", "w").status == 0)
    let written = try motc("batch", "painter.motir", "--data", "shards", "--step", "1", "-o", "in")
    #expect(written.status == 0, "\(written.errors)")
    let run = ["run", "painter.motir", "--weights", "w", "--input", "in", "-o", "out"]
    let result = try motc.run(run + ["--grad"])
    #expect(result.status == 0, "\(result.errors)")
    let found = try motc.tensors("out")
    #expect(found["loss.image"]?.shape == [])
    #expect(found["grad.embedding.patch.image.weight"]?.shape == [16, 12])
    #expect(try motc.run(run + ["--outputs", "prediction.image"]).status == 0)
    #expect(try motc.tensors("out")["prediction.image"]?.shape == [2, 24, 12])
    let tensors = try SafetensorsReader(path: motc.path("in")).all
    try SafetensorsWriter.write(
      tensors.filter { !["noise.image", "timesteps.image"].contains($0.name) }, to: motc.path("in"))
    let noise = try motc.run(run)
    #expect(
      noise.status == 1
        && noise.errors.contains(
          "@loss takes the input 'noise.image', which the file does not have"),
      "\(noise.errors)")
  }

  @Test func pixelsMustFillTokens() throws {
    let motc = try prepared()
    let wide = try motc(
      "tokenize", "painter.motir", "--data", "corpus", "-o", "wide", "--patch", "4")
    #expect(
      wide.status == 1
        && wide.errors.contains(
          "a patch of 4x4 pixels has 48 numbers, and a token of modality 'image' 12"),
      "\(wide.errors)")
    let palette = try motc(
      "tokenize", "painter.motir", "--data", "corpus", "-o", "palette", "--pictures", "palette")
    #expect(palette.status == 1 && palette.errors.contains("need no codebook"), "\(palette.errors)")
  }
}
