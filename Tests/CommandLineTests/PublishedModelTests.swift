import Foundation
import Runtime
import Testing

/// Models that others published: counted at full size, converted at the size of a toy.
@Suite struct PublishedModelTests {
  private struct Inspected: Decodable {
    struct Parameter: Decodable {
      let name: String
      let count: Int
    }
    let parameters: [Parameter]
  }

  /// Matrices of a layer with h query and k key channels, and its two norms.
  private static func layer(_ width: Int, _ h: Int, _ k: Int, _ hidden: Int) -> Int {
    2 * width * (h + k) + 3 * width * hidden + 2 * width
  }

  private static let bagelLayer = layer(3584, 3584, 512, 18_944) + 3584 + 2 * 512 + 2 * 128
  private static let bagelTower = 28 * bagelLayer + 3584
  private static let bagelTables = 2 * 152_064 * 3584
  private static let hyTower = 32 * layer(2048, 2048, 512, 6144) + 2048
  private static let hyShared = 32 * 2 * 128 + 120_818 * 2048
  private static let pi0Layers = layer(2048, 2048, 256, 16_384) + layer(1024, 2048, 256, 4096)
  private static let pi0Shared = 257_152 * 2048 + 2 * 1024 * 2048
  private static let counts: [(String, Int)] = [
    ("bagel", 2 * bagelTower + bagelTables), ("hy-embodied", 2 * hyTower + hyShared),
    ("pi0", 18 * pi0Layers + 2048 + 1024 + pi0Shared),
  ]

  @Test(arguments: counts)
  func parametersAreCounted(_ name: String, _ expected: Int) throws {
    let motc = try Motc()
    let result = try motc("inspect", "\(Motc.repository)/examples/\(name).swift-spec", "--json")
    #expect(result.status == 0, "\(result.errors)")
    let found = try JSONDecoder().decode(Inspected.self, from: Data(result.output.utf8))
    #expect(found.parameters.map(\.count).reduce(0, +) == expected)
  }

  /// Qwen2.5-7B, as it was published, and the norms of queries and keys.
  @Test func aTowerOfBagelIsQwen() {
    #expect(Self.bagelTower + Self.bagelTables == 7_615_616_512 + 28 * 2 * 128)
  }

  @Test(
    arguments: [
      (
        "bagel", "moe-gen",
        [
          "language_model.model.layers.1.self_attn.q_proj_moe_gen.bias": [48],
          "language_model.model.layers.1.mlp.down_proj.weight": [48, 72],
          "language_model.model.layers.0.self_attn.k_norm_moe_gen.weight": [12],
          "language_model.model.norm_moe_gen.weight": [48],
        ]
      ),
      (
        "hy-embodied", "hy",
        [
          "model.layers.1.self_attn.q_proj_v.weight": [48, 48],
          "model.layers.0.self_attn.query_layernorm.weight": [12],
          "model.layers.0.mlp_v.gate_proj.weight": [72, 48], "model.embed_tokens.weight": [80, 48],
        ]
      ),
      (
        "pi0", "pi0",
        [
          "paligemma.model.language_model.layers.0.self_attn.k_proj.weight": [16, 48],
          "gemma_expert.model.layers.0.self_attn.q_proj.weight": [64, 28],
          "gemma_expert.model.layers.1.mlp.down_proj.weight": [28, 40],
          "gemma_expert.model.norm.weight": [28], "paligemma.lm_head.weight": [80, 48],
        ]
      ),
    ] as [(String, String, [String: [Int]])])
  func checkpointsKeepTheirNames(
    _ name: String, _ scheme: String, _ expected: [String: [Int]]
  ) throws {
    let motc = try Motc()
    let path = "\(Motc.repository)/examples/\(name).swift-spec"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try motc.write(text.replacing("isToy = false", with: "isToy = true"), to: "toy.swift-spec")
    #expect(try motc("init", "toy.swift-spec", "-o", "w").status == 0)
    let common = ["convert", "toy.swift-spec", "--names", scheme]
    let there = try motc.run(common + ["--to", "--weights", "w", "-o", "theirs"])
    #expect(there.status == 0, "\(there.errors)")
    let tensors = try motc.tensors("theirs")
    for (name, shape) in expected { #expect(tensors[name]?.shape == shape, "\(name)") }
    let back = try motc.run(common + ["--weights", "theirs", "-o", "ours"])
    #expect(back.status == 0, "\(back.errors)")
    let files = try ["w", "ours"].map { try Data(contentsOf: URL(fileURLWithPath: motc.path($0))) }
    #expect(files[0] == files[1])
  }
}
