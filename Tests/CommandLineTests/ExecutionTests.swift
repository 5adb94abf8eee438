import Foundation
import MoTIR
import Runtime
import Testing

/// `motc init`, `run`, `train`: what they compute.
@Suite struct ExecutionTests {
  /// Returns a folder with weights and a batch with targets.
  private func prepared() throws -> Motc {
    let motc = try Motc()
    #expect(try motc("init", "model.motir", "--seed", "3", "-o", "w").status == 0)
    try motc.writeBatch([("targets", [2, 9], (0..<18).map { Int32($0 * 5 % 22) })])
    return motc
  }

  @Test func initRepeats() throws {
    let motc = try prepared()
    _ = try motc("init", "model.motir", "--seed", "3", "-o", "again")
    _ = try motc("init", "model.motir", "--seed", "4", "-o", "other")
    let bytes = try ["w", "again", "other"].map {
      try Data(contentsOf: URL(fileURLWithPath: motc.path($0)))
    }
    #expect(bytes[0] == bytes[1])
    #expect(bytes[0] != bytes[2])
    #expect(try motc.tensors("w").keys.sorted() == motc.module.expectedTensors.map(\.name).sorted())
  }

  @Test func lossAndGradients() throws {
    let motc = try prepared()
    let result = try motc(
      "run", "model.motir", "--weights", "w", "--input", "in", "--grad", "-o", "out")
    #expect(result.status == 0, "\(result.errors)")
    let tensors = try motc.tensors("out")
    let loss = try #require(tensors["loss"])
    #expect(loss.shape == [])
    let parts = try ["loss.m0", "loss.m1"].map { try #require(tensors[$0]).floats()[0] }
    #expect(abs(try loss.floats()[0] - parts[0] - parts[1]) < 1e-4)
    for (name, shape) in motc.module.expectedTensors {
      #expect(tensors["grad.\(name)"]?.shape == shape)
    }
  }

  @Test func traceHasABarForEachKernelAndThread() throws {
    let motc = try prepared()
    let result = try motc(
      "run", "model.motir", "--weights", "w", "--input", "in", "--grad", "-o", "out", "--threads",
      "2",
      "--trace", "trace.json")
    #expect(result.status == 0, "\(result.errors)")
    let data = try Data(contentsOf: URL(fileURLWithPath: motc.path("trace.json")))
    let trace = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let events = try #require(trace["traceEvents"] as? [[String: Any]])
    let bars = events.filter { $0["name"] as? String != "wait" }
    let byThread = Dictionary(grouping: bars) { $0["tid"] as? Int }
    #expect(Set(byThread.keys) == [0, 1])
    #expect(byThread[0]?.count == byThread[1]?.count)
    #expect(bars.contains { ($0["name"] as? String)?.hasPrefix("attention") == true })
    #expect(events.allSatisfy { $0["ph"] as? String == "X" && ($0["dur"] as? Double ?? -1) >= 0 })
  }

  @Test func fusedIsUnfused() throws {
    let motc = try prepared()
    for fuse in ["all", "none"] {
      let result = try motc(
        "run", "model.motir", "--weights", "w", "--input", "in", "--outputs", "loss", "--fuse",
        fuse,
        "-o", fuse, environment: ["OPENBLAS_CORETYPE": "Haswell"])
      #expect(result.status == 0)
      #expect(result.errors.contains("OPENBLAS_CORETYPE=Haswell") == (fuse == "none"))
    }
    let values = try ["all", "none"].map { name in
      try #require(try motc.tensors(name)["loss"]).floats()[0]
    }
    #expect(abs(values[0] - values[1]) < 1e-4)
  }

  @Test func warmStartCompilesNothing() throws {
    let motc = try prepared()
    var stages: [String] = []
    for _ in 0..<2 {
      let result = try motc(
        "run", "model.motir", "--weights", "w", "--input", "in", "-o", "out", "--time")
      stages.append(result.errors)
    }
    #expect(stages[0].contains("codegen"))
    #expect(!stages[1].contains("codegen"))
    #expect(!stages[1].contains("emit"))
  }

  @Test func threadsDoNotMatter() throws {
    let motc = try prepared()
    for threads in ["1", "3"] {
      _ = try motc(
        "run", "model.motir", "--weights", "w", "--input", "in", "--grad", "--threads", threads,
        "-o",
        threads)
    }
    let files = try ["1", "3"].map { try Data(contentsOf: URL(fileURLWithPath: motc.path($0))) }
    #expect(files[0] == files[1])
  }

  /// A spec from the repository, which needs Swift's compiler as these tests do.
  private let chameleon = "\(Motc.repository)/examples/chameleon.swift-spec"

  @Test func specRunsAtTheInputsSize() throws {
    let motc = try Motc()
    try motc.write([("tokens", [1, 16], (0..<16).map { Int32($0) })], to: "in")
    #expect(try motc("init", chameleon, "-o", "w").status == 0)
    let result = try motc("run", chameleon, "--weights", "w", "--input", "in", "-o", "out")
    #expect(result.status == 0, "\(result.errors)")
    #expect(try motc.tensors("out")["logits"]?.shape == [1, 16, 322])
  }
}
