import Foundation
import MoTIR
import Runtime
import Testing

/// `motc generate`: text, pictures and speech, from and to files.
@Suite struct GenerateTests {
  @Test func equalSeedsDrawEqualTokens() throws {
    let model = try GeneratingModel()
    var texts: [String] = []
    var pictures: [[UInt8]] = []
    for seed in ["1", "1", "2"] {
      let text = try model("--prompt", "hello", "--tokens", "20", "--seed", seed)
      #expect(text.status == 0, "\(text.errors)")
      texts.append(text.output)
      let picture = try model("--prompt", "a", "--begin", "image", "-o", "p.png", "--seed", seed)
      #expect(picture.status == 0 && picture.output.isEmpty, "\(picture.errors)")
      pictures.append(try #require(model.bytes("p.png")))
    }
    #expect(texts[0] == texts[1] && texts[0] != texts[2])
    #expect(pictures[0] == pictures[1] && pictures[0] != pictures[2])
  }

  @Test func zeroTemperatureNeedsNoChance() throws {
    let model = try GeneratingModel()
    let settings = [["--seed", "1"], ["--seed", "2"], ["--seed", "1", "--threads", "3"]]
    let results = try settings.map { more in
      try model.motc.run(
        [
          "generate", "drawer.motir", "--weights", "w", "--prompt", "ab", "--temperature", "0",
          "--tokens", "30",
        ] + more)
    }
    #expect(results.allSatisfy { $0.status == 0 && $0.output == results[0].output })
    #expect(results[0].output.count > 1)
    // Of one token there is no choice either.
    let one = try model("--prompt", "ab", "--top-k", "1", "--tokens", "30")
    let few = try model("--prompt", "ab", "--top-p", "0.000001", "--tokens", "30")
    #expect(one.output == few.output && one.status == 0)
  }

  @Test func stdoutHoldsTextAlone() throws {
    let model = try GeneratingModel()
    let result = try model("--prompt", "hello", "--tokens", "100", "--temperature", "3")
    #expect(result.status == 0, "\(result.errors)")
    let bytes = try #require(model.bytes("stdout"))
    #expect(String(validating: bytes, as: UTF8.self) != nil)
    #expect(!bytes.isEmpty && bytes.last == UInt8(ascii: "\n"))
    #expect(bytes.allSatisfy { $0 >= 32 && $0 != 127 || $0 == 9 || $0 == 10 })
    #expect(result.errors.contains("5 tokens read, "))
    #expect(result.errors.contains("the document ended with the context of 40 tokens"))
  }

  @Test func picturesAreFiles() throws {
    let model = try GeneratingModel()
    let first = try model("--prompt", "red", "--begin", "image")
    #expect(first.status == 0 && first.errors.contains("image → generated.png"), "\(first.errors)")
    let picture = try Picture(png: try #require(model.bytes("generated.png")))
    #expect(picture.width == GeneratingModel.side && picture.height == GeneratingModel.side)
    // What was made is where the next document begins.
    let answer = try model("--picture", "generated.png", "--tokens", "3", "--stop", "none")
    #expect(answer.status == 0 && answer.errors.contains("18 tokens read, 3 written"))
    let cut = try model("--begin", "image", "--tokens", "1", "-o", "cut.png")
    #expect(cut.status == 0 && cut.errors.contains("ended inside a span"), "\(cut.errors)")
    #expect(try Picture(png: try #require(model.bytes("cut.png"))).width == picture.width)
  }

  @Test func furtherSpansGetNumbers() throws {
    let model = try GeneratingModel()
    // Bytes are never drawn: a document of pictures and speech, each with an end.
    try model.changeWeights { name, values in
      guard name.hasPrefix("head") else { return values }
      return values.enumerated().map { $0.offset / 16 < 256 ? 0 : $0.element * 1000 }
    }
    let result = try model("--prompt", "ab", "--tokens", "39", "-o", "o.png", "--seed", "1")
    #expect(result.status == 0, "\(result.errors)")
    let lines = result.errors.split(separator: "\n").filter { $0.contains(" → ") }
    #expect(lines.count >= 2, "\(result.errors)")
    for (index, line) in lines.enumerated() {
      let isPicture = line.hasPrefix("image")
      let name = "o\(index == 0 ? "" : "-\(index + 1)").\(isPicture ? "png" : "wav")"
      #expect(line.hasSuffix("→ \(name)"), "\(result.errors)")
      let bytes = try #require(model.bytes(name))
      #expect(bytes.starts(with: isPicture ? [0x89, 0x50, 0x4E, 0x47] : Array("RIFF".utf8)))
    }
  }

  @Test func speechIsHeardAndSpoken() throws {
    let model = try GeneratingModel()
    let spoken = try model("--prompt", "hi", "--begin", "speech", "-o", "s.wav", "--tokens", "9")
    #expect(spoken.status == 0 && spoken.errors.contains("speech → s.wav"), "\(spoken.errors)")
    let bytes = try #require(model.bytes("s.wav"))
    #expect(String(decoding: bytes[8..<16], as: UTF8.self) == "WAVEfmt ")
    let size = bytes[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    #expect(size + 8 == bytes.count && bytes.count > 44)
    let heard = try model("--speech", "corpus/0.wav", "--tokens", "4", "--stop", "none")
    #expect(heard.status == 0 && heard.errors.contains(", 4 written"), "\(heard.errors)")
    #expect(!heard.output.isEmpty)
  }

  @Test func documentsEndBehindTheirStop() throws {
    let model = try GeneratingModel()
    let arguments = ["--prompt", "ab", "--tokens", "30", "--top-k", "5"]
    func run(_ more: [String]) throws -> Motc.Result {
      try model.motc.run(["generate", "drawer.motir", "--weights", "w"] + arguments + more)
    }
    let whole = try run([]).output
    // A character that a terminal can be shown as it is, in the middle of the text.
    let stop = try #require(
      whole.dropFirst(2).first { $0.isASCII && !$0.isNewline }, "the text is \(whole)")
    let part = try run(["--stop", "\(stop)"])
    let wanted = whole.prefix(through: try #require(whole.firstIndex(of: stop)))
    #expect(part.status == 0 && part.output == wanted + "\n", "\(part.output) of \(whole)")
    #expect(!part.errors.contains("warning"))
  }

  @Test func codebooksStandBesideTheWeights() throws {
    let model = try GeneratingModel()
    let shards = model.motc.path("shards")
    try FileManager.default.createDirectory(
      atPath: model.motc.path("run/latest"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: "\(shards)/pictures.safetensors", toPath: model.motc.path("run/pictures.safetensors"))
    try FileManager.default.moveItem(
      atPath: model.motc.path("w"), toPath: model.motc.path("run/latest/weights.safetensors"))
    let arguments = [
      "generate", "drawer.motir", "--weights", "run/latest/weights.safetensors", "--begin",
    ]
    let found = try model.motc.run(arguments + ["image"])
    #expect(found.status == 0, "\(found.errors)")
    let missing = try model.motc.run(arguments + ["speech"])
    #expect(missing.status == 1 && missing.errors.contains("no codebook for modality 'speech'"))
    #expect(missing.errors.contains("--data"))
  }
}
