import Foundation
import Runtime
import Testing

/// `motc plot`: pictures of runs, and what it says of files that are none.
@Suite struct PlotTests {
  /// Returns a folder with the metrics of the runs `names`.
  private func prepared(_ names: String..., lines: Int = 500) throws -> Motc {
    let motc = try Motc()
    for name in names { try writeRun(name, lines, motc) }
    return motc
  }

  private func writeRun(_ name: String, _ lines: Int, _ motc: Motc) throws {
    try FileManager.default.createDirectory(
      atPath: motc.path(name), withIntermediateDirectories: true)
    let text = (1...lines).map { step in
      let loss = 1 + 3 / Double(step)
      let validation = step.isMultiple(of: 50) ? "\"validation.loss.text\":\(loss)," : ""
      return "{\"step\":\(step),\"tokens\":\(step * 100),\"flops\":\(step * 1_000_000_000),"
        + "\"loss\":\(2 * loss),\"loss.text\":\(loss),\"loss.image\":null,\(validation)"
        + "\"seconds\":\(Double(step) / 8)}\n"
    }
    try motc.write(text.joined(), to: "\(name)/metrics.jsonl")
  }

  /// Whether there is a gnuplot, without which nothing is drawn.
  private static let hasGnuplot = Executables.find("gnuplot") != nil

  @Test(.enabled(if: hasGnuplot)) func curvesOfOneRun() throws {
    let motc = try prepared("first")
    let result = try motc("plot", "first/")
    #expect(result.status == 0, "\(result.errors)")
    let svg = try motc.text("first/curves.svg")
    #expect(svg.hasPrefix("<?xml") && svg.contains("</svg>"))
    for word in [">first<", ">loss.text<", ">steps<", "means of up to 4 steps; points"] {
      #expect(svg.contains(word), "\(word)")
    }
    // Without any number there is no panel.
    #expect(!svg.contains("loss.image"))
  }

  @Test(
    .enabled(if: hasGnuplot),
    arguments: [
      ("steps", "steps"), ("flops", "GFLOPs"), ("seconds", "seconds of training"),
      ("tokens", "thousand tokens"),
    ])
  func axes(name: String, title: String) throws {
    let motc = try prepared("first")
    #expect(try motc("plot", "first", "--against", name).status == 0)
    #expect(try motc.text("first/curves.svg").contains(">\(title)<"))
  }

  @Test(.enabled(if: hasGnuplot)) func runsSideBySide() throws {
    let motc = try prepared("a/run", "b/run", "other")
    let runs = ["plot", "a/run", "b/run", "other", "--metric", "loss,loss.text", "-o"]
    #expect(try motc.run(runs + ["all.svg"]).status == 0)
    let svg = try motc.text("all.svg")
    // Folders of one name are told apart by their paths.
    for word in [">a/run<", ">b/run<", ">other<", ">loss<", ">loss.text<"] {
      #expect(svg.contains(word), "\(word)")
    }
    #expect(try motc.run(runs + ["all.PNG"]).status == 0)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: motc.path("all.PNG")))
    #expect(bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]))
  }

  @Test(.enabled(if: hasGnuplot)) func namesDoNothing() throws {
    let names = ["a\"; system(\"touch struck\")", "b'; system('touch struck')", "`touch struck`"]
    let motc = try prepared("plain")
    for name in names { try writeRun(name, 5, motc) }
    let result = try motc.run(["plot"] + names + ["-o", "all.svg"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: motc.path("struck")))
    try motc.write(
      "{\"step\":1,\"loss.'; system('touch struck') #\":1}\n", to: "plain/metrics.jsonl")
    #expect(try motc("plot", "plain").status == 0)
    #expect(!FileManager.default.fileExists(atPath: motc.path("struck")))
  }

  @Test(.enabled(if: hasGnuplot)) func runsThatWereKilledAreDrawn() throws {
    let motc = try prepared("first")
    let text = try motc.text("first/metrics.jsonl")
    try motc.write(String(text.dropLast(30)), to: "first/metrics.jsonl")
    let result = try motc("plot", "first")
    #expect(result.status == 0 && result.errors.contains("ends early"), "\(result.errors)")
    // One step alone is a point.
    try motc.write(String(text.prefix { $0 != "\n" }) + "\n", to: "first/metrics.jsonl")
    #expect(try motc("plot", "first").status == 0)
  }

  @Test(.enabled(if: hasGnuplot)) func longRunsAreAveraged() throws {
    let motc = try prepared("long", lines: 30_000)
    #expect(try motc("plot", "long").status == 0)
    #expect(try motc.text("long/curves.svg").utf8.count < 100_000)
  }

  @Test(arguments: [
    ("", "no step yet"), ("{\"step\":1", "no step yet"), ("[1]\n", "line 1 is no JSON object"),
    ("{\"step\":1}\n{\"step\":NaN}\n", "line 2 is damaged"), ("\u{0}\n", "line 1 is damaged"),
    ("{\"step\":1,\"loss\":\"low\"}\n", "else than a number for 'loss'"),
    ("{\"loss\":1}\n", "line 1 of the metrics has no number 'step'"),
    ("{\"step\":1e999,\"loss\":1}\n", "has no number 'step'"),
    ("{\"step\":1}\n", "no losses"), ("{\"step\":1,\"loss\":null}\n", "no losses"),
    (String(repeating: " ", count: 70_000) + "\n", "line 1 has more than 65536 bytes"),
  ])
  func metricsThatAreNone(text: String, message: String) throws {
    let motc = try prepared("run")
    try motc.write(text, to: "run/metrics.jsonl")
    let result = try motc("plot", "run")
    #expect(result.status == (Self.hasGnuplot ? 1 : 2))
    #expect(!Self.hasGnuplot || result.errors.contains(message), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: motc.path("run/curves.svg")))
  }

  @Test(.enabled(if: hasGnuplot), arguments: [(30, "24"), (300, "more than 256")])
  func metricsWithoutEnd(count: Int, message: String) throws {
    let motc = try prepared("run")
    let numbers = (0..<count).map { "\"loss.\($0)\":1" }.joined(separator: ",")
    try motc.write("{\"step\":1,\(numbers)}\n", to: "run/metrics.jsonl")
    let result = try motc("plot", "run")
    #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
  }

  @Test(.enabled(if: hasGnuplot)) func requestsThatCannotBe() throws {
    let motc = try prepared("a", "b")
    for (arguments, status, message) in [
      (["nowhere"], 1, "name the folder of a run"),
      (["a", "--metric", "loss.speech"], 1, "no run has the metric 'loss.speech'"),
      (["a", "./a", "-o", "x.svg"], 1, "./a is named twice"),
      (["a", "-o", "no/folder/x.svg"], 2, "no such folder"),
      (["a", "b"], 64, "-o"), (["a", "-o", "x.pdf"], 64, ".svg or .png"),
      (["a", "--against", "hours"], 64, "hours"), ([], 64, "run"),
    ] {
      let result = try motc.run(["plot"] + arguments)
      #expect(result.status == status && result.errors.contains(message), "\(result.errors)")
    }
  }

  @Test func picturesNeedGnuplot() throws {
    let motc = try prepared("a")
    let result = try motc.run(["plot", "a"], environment: ["PATH": motc.folder.path])
    #expect(result.status == 2 && result.errors.contains("gnuplot-nox"), "\(result.errors)")
  }
}
