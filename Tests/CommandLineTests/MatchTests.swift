import Foundation
import Runtime
import Testing

/// `motc match`: runs whose answer is known, and metrics that are none.
@Suite struct MatchTests {
  /// What `--json` prints.
  private struct Answer: Decodable {
    struct Run: Decodable {
      let run: String
      let losses: [Loss]
    }

    struct Loss: Decodable {
      let loss: String
      let share: [String: Double]
      let lastShare: [String: Double]
      let notReached: Int
      let tooEarly: Int
      let pairs: [Pair]
    }

    struct Pair: Decodable {
      let loss: Double
      let base: [String: Double]
      let other: [String: Double]
    }

    let base: String
    let runs: [Run]
  }

  private static let hasGnuplot = Executables.find("gnuplot") != nil

  /// Writes a run with validations at `steps`, of which each takes 2 GFLOPs and `seconds`.
  private func write(
    _ name: String, _ steps: [Int], seconds: Double = 0.5, _ motc: Motc,
    _ loss: (Double) -> Double
  ) throws {
    let lines = (1...(steps.last ?? 1)).map { step in
      let value = loss(Double(step))
      let validation =
        steps.contains(step)
        ? "\"validation.loss\":\(2 * value),\"validation.loss.text\":\(value)," : ""
      return "{\"step\":\(step),\"tokens\":\(step * 100),\"flops\":\(step * 2_000_000_000),"
        + "\"loss\":1,\(validation)\"seconds\":\(Double(step) * seconds)}\n"
    }
    try write(lines.joined(), as: name, motc)
  }

  private func write(_ text: String, as name: String, _ motc: Motc) throws {
    try FileManager.default.createDirectory(
      atPath: motc.path(name), withIntermediateDirectories: true)
    try motc.write(text, to: "\(name)/metrics.jsonl")
  }

  /// Writes a run with the losses `losses` at steps 10, 20 and so on.
  private func write(_ losses: [Double?], as name: String, _ motc: Motc) throws {
    let lines = losses.enumerated().map { index, loss in
      "{\"step\":\(10 * (index + 1)),\"validation.loss\":\(loss.map { "\($0)" } ?? "null")}\n"
    }
    try write(lines.joined(), as: name, motc)
  }

  private func match(_ motc: Motc, _ runs: String...) throws -> [Answer.Run] {
    let result = try motc.run(["match", "--json"] + runs)
    #expect(result.status == 0, "\(result.errors)")
    return try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8)).runs
  }

  @Test func linesGiveTheirSlope() throws {
    let motc = try Motc()
    let steps = (1...20).map { $0 * 10 }
    // The same losses at half the steps, each of which takes twice the time.
    try write("dense", steps, motc) { 10 - $0 / 50 }
    try write("mot", steps, seconds: 1, motc) { 10 - $0 / 25 }
    let loss = try #require(try match(motc, "dense", "mot").first?.losses)
    #expect(loss.map(\.loss) == ["loss", "loss.text"])
    for loss in loss {
      // At its first validation, step 10, it is as low as the other at step 20.
      #expect(loss.pairs.count == 19 && loss.notReached == 0 && loss.tooEarly == 1)
      for (axis, share) in [("steps", 0.5), ("flops", 0.5), ("tokens", 0.5), ("seconds", 1)] {
        #expect(abs(try #require(loss.share[axis]) - share) < 1e-9, "\(axis)")
        #expect(abs(try #require(loss.lastShare[axis]) - share) < 1e-9, "\(axis)")
      }
    }
    #expect(loss[0].pairs[1].base["steps"] == 30)
    #expect(abs(try #require(loss[0].pairs[1].other["flops"]) - 30e9) < 1)
    let text = try motc("match", "dense", "mot").output
    #expect(text.contains("mot, of what dense takes") && text.contains("50.0 %"), "\(text)")
    #expect(text.contains("100.0 %"))
  }

  @Test func stepsBetweenValidationsAreOnALine() throws {
    let motc = try Motc()
    try write([4, 3, 2, 1], as: "base", motc)
    // 3 is a third of the way from 10 to 20, 2 two thirds, and 1 half of that from 20 to 30.
    try write([3.5, 2, 0, 0], as: "other", motc)
    let loss = try #require(try match(motc, "base", "other").first?.losses.first)
    #expect(loss.pairs.map(\.loss) == [3, 2, 1] && loss.tooEarly == 1 && loss.notReached == 0)
    let others = loss.pairs.compactMap { $0.other["steps"] }
    for (found, place) in zip(others, [10 + 10 / 3.0, 20, 25]) {
      #expect(abs(found - place) < 1e-9)
    }
    // Σ b o / Σ b² for b = 20, 30, 40.
    let products: Double = 20 * (10 + 10 / 3.0) + 30 * 20 + 40 * 25
    let share = products / 2900
    #expect(abs(try #require(loss.share["steps"]) - share) < 1e-12)
    #expect(loss.share["flops"] == nil && loss.lastShare["steps"] == 25.0 / 40)
  }

  @Test func lossesThatRiseCountOnce() throws {
    let motc = try Motc()
    try write([5, 4, 4.5, 3, 3, 2], as: "base", motc)
    try write([5, 5.5, 4, 6, 2], as: "other", motc)
    let loss = try #require(try match(motc, "base", "other").first?.losses.first)
    #expect(loss.pairs.map { $0.base["steps"] } == [10, 20, 40, 60])
    // The lowest so far is 5, 5, 4, 4, 2.
    #expect(loss.pairs.map { $0.other["steps"] } == [10, 30, 45, 50])
  }

  @Test func lossesThatAreNotReachedHaveNoPair() throws {
    let motc = try Motc()
    try write([5, 4, 3, 2, 1], as: "base", motc)
    try write([5, 4, 3.5, 3.4, 3.3], as: "other", motc)
    let loss = try #require(try match(motc, "base", "other").first?.losses.first)
    #expect(loss.pairs.count == 2 && loss.notReached == 3 && loss.share.isEmpty)
    let text = try motc("match", "base", "other").output
    #expect(text.contains("loss: no line, which takes 3 pairs and has 2"), "\(text)")
    #expect(text.contains("–"))
    // The other way round, lower losses are matched, as far as both go.
    let back = try #require(try match(motc, "other", "base").first?.losses.first)
    #expect(back.pairs.count == 5 && back.notReached == 0)
  }

  @Test func runsWithOtherLosses() throws {
    let motc = try Motc()
    let steps = [10, 20, 30, 40]
    try write("base", steps, motc) { 10 - $0 / 50 }
    try write([9, 8.9, nil, 8.5], as: "other", motc)
    let result = try motc("match", "base", "other")
    #expect(result.output.contains("loss.text: other has no such loss"), "\(result.output)")
    try write("{\"step\":1,\"validation.loss.image\":1}\n", as: "image", motc)
    let none = try motc("match", "base", "image")
    #expect(none.status == 1 && none.errors.contains("no run has a loss of base"))
  }

  @Test func otherDataIsWarnedOf() throws {
    let motc = try Motc()
    for (name, data) in [("base", "one"), ("same", "one"), ("other", "two")] {
      try write([3, 2, 1], as: name, motc)
      let folder = "\(name)/checkpoints/step-00000030"
      try FileManager.default.createDirectory(
        atPath: motc.path(folder), withIntermediateDirectories: true)
      try motc.write(
        "{\"version\":1,\"step\":30,\"tokens\":0,\"position\":{\"epoch\":0,\"row\":0},"
          + "\"identity\":{\"data\":\"\(data)\"},\"metrics\":{\"metrics.jsonl\":0,"
          + "\"metrics.csv\":0},\"seconds\":0,\"files\":{}}", to: "\(folder)/state.json")
      try FileManager.default.createSymbolicLink(
        atPath: motc.path("\(name)/latest"), withDestinationPath: "checkpoints/step-00000030")
    }
    let result = try motc("match", "base", "same", "other")
    #expect(result.status == 0 && result.output.contains("100.0 %"), "\(result.errors)")
    #expect(result.errors.contains("other was trained on other shards than base"))
    #expect(!result.errors.contains("same was trained"))
  }

  @Test(.enabled(if: hasGnuplot)) func picturesHavePairsAndLines() throws {
    let motc = try Motc()
    let steps = (1...20).map { $0 * 10 }
    try write("dense", steps, motc) { 10 - $0 / 50 }
    try write("mot", steps, motc) { 10 - $0 / 25 }
    try write("it's `touch struck`", steps, motc) { 10 - $0 / 40 }
    let runs = ["match", "dense", "mot", "it's `touch struck`"]
    #expect(try motc.run(runs + ["-o", "m.svg"]).status == 0)
    let svg = try motc.text("m.svg")
    for word in [">mot 50 %<", ">loss.text<", ">steps, dense<", ">as many<", "80 %<"] {
      #expect(svg.contains(word), "\(word)")
    }
    #expect(!FileManager.default.fileExists(atPath: motc.path("struck")))
    #expect(try motc.run(runs + ["-o", "m.png", "--against", "seconds"]).status == 0)
    try write([100], as: "higher", motc)
    let none = try motc("match", "dense", "higher", "-o", "none.svg")
    #expect(none.status == 1 && none.errors.contains("no pair to draw"), "\(none.errors)")
  }

  @Test(arguments: [
    ("", "never validated"), ("{\"step\":1,\"loss\":1}\n", "never validated"),
    ("{\"step\":1,\"validation.loss\":null}\n", "never validated"),
    ("[]\n", "no JSON object"), ("{\"validation.loss\":1}\n", "has no number 'step'"),
    ("{\"step\":1,\"validation.loss\":1e300}\n", "1e+300 for 'validation.loss'"),
    ("{\"step\":1,\"validation.loss.\\u001b[2J\":1}\n", "as no objective is called"),
    ("{\"step\":1,\"flops\":1e31,\"validation.loss\":1}\n", "no run can have"),
    ("{\"step\":0,\"validation.loss\":1}\n", "step that was before"),
    ("{\"step\":-1,\"validation.loss\":1}\n", "less of 'step'"),
    (
      "{\"step\":2,\"validation.loss\":1}\n{\"step\":2,\"validation.loss\":1}\n",
      "line 2 of the metrics is of a step"
    ),
    (
      "{\"step\":2,\"seconds\":5,\"validation.loss\":1}\n"
        + "{\"step\":3,\"seconds\":4,\"validation.loss\":1}\n", "less of 'seconds'"
    ),
  ])
  func metricsThatAreNone(text: String, message: String) throws {
    let motc = try Motc()
    try write([3, 2, 1], as: "base", motc)
    try write(text, as: "other", motc)
    for runs in [["base", "other"], ["other", "base"]] {
      let result = try motc.run(["match"] + runs)
      #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
    }
  }

  @Test func lossesWithoutEnd() throws {
    let motc = try Motc()
    try write([3, 2, 1], as: "base", motc)
    let losses = (0..<257).map { "\"validation.loss.\($0)\":1" }.joined(separator: ",")
    try write("{\"step\":1,\(losses)}\n", as: "other", motc)
    let result = try motc("match", "base", "other")
    #expect(result.status == 1 && result.errors.contains("256 losses"), "\(result.errors)")
  }

  @Test func requestsThatCannotBe() throws {
    let motc = try Motc()
    try write([3, 2, 1], as: "a", motc)
    try write([3, 2, 1], as: "b", motc)
    for (arguments, status, message) in [
      (["a", "nowhere"], 1, "name the folder of a run"), (["a", "./a"], 1, "./a is named twice"),
      (["a"], 64, "run"), (["a", "b", "-o", "x.pdf"], 64, ".svg or .png"),
      (["a", "b", "-o", "no/x.svg"], 2, "no such folder"),
      (["a", "b", "--against", "hours"], 64, "hours"),
    ] {
      let result = try motc.run(["match"] + arguments)
      #expect(result.status == status && result.errors.contains(message), "\(result.errors)")
    }
  }
}
