import Foundation
import MoTIR
import Runtime
import Testing

/// `motc train`: what is left when it ends, however it ends.
@Suite struct TrainingTests {
  /// Returns a folder with shards for `model.motir`.
  private func prepared() throws -> Motc {
    let motc = try Motc()
    try writeShards("shards", motc)
    return motc
  }

  private func writeShards(_ name: String, _ motc: Motc, documents: Int = 40) throws {
    var writer = try ShardWriter(folder: motc.path(name), module: motc.module)
    for number in 0..<documents {
      let document = (0...(number * 5 % 9)).map { (number * 3 + $0 * 7) % 22 }
      try writer.append(document, to: number.isMultiple(of: 8) ? .validation : .train)
    }
    _ = try writer.finish(pictures: nil)
  }

  /// The command of a run to `out` with three checkpoints.
  private func command(_ out: String, steps: Int = 6, _ more: [String] = []) -> [String] {
    [
      "train", "model.motir", "--data", "shards", "--out", out, "--steps", "\(steps)",
      "--checkpoint-every", "\(max(2, steps / 3))", "--validate-every", "3", "--warmup", "2",
      "--threads", "1",
    ] + more
  }

  /// What is left of the run `out`: the last weights and moments, and the metrics without times.
  private func remains(_ out: String, _ motc: Motc) throws -> [String] {
    let files = try ["weights", "optimizer"].map { name in
      try Data(contentsOf: URL(fileURLWithPath: motc.path("\(out)/latest/\(name).safetensors")))
        .base64EncodedString()
    }
    let lines = try motc.text("\(out)/metrics.jsonl").split(separator: "\n")
    let rows = try motc.text("\(out)/metrics.csv").split(separator: "\n")
    return files
      + lines.map { String($0[..<($0.range(of: ",\"seconds\"")?.lowerBound ?? $0.endIndex)]) }
      + rows.map { String($0[..<($0.lastIndex(of: ",") ?? $0.endIndex)]) }
  }

  @Test func threadsAndStopsChangeNothing() throws {
    let motc = try prepared()
    #expect(try motc.run(command("whole")).status == 0)
    let whole = try remains("whole", motc)
    #expect(whole.count == 2 + 6 + 7)
    #expect(try motc.run(command("other", ["--threads", "3"])).status == 0)
    #expect(try remains("other", motc) == whole)
    // A run that is complete has nothing to do.
    let again = try motc.run(command("whole", ["--resume", "auto"]))
    #expect(again.status == 0 && again.errors.contains("last step"))
    #expect(try remains("whole", motc) == whole)
  }

  @Test(arguments: ["", ":kill"])
  func everyStepOfWritingMayFail(how: String) throws {
    let motc = try prepared()
    func arguments(_ out: String) -> [String] {
      command(out, steps: 2, ["--checkpoint-every", "1"])
    }
    #expect(try motc.run(arguments("whole")).status == 0)
    let whole = try remains("whole", motc)
    var (point, last) = (0, 0)
    // Flushing a folder may fail unseen: some points in a row without a failure are the end.
    while point < last + 5 {
      point += 1
      let run = "run-\(point)"
      let stopped = try motc.run(
        arguments(run), environment: ["MOTC_FAIL_AT": "\(point)\(how)"])
      if stopped.status != 0 {
        last = point
        #expect(stopped.status == (how.isEmpty ? 2 : -SIGKILL), "\(point): \(stopped.errors)")
        #expect(!how.isEmpty || stopped.errors.contains("Input/output error"))
      }
      let resumed = try motc.run(arguments(run) + ["--resume", "auto"])
      #expect(resumed.status == 0, "\(point): \(resumed.errors)")
      #expect(try remains(run, motc) == whole, "point \(point)")
      try FileManager.default.removeItem(atPath: motc.path(run))
    }
    // Two checkpoints of three files each, written, flushed and renamed.
    #expect(last > 2 * 3 * 3, "only \(last) steps of writing failed")
  }

  @Test func killsAtAnyMomentLoseNothing() throws {
    let motc = try prepared()
    let arguments = { command($0, steps: 200, ["--checkpoint-every", "2", "--resume", "auto"]) }
    #expect(try motc.run(arguments("whole")).status == 0)
    let kills = Int(ProcessInfo.processInfo.environment["MOTC_KILLS"] ?? "") ?? 30
    var random = SystemRandomNumberGenerator()
    var killed = 0
    for _ in 0..<kills {
      let result = try motc.run(arguments("run")) { process in
        usleep(.random(in: 20_000...220_000, using: &random))
        kill(process.processIdentifier, SIGKILL)
      }
      if result.status == -SIGKILL { killed += 1 }
    }
    #expect(killed > kills / 3, "only \(killed) of \(kills) were killed")
    let last = try motc.run(arguments("run"))
    #expect(last.status == 0, "\(last.errors)")
    #expect(try remains("run", motc) == remains("whole", motc))
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func signalsSaveACheckpoint(signal: Int32) throws {
    let motc = try prepared()
    let arguments = command("run", steps: 1_000_000, ["--checkpoint-every", "0"])
    let result = try motc.run(arguments) { process in
      // The first line of the metrics says that the steps have begun.
      while process.isRunning, (try? motc.text("run/metrics.jsonl").isEmpty) ?? true {
        usleep(10_000)
      }
      kill(process.processIdentifier, signal)
    }
    #expect(result.status == 128 + signal, "\(result.errors)")
    #expect(result.errors.contains("--resume auto"))
    let step = try #require(RunFolder(path: motc.path("run")).newest()?.checkpoint.step)
    #expect(try motc.text("run/metrics.jsonl").split(separator: "\n").count == step)
  }

  @Test func otherRunsAreRefused() throws {
    let motc = try prepared()
    #expect(try motc.run(command("run")).status == 0)
    try writeShards("others", motc, documents: 30)
    try motc.write(motc.module.text.replacing("normal(0.", with: "normal(0.1"), to: "other.motir")
    for (more, message) in [
      (["--rate", "0.5"], "rate is 0.5, but was 0.001"), (["--data", "others"], "the data is not"),
      (["--precision", "bf16"], "precision is bf16, but was f32"),
      (["--seed", "3"], "seed is 3, but was 0"), (["--steps", "9"], "steps is 9, but was 6"),
    ] {
      let result = try motc.run(command("run") + ["--resume", "auto"] + more)
      #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
    }
    var other = command("run", ["--resume", "auto"])
    other[1] = "other.motir"
    let result = try motc.run(other)
    #expect(result.status == 1 && result.errors.contains("the model is not"), "\(result.errors)")
    #expect(try motc.run(command("run")).errors.contains("not empty"))
  }

  @Test func damagedCheckpointsArePassedOver() throws {
    let motc = try prepared()
    #expect(try motc.run(command("whole")).status == 0)
    #expect(try motc.run(command("run")).status == 0)
    let newest = RunFolder(path: motc.path("run")).checkpoint(step: 6)
    truncate("\(newest)/optimizer.safetensors", 1000)
    let resumed = try motc.run(command("run", ["--resume", "auto"]))
    #expect(resumed.status == 0 && resumed.errors.contains("damaged"), "\(resumed.errors)")
    #expect(resumed.errors.contains("steps 5 to 6"))
    #expect(try remains("run", motc) == remains("whole", motc))
  }

  @Test func infiniteGradientsStopBeforeTheStep() throws {
    let motc = try prepared()
    let result = try motc.run(
      command("run", steps: 90, ["--rate", "1e30", "--clip", "0", "--warmup", "0"]))
    #expect(result.status == 1 && result.errors.contains("not finite"), "\(result.errors)")
    // The checkpoints that are there load.
    if let newest = try RunFolder(path: motc.path("run")).newest() {
      #expect(newest.damaged.isEmpty)
    }
  }

  @Test func picturesBecomeShardsBatchesAndWeights() throws {
    let motc = try Motc()
    let spec = "\(Motc.repository)/examples/chameleon.swift-spec"
    let made = try motc(
      "tokenize", spec, "--data", "\(Motc.repository)/examples/data", "-o", "shards")
    #expect(made.status == 0, "\(made.errors)")
    let sizes = ["--batch", "1", "--sequence", "96"]
    let batch = try motc.run(["batch", spec, "--data", "shards", "-o", "batch"] + sizes)
    #expect(batch.status == 0, "\(batch.errors)")
    #expect(try motc.tensors("batch")["tokens"]?.shape == [1, 96])
    let run = try motc.run(
      ["train", spec, "--data", "shards", "--out", "run", "--steps", "3", "--log-every", "1"]
        + sizes)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.contains("step 3/3"))
    let result = try motc(
      "run", spec, "--weights", "run/latest/weights.safetensors", "--input", "batch", "-o", "out")
    #expect(result.status == 0, "\(result.errors)")
  }
}
