import Foundation
import MoTIR
import Runtime
import TestSupport
import Testing

/// `motc convert`: tensors under other names, and back.
@Suite struct ConvertTests {
  /// Returns a folder with `model.motir` and its weights `w`.
  private func prepared() throws -> Motc {
    let motc = try Motc()
    #expect(try motc("init", "model.motir", "--seed", "3", "-o", "w").status == 0)
    return motc
  }

  private func bytes(_ name: String, _ motc: Motc) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: motc.path(name)))
  }

  /// Converts `w` to `theirs` and back, and returns the names in between.
  private func roundTrip(_ motc: Motc, _ scheme: String...) throws -> [String: Tensor] {
    let common = ["convert", "model.motir"] + scheme
    let there = try motc.run(common + ["--to", "--weights", "w", "-o", "theirs"])
    #expect(there.status == 0, "\(there.errors)")
    let back = try motc.run(common + ["--weights", "theirs", "-o", "ours"])
    #expect(back.status == 0, "\(back.errors)")
    #expect(try bytes("ours", motc) == bytes("w", motc), "\(scheme)")
    return try motc.tensors("theirs")
  }

  /// Returns the bytes of tensor `name` of file `file`.
  private func numbers(_ file: String, _ name: String, _ motc: Motc) throws -> [Float] {
    try #require(try motc.tensors(file)[name]).floats()
  }

  @Test(arguments: [
    ("moe-gen", "language_model.model.layers.1.self_attn.v_proj", ".weight", ["", "_moe_gen"]),
    ("moe-gen", "language_model.model.layers.0.mlp", ".gate_proj.weight", ["", "_moe_gen"]),
    ("moe-gen", "language_model.model.norm", ".weight", ["", "_moe_gen"]),
    ("list", "layers.0.feed_forward.local_experts.", ".w3.weight", ["0", "1"]),
    ("list", "layers.1.attention.local_experts_q_normalization.", ".weight", ["0", "1"]),
  ])
  func knownNames(scheme: String, start: String, end: String, modalities: [String]) throws {
    let motc = try prepared()
    let theirs = try roundTrip(motc, "--names", scheme)
    #expect(theirs.count == motc.module.expectedTensors.count)
    for modality in modalities { #expect(theirs["\(start)\(modality)\(end)"] != nil) }
  }

  @Test func oneSetOfWeightsIsThatOfTransformers() throws {
    let motc = try Motc()
    var sizes = TestModels.Sizes()
    sizes.modalities = 1
    try motc.write(try TestModels.mixture(sizes).text, to: "model.motir")
    #expect(try motc("init", "model.motir", "-o", "w").status == 0)
    let theirs = try roundTrip(motc, "--names", "hf")
    for name in [
      "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
      "model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.k_norm.weight",
      "model.layers.0.input_layernorm.weight", "model.layers.1.post_attention_layernorm.weight",
      "model.layers.1.mlp.down_proj.weight",
    ] { #expect(theirs[name] != nil, "\(name)") }
  }

  @Test func halvesOfHeadsBecomeNeighbours() throws {
    let motc = try prepared()
    _ = try roundTrip(motc, "--names", "moe-gen")
    // Heads are 4 wide; the model turns rows 0 and 1, 2 and 3, the other 0 and 2, 1 and 3.
    let ours = try numbers("w", "layers.0.attention.q.m1.weight", motc)
    let theirs = try numbers(
      "theirs", "language_model.model.layers.0.self_attn.q_proj_moe_gen.weight", motc)
    let width = 16
    for head in 0..<4 {
      for (row, other) in [0, 2, 1, 3].enumerated() {
        let (a, b) = ((head * 4 + row) * width, (head * 4 + other) * width)
        #expect(theirs[a..<(a + width)].elementsEqual(ours[b..<(b + width)]))
      }
    }
    // A model that turns the same pairs keeps its rows.
    let half = motc.module.text.replacing("interleaved", with: "half")
    #expect(half != motc.module.text)
    try motc.write(half, to: "model.motir")
    _ = try roundTrip(motc, "--names", "moe-gen")
    #expect(
      try numbers("theirs", "language_model.model.layers.0.self_attn.q_proj_moe_gen.weight", motc)
        == ours)
  }

  @Test func filesOfNames() throws {
    let motc = try prepared()
    try motc.write("like: moe-gen\nmodalities: [\"\", _v]\n", to: "suffix.yaml")
    #expect(
      try roundTrip(motc, "--map", "suffix.yaml")[
        "language_model.model.layers.0.self_attn.q_proj_v.weight"] != nil)
    let rules = """
      names:
        layers.{i}.attention.{p}.{modality}.{kind}: "{modality}.layers.{i}.{p}.kernel transposed"
        layers.{i}.{norm}.{modality}.weight: "{modality}.layers.{i}.{norm}.scale"
        layers.{i}.{part}.{p}.{modality}.weight: "{modality}.layers.{i}.{part}.{p}"
        norm.{modality}.weight: "{modality}.norm"
        embedding.weight: shared.embedding
        head.weight: shared.head transposed
      modalities: {m1: expert, m0: paligemma.model}
      """
    // Gains of queries and keys are no matrices.
    try motc.write(rules, to: "prefix.yaml")
    let result = try motc(
      "convert", "model.motir", "--weights", "w", "--to", "--map", "prefix.yaml", "-o", "x")
    #expect(result.status == 1 && result.errors.contains("[4] is no matrix"), "\(result.errors)")
    let gains =
      "names:\n  layers.{i}.attention.q_norm.{modality}.weight: q_norm.{i}.{modality}\n"
      + "  layers.{i}.attention.k_norm.{modality}.weight: k_norm.{i}.{modality}\n"
    try motc.write(rules.replacing("names:\n", with: gains), to: "prefix.yaml")
    let theirs = try roundTrip(motc, "--map", "prefix.yaml")
    #expect(theirs["expert.layers.1.k.kernel"]?.shape == [16, 8])
    #expect(theirs["paligemma.model.layers.0.feed_forward.gate"]?.shape == [24, 16])
    let ours = try numbers("w", "layers.1.attention.k.m1.weight", motc)
    #expect(try theirs["expert.layers.1.k.kernel"]?.floats()[1] == ours[16])
  }

  @Test(arguments: [ElementFormat.bf16, .f16])
  func shortNumbersStayAsTheyAre(format: ElementFormat) throws {
    let motc = try prepared()
    let tensors = try motc.tensors("w").values.map { tensor in
      let bytes = (0..<(2 * tensor.count)).map { UInt8($0 % 50) }
      return try Tensor(name: tensor.name, format: format, shape: tensor.shape, bytes: bytes)
    }
    try SafetensorsWriter.write(tensors, to: motc.path("w"))
    let theirs = try roundTrip(motc, "--names", "moe-gen")
    #expect(theirs.values.allSatisfy { $0.format == format })
  }

  // MARK: Several files

  /// Converts `w` and cuts the result into `a.safetensors` and `b.safetensors`, which an index lists.
  private func writeSharded(_ motc: Motc) throws {
    let theirs = try roundTrip(motc, "--names", "moe-gen").values.sorted { $0.name < $1.name }
    var places: [String] = []
    for (file, part) in [
      ("a.safetensors", theirs.prefix(20)), ("b.safetensors", theirs.dropFirst(20)),
    ] {
      try SafetensorsWriter.write(Array(part), to: motc.path(file))
      places += part.map { "\"\($0.name)\":\"\(file)\"" }
    }
    try motc.write(
      "{\"metadata\":{\"total_size\":1},\"weight_map\":{\(places.joined(separator: ","))}}",
      to: "model.safetensors.index.json")
  }

  @Test func filesThatBelongTogether() throws {
    let motc = try prepared()
    try writeSharded(motc)
    let common = ["convert", "model.motir", "--names", "moe-gen", "-o", "ours", "--weights"]
    for files in [["model.safetensors.index.json"], ["b.safetensors", "a.safetensors"]] {
      let result = try motc.run(common + files)
      #expect(result.status == 0, "\(result.errors)")
      let (ours, w) = (try motc.tensors("ours"), try motc.tensors("w"))
      #expect(try ours.mapValues { try $0.floats() } == w.mapValues { try $0.floats() })
    }
    let half = try motc.run(common + ["a.safetensors"])
    #expect(half.status == 1 && half.errors.contains("is missing"), "\(half.errors)")
    let twice = try motc.run(common + ["a.safetensors", "a.safetensors"])
    #expect(twice.status == 1 && twice.errors.contains("both have"), "\(twice.errors)")
  }

  @Test(arguments: [
    ("\"b.safetensors\"", "\"../w\"", "no name of a file in its folder"),
    ("\"b.safetensors\"", "\"/etc/passwd\"", "no name of a file in its folder"),
    ("\"b.safetensors\"", "7", "no name of a file in its folder"),
    ("\"b.safetensors\"", "\"c.safetensors\"", "cannot open ./c.safetensors"),
    ("\"language_model.lm_head.weight\"", "\"other\"", "does not have the tensor 'other'"),
    ("\"weight_map\"", "\"map\"", "no object 'weight_map'"), ("{", "[", "JSON"),
  ])
  func indexesThatLie(old: String, new: String, message: String) throws {
    let motc = try prepared()
    try writeSharded(motc)
    let name = "model.safetensors.index.json"
    let text = try motc.text(name)
    let range = try #require(text.range(of: old))
    try motc.write(text.replacingCharacters(in: range, with: new), to: name)
    let result = try motc(
      "convert", "model.motir", "--names", "moe-gen", "-o", "none", "--weights", name)
    #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: motc.path("none")))
  }

  // MARK: What is refused

  @Test func tensorsThatDoNotFit() throws {
    let motc = try prepared()
    var tensors = try roundTrip(motc, "--names", "list").values.sorted { $0.name < $1.name }
    tensors.removeAll { $0.name == "output.weight" }
    tensors.append(try Tensor(name: "vision.a", shape: [2], floats: [1, 2]))
    tensors.removeAll { $0.name == "norm.0.weight" }
    tensors.append(try Tensor(name: "norm.0.weight", shape: [2], floats: [1, 2]))
    try SafetensorsWriter.write(tensors, to: motc.path("theirs"))
    try motc.write("like: list\nignored: [vision., audio.]\n", to: "names.yaml")
    let common = ["convert", "model.motir", "--weights", "theirs", "-o", "none"]
    let result = try motc.run(common + ["--names", "list"])
    #expect(result.status == 1)
    for part in ["'output.weight' [22, 16] is missing", "no tensor 'vision.a'", "has shape [2]"] {
      #expect(result.errors.contains(part), "\(result.errors)")
    }
    let ignoring = try motc.run(common + ["--map", "names.yaml"])
    #expect(ignoring.status == 1 && !ignoring.errors.contains("vision.a"))
    #expect(!FileManager.default.fileExists(atPath: motc.path("none")))
  }

  @Test(arguments: [
    ("nmes: {}", "n.yaml:1:1: error: there is no key 'nmes'"), ("names: 7", "NAME: NAME"),
    ("like: other", "there are hf, moe-gen, hy, pi0, list"), ("like: [hf]", "like is the name"),
    ("rotary: third", "half or interleaved"), ("ignored: a", "a list"),
    ("names:\n  a.weight: b rotary", "rotary: half or interleaved is missing"),
    ("names:\n  a.weight: b upside-down", "n.yaml:2:3: error: 'a.weight' stands for"),
    ("names:\n  a.weight: b c d", "stands for a name"), ("names:\n  a.weight: []", "stands for"),
    ("names:\n  a{i}.weight: b", "between dots"), ("names:\n  a.{i}.{i}: b", "between dots"),
    ("names:\n  a.{i}: b{j}", "does not have"), ("names:\n  a.b: c{number}", "does not have"),
    ("names:\n  a.{modality}: c", "before the last part"),
    ("names:\n  {a: b", "no YAML"), ("a: *b", "no anchors"), ("\u{FF}", "KEY: VALUE"),
    ("like: list\nmodalities: [a]", "none for the modality 'm1', number 1"),
    ("like: list\nmodalities: {m1: a}", "none for the modality 'm0', number 0"),
    ("like: moe-gen\nmodalities: [a, a]", "would both be"),
    ("names:\n  embedding.weight: a", "no rule has a name for 'head.weight'"),
    ("names:\n  norm.{modality}.weight: \"\\u0001\"", "no rule has"),
  ])
  func namesThatAreNone(text: String, message: String) throws {
    let motc = try prepared()
    try motc.write(text, to: "n.yaml")
    let result = try motc(
      "convert", "model.motir", "--weights", "w", "--to", "--map", "n.yaml", "-o", "none")
    #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: motc.path("none")))
  }
}
