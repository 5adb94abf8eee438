import Foundation
import MoTIR
import Runtime
import Testing

/// `motc eval`: losses by modality, as validation has them.
@Suite struct EvaluateTests {
  /// Returns a folder with shards and the run `run` of `model.motir`.
  private func trained() throws -> Motc {
    let tests = TrainingTests()
    let motc = try tests.prepared()
    #expect(try motc.run(tests.command("run", steps: 3)).status == 0)
    return motc
  }

  private func evaluate(_ motc: Motc, _ more: [String]) throws -> Motc.Result {
    try motc.run(["eval", "model.motir", "--weights", "run/latest/weights.safetensors"] + more)
  }

  @Test func lossesAreThoseOfValidation() throws {
    let motc = try trained()
    let result = try evaluate(motc, ["--data", "shards", "--json", "found.json"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("perplexity") && result.output.contains("m1"))
    struct Found: Decodable {
      struct Loss: Decodable {
        let targets: Int
        let loss: Double
        let perplexity: Double
      }
      let losses: [String: Loss]
    }
    let found = try JSONDecoder().decode(Found.self, from: Data(motc.text("found.json").utf8))
    let lines = try motc.text("run/metrics.jsonl").split(separator: "\n")
    let last = try JSONDecoder().decode([String: Double?].self, from: Data(lines[2].utf8))
    for name in ["m0", "m1"] {
      let loss = try #require(found.losses[name])
      let validated = try #require(last["validation.loss.\(name)"] ?? nil)
      #expect(abs(loss.loss - validated) < 1e-6 && loss.targets > 0, "\(name)")
      #expect(abs(log(loss.perplexity) - loss.loss) < 1e-9)
    }
  }

  @Test(arguments: [
    (["--data", "nowhere"], 1, "nowhere/manifest.json"),
    (["--data", "shards", "--generate", "2"], 64, "stand together"),
    (["--data", "shards", "--out", "made"], 64, "stand together"),
    (["--data", "shards", "--checker", "x"], 64, "--checker"),
    (["--data", "shards", "--batches", "-1"], 64, "--batches"),
    (["--data", "shards", "--generate", "0", "--out", "made"], 64, "--generate is at least 1"),
    (["--data", "shards", "--generate", "2", "--out", "made"], 1, "no @decode"),
    (["--data", "shards", "--json", "missing/found.json"], 2, "no such folder"),
  ])
  func refusals(_ arguments: [String], _ status: Int32, _ message: String) throws {
    let motc = try trained()
    let result = try evaluate(motc, arguments)
    #expect(result.status == status && result.errors.contains(message), "\(result.errors)")
  }
}
