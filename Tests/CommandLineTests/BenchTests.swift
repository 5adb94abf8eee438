import Foundation
import MoTIR
import Runtime
import TestSupport
import Testing

/// `motc bench`: what it measures, compares and draws. Values are nobody's concern here.
@Suite struct BenchTests {
  /// Returns the JSON that `motc bench` writes of the small model, measured once.
  private func report(_ motc: Motc, _ arguments: String...) throws -> [String: Any] {
    let result = try motc.run(
      ["bench", "model.motir", "--repeat", "1", "--json", "bench.json"] + arguments)
    #expect(result.status == 0, "\(result.errors)")
    let data = try Data(contentsOf: URL(fileURLWithPath: motc.path("bench.json")))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  @Test func tasksAndModesThatAreAskedFor() throws {
    let motc = try Motc()
    let report = try report(
      motc, "--compare", "fused", "--tasks", "forward", "--kernels")
    #expect(try motc.text("stdout").contains("attention"))
    #expect(report["forward"] != nil)
    #expect(report["train"] == nil && report["update"] == nil)
    #expect(try motc("bench", "model.motir", "--tasks", "sleep").status == 64)
  }

  @Test func fusedAgainstUnfused() throws {
    let report = try report(Motc())
    for part in ["train", "forward", "gradients"] {
      let modes = try #require(report[part] as? [String: [String: Double]])
      for mode in ["fused", "unfused"] {
        for key in ["tokens_per_second", "gflops", "share_of_peak", "seconds_per_step"] {
          #expect((modes[mode]?[key] ?? 0) > 0, "\(part) \(mode) \(key)")
        }
      }
    }
    #expect((report["ratios"] as? [String: Double])?.keys.sorted() == ["forward", "train"])
  }

  @Test func theUpdateAndTheMemory() throws {
    let report = try report(Motc(), "--compare", "fused", "--tasks", "train")
    let machine = try #require(report["machine"] as? [String: Any])
    #expect((machine["memory_bandwidth"] as? Double ?? 0) > 0)
    let update = try #require(report["update"] as? [String: [String: Double]])
    #expect((update["fused"]?["gigabytes_per_second"] ?? 0) > 0)
    #expect((update["fused"]?["share_of_memory_bandwidth"] ?? 0) > 0)
  }

  @Test func theVectorUnitHasNoMatrixPeak() throws {
    let report = try report(
      Motc(), "--compare", "fused", "--tasks", "forward", "--disable", "split-f32")
    let machine = try #require(report["machine"] as? [String: Any])
    #expect(machine["matrix_peak_gflops"] == nil)
  }

  @Test(arguments: ["f32", "bf16"])
  func theMatrixUnitHasAPeakOfItsOwn(_ precision: String) throws {
    let report = try report(
      Motc(), "--compare", "fused", "--tasks", "forward", "--precision", precision)
    let peak = (report["machine"] as? [String: Any])?["matrix_peak_gflops"] as? Double
    let forward = try #require(report["forward"] as? [String: [String: Double]])
    let share = forward["fused"]?["share_of_matrix_peak"]
    // Where there is no such unit there is neither.
    #expect((peak ?? 1) > 0 && (share ?? 1) > 0)
    #expect((peak == nil) == (share == nil))
  }

  @Test func ablationTurnsOnEverything() throws {
    let motc = try Motc()
    let report = try report(motc, "--ablate", "--tasks", "train", "--disable", "dead-code")
    let stages = try #require(report["ablation"] as? [[String: Any]])
    let names = stages.compactMap { $0["stage"] as? String }
    #expect(names.prefix(3) == ["unfused", "generated-matmul", "cache-routing-plan"])
    // Its modalities have too few tokens for `split-f32`.
    #expect(names.last == "fuse-row-chains")
    #expect(!names.contains("dead-code"))
    let syncs = stages.compactMap { $0["syncs"] as? Int }
    #expect(syncs.first ?? 0 > 0 && syncs.last == 0)
    let kernels = stages.compactMap { $0["kernels"] as? Int }
    #expect(try #require(kernels.first) > #require(kernels.last))
    #expect((report["train"] as? [String: Any])?.count == names.count)
    #expect(try motc.text("stdout").contains("+ keep-grouped"))
  }

  @Test func mixesAreComparedWithTheFirst() throws {
    let report = try report(
      Motc(), "--tasks", "forward", "--mix", "95,5", "--mix", "100,0", "--mix", "random")
    let ratios = try #require(report["over_first"] as? [String: [String: Double]])
    #expect(ratios["forward"]?.keys.sorted() == ["fused 100,0", "fused random"])
    #expect(report["mix"] as? String == "95,5")
  }

  @Test func mixOfAnotherNumberOfModalities() throws {
    let result = try Motc()("bench", "model.motir", "--mix", "50,25,25")
    #expect(result.status == 1)
    #expect(result.errors.contains("3 shares") && result.errors.contains("2 modalities"))
  }

  /// Writes a model of one modality, as large as the other, to `dense.motir`.
  private func writeDense(_ motc: Motc, sequence: Int) throws {
    var sizes = TestModels.Sizes()
    (sizes.modalities, sizes.vocabulary, sizes.sequence) = (1, 22, sequence)
    try motc.write(try TestModels.mixture(sizes).text, to: "dense.motir")
  }

  @Test func modelAgainstModel() throws {
    let motc = try Motc()
    try writeDense(motc, sequence: 9)
    let report = try report(motc, "--tasks", "train", "--against", "dense.motir")
    let ratios = try #require(report["over_first"] as? [String: [String: Double]])
    for part in ["train", "gradients"] {
      #expect(ratios[part]?.keys.sorted() == ["fused mixture"])
    }
  }

  @Test func modelsOfOtherSizesAreNotCompared() throws {
    let motc = try Motc()
    try writeDense(motc, sequence: 8)
    let result = try motc("bench", "model.motir", "--against", "dense.motir")
    #expect(result.status == 1)
    #expect(result.errors.contains("2 x 9") && result.errors.contains("2 x 8"))
    #expect(try motc("bench", "model.motir", "--against", "nowhere.motir").status == 1)
  }

  // MARK: Pictures

  @Test func picturesNeedGnuplot() throws {
    let motc = try Motc()
    let result = try motc.run(
      ["bench", "model.motir", "--svg", "pictures"], environment: ["PATH": motc.folder.path])
    #expect(result.status == 2 && result.output.isEmpty)
    #expect(result.errors.contains("gnuplot-nox"))
    #expect(!FileManager.default.fileExists(atPath: motc.path("pictures")))
  }

  /// Whether there is a gnuplot, without which nothing is drawn.
  private static let hasGnuplot = Executables.find("gnuplot") != nil

  @Test(.enabled(if: hasGnuplot)) func picturesAreDrawn() throws {
    let motc = try Motc()
    _ = try report(
      motc, "--ablate", "--tasks", "train", "--disable", Self.mostPasses, "--svg", "new/pictures")
    for (name, word) in [("ablation", "+ generated-matmul"), ("roofline", "GFLOP/s")] {
      let svg = try motc.text("new/pictures/\(name).svg")
      #expect(svg.hasPrefix("<?xml") && svg.contains("</svg>"))
      #expect(svg.contains(word), "\(name)")
    }
  }

  /// So that there are few stages.
  private static let mostPasses = [
    "common-subexpressions", "fuse-head-loss", "fuse-projections", "recompute-cheap-values",
    "fuse-norm-prologue", "fuse-epilogues", "fuse-row-chains", "keep-grouped",
  ].joined(separator: ",")

  @Test(.enabled(if: hasGnuplot)) func pictureFoldersThatCannotBe() throws {
    let motc = try Motc()
    let result = try motc("bench", "model.motir", "--svg", "model.motir/pictures")
    #expect(result.status == 2 && result.output.isEmpty)
    #expect(result.errors.contains("model.motir/pictures"))
  }
}
