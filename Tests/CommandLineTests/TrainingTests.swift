import Foundation
import MoTIR
import Runtime
import TestSupport
import Testing

/// `motc train`: what is left when it ends, however it ends.
@Suite struct TrainingTests {
  /// Returns a folder with shards for `model.motir`.
  func prepared() throws -> Motc {
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
    _ = try writer.finish()
  }

  /// The command of a run to `out` with three checkpoints.
  func command(_ out: String, steps: Int = 6, _ more: [String] = []) -> [String] {
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

  @Test func smallBatchesAreOneLargeOne() throws {
    let motc = try prepared()
    func losses(_ out: String, batch: Int, accumulate: Int) throws -> [Double] {
      let model = try twoSizes(batch, motc)
      let arguments = command(out, ["--accumulate", "\(accumulate)"]).map {
        $0 == "model.motir" ? model : $0
      }
      #expect(try motc.run(arguments).status == 0)
      return try motc.text("\(out)/metrics.csv").split(separator: "\n").dropFirst().compactMap {
        Double($0.split(separator: ",")[3])
      }
    }
    let whole = try losses("whole", batch: 4, accumulate: 1)
    let parts = try losses("parts", batch: 1, accumulate: 4)
    #expect(whole.count == 6)
    for (a, b) in zip(whole, parts) { #expect(abs(a - b) < 1e-5, "\(whole) and \(parts)") }
    let changed = try motc.run(
      command("parts", ["--accumulate", "2", "--resume", "auto"]).map {
        $0 == "model.motir" ? "model-1.motir" : $0
      })
    #expect(changed.status == 1 && changed.errors.contains("accumulate is 2, but was 4"))
  }

  /// Writes the model for batches of `batch` and returns the name of its file.
  private func twoSizes(_ batch: Int, _ motc: Motc) throws -> String {
    let name = "model-\(batch).motir"
    var sizes = TestModels.Sizes()
    sizes.batch = batch
    try TestModels.mixture(sizes).text.write(
      toFile: motc.path(name), atomically: true, encoding: .utf8)
    return name
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
    let more = ["--checkpoint-every", "4", "--validate-every", "0", "--resume", "auto"]
    let kills = Int(ProcessInfo.processInfo.environment["MOTC_KILLS"] ?? "") ?? 30
    // More than the runs make until they are killed.
    let steps = 60 * kills
    let arguments = { command($0, steps: steps, more) }
    #expect(try motc.run(arguments("whole")).status == 0)
    let moments = CounterRandom(seed: 1, name: "kills")
    var newest: Int { RunFolder(path: motc.path("run")).steps.last ?? -1 }
    for number in 0..<kills {
      let result = try motc.run(arguments("run")) { process in
        // Each run goes on until it has a new checkpoint, and then some.
        let before = newest
        while process.isRunning, newest <= before { usleep(1000) }
        usleep(UInt32(moments.integer(number, below: 20_000)))
        kill(process.processIdentifier, SIGKILL)
      }
      #expect(result.status == -SIGKILL, "kill \(number) came too late: \(result.errors)")
    }
    #expect(newest >= 4 * (kills - 1) && newest < steps)
    let last = try motc.run(arguments("run"))
    #expect(last.status == 0, "\(last.errors)")
    #expect(try remains("run", motc) == remains("whole", motc))
  }

  @Test func runsThatStopBeforeTheirFirstCheckpointKeepTheirSettings() throws {
    let motc = try prepared()
    #expect(try motc("init", "model.motir", "--seed", "7", "-o", "w").status == 0)
    let arguments = command("whole", ["--weights", "w", "--checkpoint-every", "0"])
    #expect(try motc.run(arguments).status == 0)
    var other = arguments
    other[5] = "run"
    // The steps write two lines each, behind what the beginning writes.
    let stopped = try motc.run(other, environment: ["MOTC_FAIL_AT": "35:kill"])
    #expect(stopped.status == -SIGKILL)
    let resumed = try motc(
      "train", "model.motir", "--data", "shards", "--out", "run", "--resume", "auto")
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try remains("run", motc) == remains("whole", motc))
  }

  @Test func checkpointsArePrunedButTheBest() throws {
    let motc = try prepared()
    let run = RunFolder(path: motc.path("run"))
    let first = try motc.run(
      command("run", steps: 12, ["--validate-every", "2", "--checkpoint-every", "2"]))
    #expect(first.status == 0, "\(first.errors)")
    let best = try #require(run.step(of: "best"))
    #expect(Set(run.steps) == Set([10, 12, best]))
    #expect(run.step(of: "latest") == 12)
    // Of the losses in the metrics the best is the least.
    let losses = try motc.text("run/metrics.csv").split(separator: "\n").dropFirst().map { row in
      row.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    }
    let validated = losses.compactMap { row in row[8].map { (step: row[0] ?? 0, loss: $0) } }
    #expect(validated.min { $0.loss < $1.loss }?.step == Double(best))
  }

  @Test func foldersThatAreNoRunsAreLeftAlone() throws {
    let motc = try prepared()
    let result = try motc.run(command(".", ["--resume", "auto"]))
    #expect(result.status == 2 && result.errors.contains("not the folder of a run"))
  }

  @Test(arguments: [
    ("\"step\" : 6", "\"step\" : 5", "is of step 5"),
    ("\"row\" : ", "\"row\" : -1", "no run can have"),
    ("\"row\" : ", "\"row\" : 9223372036854775807", "no"),
    ("metrics.csv", "x.csv", "no run can have"),
    ("{", "[", "no state"), ("\"version\" : 1", "\"version\" : 9", "form 9"),
  ])
  func hostileStatesArePassedOver(old: String, new: String, message: String) throws {
    let motc = try prepared()
    #expect(try motc.run(command("run")).status == 0)
    let state = "\(RunFolder(path: motc.path("run")).checkpoint(step: 6))/state.json"
    let text = try String(contentsOfFile: state, encoding: .utf8)
    let range = try #require(text.range(of: old))
    try text.replacingCharacters(in: range, with: new)
      .write(toFile: state, atomically: true, encoding: .utf8)
    let resumed = try motc.run(command("run", ["--resume", "auto"]))
    #expect(resumed.status == 0 && resumed.errors.contains(message), "\(resumed.errors)")
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
      (["--learning-rate", "0.5"], "learning_rate is 0.5, but was 0.001"),
      (["--data", "others"], "the data is not"),
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

  @Test func numbersThatAreNotFiniteStopBeforeTheStep() throws {
    let motc = try prepared()
    #expect(try motc("init", "model.motir", "-o", "w").status == 0)
    let good = try motc.tensors("w")
    var stops = 0
    // Each tensor in turn is so large that the first step overflows, forward or backward.
    for name in motc.module.expectedTensors.map(\.name) {
      let tensors = try good.values.map { tensor in
        guard tensor.name == name else { return tensor }
        let floats = try tensor.floats().map { $0 < 0 ? -3e38 : Float(3e38) }
        return try Tensor(name: name, shape: tensor.shape, floats: floats)
      }
      try SafetensorsWriter.write(tensors, to: motc.path("large"))
      let result = try motc.run(command("run", ["--weights", "large"]))
      defer { try? FileManager.default.removeItem(atPath: motc.path("run")) }
      // A norm makes nothing of rows that are too large: then all that was computed is finite.
      guard result.status == 1 else {
        #expect(result.status == 0, "\(name): \(result.errors)")
        #expect(!(try motc.text("run/metrics.jsonl").contains("null")), "\(name)")
        continue
      }
      stops += 1
      #expect(result.errors.contains("step 1: the loss or a gradient is not finite"))
      #expect(result.errors.contains("first result that is not finite is that of"), "\(name)")
      #expect(try RunFolder(path: motc.path("run")).newest()?.checkpoint.step == 0)
    }
    #expect(stops >= 20, "only \(stops) stops")
    let result = try motc.run(
      command("run", steps: 90, ["--learning-rate", "1e30", "--clip", "0", "--warmup", "0"]))
    #expect(result.status == 1 && result.errors.contains("step 2: "), "\(result.errors)")
  }

  @Test func theLineOfTheSpecIsNamed() throws {
    let motc = try Motc()
    let spec = "\(Motc.repository)/examples/chameleon.swift-spec"
    #expect(
      try motc("tokenize", spec, "--data", "\(Motc.repository)/examples/data", "-o", "shards")
        .status == 0)
    #expect(try motc("init", spec, "-o", "w").status == 0)
    let name = "layers.2.feed_forward.gate.image.weight"
    let tensors = try motc.tensors("w").values.map { tensor in
      guard tensor.name == name else { return tensor }
      return try Tensor(
        name: name, shape: tensor.shape, floats: tensor.floats().map { $0 < 0 ? -3e38 : 3e38 })
    }
    try SafetensorsWriter.write(tensors, to: motc.path("large"))
    let result = try motc(
      "train", spec, "--data", "shards", "--out", "run", "--weights", "large", "--batch", "1",
      "--sequence", "96")
    let source = try String(contentsOfFile: spec, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    let line = try #require(source.firstIndex { $0.contains("FeedForward") }) + 1
    #expect(result.status == 1)
    #expect(result.errors.contains("chameleon.swift-spec:\(line):"), "\(result.errors)")
    #expect(result.errors.contains("@layers.2.feed_forward"), "\(result.errors)")
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
