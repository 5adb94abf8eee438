import Foundation
import MoTIR
import Runtime
import Testing

/// What `motc generate` cannot do: a sentence with a way out, and no crash.
@Suite struct GenerateRefusalTests {
  /// Expects `result` to be a refusal with exit code `status` that says all of `words`.
  private func expect(_ result: Motc.Result, _ status: Int32, _ words: String...) {
    #expect(result.status == status && result.output.isEmpty, "\(result.errors)")
    for word in words { #expect(result.errors.contains(word), "\(result.errors)") }
  }

  @Test func optionsThatMakeNoSense() throws {
    let motc = try Motc()
    for options in [
      ["--top-p", "0"], ["--top-p", "1.5"], ["--top-p", "nan"], ["--top-k", "0"],
      ["--temperature=-1"], ["--temperature", "nan"], ["--temperature", "inf"], ["--tokens", "0"],
      ["--tokens", "99999999999999999999"], ["--seed=-1"], ["--stop", ""], ["--context", "0"],
      ["-o", "-"],
    ] {
      let result = try motc.run(
        ["generate", "model.motir", "--weights", "w", "--prompt", "a"] + options)
      expect(result, 64, "Usage: motc generate")
    }
    expect(try motc("generate", "model.motir", "--weights", "w"), 64, "give --prompt")
    expect(try motc("generate", "model.motir", "--weights", "w", "--prompt", ""), 64, "--prompt")
  }

  @Test func promptsThatTheModelCannotTake() throws {
    let model = try GeneratingModel()
    let long = String(repeating: "a", count: GeneratingModel.context + 1)
    expect(
      try model("--prompt", long), 1, "41 tokens are more than the context of 40", "--context")
    expect(try model("--begin", "video"), 1, "no modality 'video'", "text, image, speech")
    expect(try model("--begin", "text"), 1, "begins with nothing", "--prompt")
    expect(try model("--picture", "nowhere.png"), 1, "nowhere.png: No such file")
    expect(try model("--picture", "corpus/0.wav"), 1, "corpus/0.wav: the picture is no sound PNG")
    expect(try model("--speech", "corpus/0.png"), 1, "corpus/0.png: the recording is no sound WAV")
    let wide = Picture(width: 5000, height: 1, pixels: [UInt8](repeating: 0, count: 15_000))
    try writeFile(wide.png(), to: model.motc.path("wide.png"))
    expect(try model("--picture", "wide.png"), 1, "5000x1 pixels")
    // As long as the context, there is room for one token.
    let full = try model("--prompt", String(long.dropLast()), "--stop", "none")
    #expect(full.status == 0 && full.errors.contains("40 tokens read, 1 written"))
    // It is refused before anything is read or compiled for it.
    let early = try model.motc(
      "generate", "drawer.motir", "--weights", "nowhere", "--data", "shards", "--prompt", long)
    expect(early, 1, "41 tokens are more than the context of 40")
  }

  @Test func bytesThatAreNoTextAreReplaced() throws {
    let model = try GeneratingModel()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    let run = "generate drawer.motir --weights w --tokens 3 --prompt \"$(printf 'a\\377\\376b')\""
    process.arguments = ["-c", "\"$0\" \(run) >out", Motc.program]
    process.currentDirectoryURL = URL(fileURLWithPath: model.motc.folder.path)
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 0)
    #expect(model.bytes("out")?.isEmpty == false)
  }

  @Test func codebooksThatAreMissingOrDamaged() throws {
    let model = try GeneratingModel()
    let arguments = ["generate", "drawer.motir", "--weights", "w", "--begin", "image"]
    expect(
      try model.motc.run(arguments), 1, "no codebook for modality 'image' beside the weights",
      "--data")
    let path = model.motc.path("shards/pictures.safetensors")
    var bytes = try #require(model.bytes("shards/pictures.safetensors"))
    bytes[bytes.count - 2] ^= 1
    try writeFile(bytes, to: path)
    expect(try model("--begin", "image"), 1, "pictures.safetensors is not", "motc tokenize")
    try writeFile(Array("no codebook".utf8), to: model.motc.path("pictures.safetensors"))
    expect(try model.motc.run(arguments), 1, "pictures.safetensors", "--data")
    // Text needs none.
    try FileManager.default.removeItem(atPath: model.motc.path("pictures.safetensors"))
    let text = ["generate", "drawer.motir", "--weights", "w", "--prompt", "a", "--tokens", "3"]
    #expect(try model.motc.run(text).status == 0)
  }

  @Test func weightsThatDoNotFit() throws {
    let model = try GeneratingModel()
    try model.changeWeights { name, values in
      name.hasPrefix("head") ? values.map { _ in 1e38 } : values
    }
    expect(try model("--prompt", "a"), 1, "not finite", "learning rate")
    try model.changeWeights { name, values in
      name.hasPrefix("head") ? values.map { _ in .nan } : values
    }
    expect(try model("--prompt", "a"), 1, "not finite")
    #expect(try model.motc("init", "model.motir", "-o", "w").status == 0)
    expect(try model("--prompt", "a"), 1, "is missing")
  }

  @Test func filesThatCannotBeWritten() throws {
    let model = try GeneratingModel()
    expect(try model("--begin", "image", "-o", "no/p.png"), 2, "no such folder")
    expect(try model("--begin", "image", "-o", "corpus"), 2, "a folder")
  }

  @Test func modulesOfOtherSizes() throws {
    let model = try GeneratingModel()
    expect(try model("--prompt", "a", "--context", "80"), 1, "a context of 40 tokens", "leave")
    expect(try model("--prompt", "a", "--batch", "2"), 1, "at batch 1", "leave --batch")
    let motc = model.motc
    func generate(_ module: Module) throws -> Motc.Result {
      try motc.write(module.text, to: "drawer.motir")
      return try model("--prompt", "a", "--tokens", "2")
    }
    expect(try generate(GeneratingModel.module(batch: 2)), 1, "not a batch of 2", "--batch 1")
    expect(
      try generate(GeneratingModel.module(context: .none)), 1, "no context, and no @decode",
      "motc compile --context")
    var lacking = try GeneratingModel.module()
    lacking.functions.removeAll { $0.name == "decode" }
    expect(try generate(lacking), 1, "no function @decode", "it holds @loss, @logits, @prefill")
    #expect(try generate(GeneratingModel.module(context: .slots(1))).status == 0)
  }

  @Test(arguments: [
    ("slots %", "slots %0 visible %", "\"tokens\" as slots"),
    ("as \"logits\"", "as \"other\"", "@decode must return \"logits\""),
    ("begin 256 end 257", "begin 2147483646 end 257", "the marker 2147483646"),
    ("context 40", "context 41", "f32[1, 41, width]"),
    ("context 40", "context 99999999999", "from 1 to 2147483647"),
    ("324..<332", "324..<400", "as f32[T=1, 400], and returns f32[T=1, 332]"),
  ])
  func modulesOfOthers(_ old: String, _ new: String, _ message: String) throws {
    let model = try GeneratingModel()
    var text = try GeneratingModel.module().text
    if old == "slots %" {
      text = text.replacing(/slots %\d+ visible %/, with: "slots %0 visible %")
    } else {
      text = text.replacing(old, with: new)
    }
    try model.motc.write(text, to: "drawer.motir")
    let result = try model("--prompt", "a", "--begin", "image")
    expect(result, 1, message)
  }
}
