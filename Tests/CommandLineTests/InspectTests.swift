import Foundation
import MoTIR
import Runtime
import Testing

/// `motc inspect`: what it counts, side by side too, and what it draws.
@Suite struct InspectTests {
  /// Returns the JSON that a run printed.
  private func report(_ result: Motc.Result) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    return try #require(object as? [String: Any], "\(result.errors)")
  }

  /// Returns the sum of the numbers `key` of the members of `list`.
  private func sum(_ list: Any?, _ key: String = "count") throws -> Double {
    let members = try #require(list as? [[String: Any]])
    return members.reduce(0) { $0 + ($1[key] as? Double ?? 0) }
  }

  @Test func partsAddUp() throws {
    let motc = try Motc()
    #expect(try motc("inspect", "model.motir").status == 0)
    let report = try report(motc("inspect", "model.motir", "--json"))
    let count = motc.module.parameters.reduce(0) { $0 + $1.type.elementCount }
    #expect(report["parameterCount"] as? Int == count)
    for key in ["parameters", "byComponent", "byModality"] {
      #expect(try sum(report[key]) == Double(count), "\(key)")
    }
    // Two towers of equal size: what one uses and what the other adds is all there is.
    let active = try #require(report["activeParameters"] as? [[String: Any]])
    let first = active.filter { $0["modality"] as? String == "m0" }
    #expect(try sum(first) + sum(report["addedByModality"]) == Double(count))
    #expect(report["matrixParameterCount"] as? Int ?? 0 < count)
  }

  @Test func routingVanishes() throws {
    let routing = try #require(
      try report(Motc()("inspect", "model.motir", "--json"))["routing"] as? [String: Any])
    let naive = try #require(routing["naive"] as? [String: Any])
    let optimized = try #require(routing["optimized"] as? [String: Any])
    // 11 routed ops a layer and one at the end.
    #expect(naive["syncs"] as? Int == 2 * (11 * 2 + 1))
    #expect(optimized["syncs"] as? Int == 0)
    #expect(optimized["movesElsewhere"] as? Int == 0)
  }

  /// A spec of two towers, 16 wide, with 8 heads a layer in `layers` layers.
  private func spec(_ name: String, layers: Int, untied: String = "all") -> String {
    """
    import MoTIR

    let text = Modality("text", vocabulary: 0..<8)
    let image = Modality("image", vocabulary: 8..<12)
    let model = Model("\(name)", modalities: [text, image], width: 16, sequence: 32, untied: .\(untied)) {
      Embedding()
      Repeat(\(layers)) {
        Residual { RMSNorm(); Attention(heads: 8, keyValueHeads: 2) }
        Residual { RMSNorm(); FeedForward(hidden: 24) }
      }
      Head()
    } objectives: {
      NextToken(on: text, image)
    }
    """
  }

  /// Training and the logits of a batch by default, generation with a context; training is the same with one.
  @Test func memoryIsOfTrainingAndOfInference() throws {
    let motc = try Motc()
    try motc.write(spec("m", layers: 3), to: "m.swift-spec")
    let plain = try report(motc("inspect", "m.swift-spec", "--json"))
    let generating = try report(motc("inspect", "m.swift-spec", "--json", "--context", "64"))
    let count = try #require(plain["parameterCount"] as? Int)
    let memories = try [plain, generating].map { try #require($0["memory"] as? [String: Any]) }
    for memory in memories {
      // Keys and values of 2 heads, each 2 wide, in 3 layers.
      #expect(memory["cacheBytesPerToken"] as? Int == 3 * 2 * (2 * 2) * 4)
      let uses = try ["training", "inference"].map { try #require(memory[$0] as? [String: Any]) }
      for use in uses {
        let parts = use.filter { $0.key != "total" }.values.compactMap { $0 as? Int }
        #expect(parts.reduce(0, +) == use["total"] as? Int)
        #expect(use["parameters"] as? Int ?? 0 >= 4 * count)
      }
      #expect(uses[0]["moments"] as? Int == 2 * (uses[0]["parameters"] as? Int ?? 0))
      #expect(uses[1]["moments"] as? Int == 0)
      #expect(uses[1]["packed"] as? Int ?? 0 < uses[0]["packed"] as? Int ?? 0)
    }
    let inference = try memories.map { try #require($0["inference"] as? [String: Any]) }
    #expect(inference[0]["functions"] as? [String] == ["logits"])
    #expect(inference[1]["functions"] as? [String] == ["prefill", "decode"])
    #expect(inference[0]["caches"] as? Int == 0)
    #expect(inference[1]["caches"] as? Int == 64 * 96)
    let training = memories.map { $0["training"] as? NSDictionary }
    #expect(training[0] != nil && training[0] == training[1])
  }

  /// What is frozen has neither gradients nor moments, here as in the plan that trains.
  @Test func frozenParametersTakeNoMemoryOfTraining() throws {
    let motc = try Motc()
    let trained = spec("m", layers: 1)
    let some = trained.replacing(
      "untied: .all", with: "frozen: [.modality(text), .component(.embedding)]")
    for (spec, part) in [(trained, 1.0), (some, 0.6)] {
      try motc.write(spec, to: "m.swift-spec")
      let memory = try report(motc("inspect", "m.swift-spec", "--json"))["memory"] as? [String: Any]
      let inspected = try #require(memory?["training"] as? [String: Any])
      let planned = regions(of: try motc("compile", "m.swift-spec", "--emit", "plan").output)
      let gradients = try #require(inspected["gradients"] as? Int)
      #expect(gradients > 0 && gradients == planned["gradients"])
      #expect(planned["firstMoments"] == gradients && planned["secondMoments"] == gradients)
      #expect(inspected["moments"] as? Int == 2 * gradients)
      let parameters = try #require(inspected["parameters"] as? Int)
      #expect(parameters == planned["parameters"])
      #expect(Double(gradients) <= part * Double(parameters))
    }
  }

  /// Returns the bytes of each region that the text of a plan lists.
  private func regions(of plan: String) -> [String: Int] {
    var regions: [String: Int] = [:]
    for line in plan.split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      if words.count == 4, words[0] == "region" { regions[words[1]] = Int(words[2]) }
    }
    return regions
  }

  @Test func modelsStandSideBySide() throws {
    let motc = try Motc()
    try motc.write(spec("towers", layers: 3), to: "towers.swift-spec")
    try motc.write(spec("dense", layers: 3, untied: "none"), to: "dense.swift-spec")
    let result = try motc(
      "inspect", "dense.swift-spec", "--compare", "towers.swift-spec", "model.motir", "--json")
    let comparison = try report(result)
    let models = try #require(comparison["models"] as? [[String: Any]])
    #expect(models.map { $0["name"] as? String } == ["dense", "towers", "mixture"])
    let rows = try #require(comparison["rows"] as? [[String: Any]])
    func row(_ quantity: String, _ part: String) throws -> [String: [Double?]] {
      let row = try #require(
        rows.first { $0["quantity"] as? String == quantity && $0["part"] as? String == part })
      return row.compactMapValues { ($0 as? [Any])?.map { $0 as? Double } }
    }
    let counts = models.map { $0["parameterCount"] as? Double ?? 0 }
    let total = try row("parameters", "total")
    #expect(total["values"] == counts)
    #expect(total["differences"] == counts.map { $0 - counts[0] })
    let ratios = try #require(total["ratios"]).map { $0 ?? 0 }
    #expect(zip(ratios, counts).allSatisfy { abs($0 - $1 / counts[0]) < 1e-9 })
    // Every tower costs what the dense model does.
    #expect(try row("activeParameters", "total")["ratios"]?.prefix(2) == [1, 1])
    #expect(try row("flopsPerToken", "total")["differences"]?.prefix(2) == [0, 0])
    let text = try motc("inspect", "dense.swift-spec", "--compare", "towers.swift-spec").output
    for word in ["dense", "towers", "feed_forward", "1.00x", "Memory of a training step"] {
      #expect(text.contains(word), "\(word)")
    }
  }

  /// A modality without a feed-forward has rows of its own, in which a model without it has nothing.
  @Test func unequalTokensAreToldApart() throws {
    let motc = try Motc()
    try motc.write(
      """
      module @unequal batch 1 sequence 4 {
        modality "m0" 0..<8
        modality "short" 8..<10
        parameter @table : f32[10, 4] component "embedding" init normal(0.02)
        parameter @w : f32[4, 4] by "m0" component "feed_forward" init normal(0.02)
        func @logits {
          %0 = input "tokens" : i32[T=4, 1]
          %1 = embed %0, @table : f32[T=4, 4]
          %2 = input "modality" : i32[T=4, 1]
          %3 = route %2 into 2 : plan[4, 2]
          %4 = gather %1 by %3 : f32[R=4, 4]
          %5 = linear %4, @w by %3 groups [0, _] : f32[R=4, 4]
          %6 = scatter %5 by %3 : f32[T=4, 4]
          return %6 as "logits"
        }
      }
      """, to: "unequal.motir")
    let result = try motc("inspect", "unequal.motir", "--compare", "model.motir", "--json")
    let rows = try #require(try report(result)["rows"] as? [[String: Any]])
    let short = rows.filter { $0["modality"] as? String == "short" }
    #expect(Set(short.compactMap { $0["quantity"] as? String }).count == 2)
    let all = try #require(short.first { $0["part"] as? String == "total" })
    let values = try #require(all["values"] as? [Any])
    #expect(values[0] as? Double == 40 && values[1] is NSNull)
    let alone = try motc("inspect", "unequal.motir")
    #expect(alone.status == 0 && alone.output.contains("@logits"), "\(alone.errors)")
  }

  /// The smallest of the published sizes: parameters, and forward arithmetic at 4,096 tokens.
  @Test(arguments: [("none", 36_964_608), ("all", 40_374_784)])
  func publishedSizes(untied: String, count: Int) throws {
    let motc = try Motc()
    try motc.write(
      """
      import MoTIR

      let size = ModelSize.chameleon37M
      let text = Modality("text", vocabulary: 0..<64512)
      let image = Modality("image", vocabulary: 64512..<65536)
      let model = Model(
        "m", modalities: [text, image], width: size.width, sequence: size.sequence,
        untied: .\(untied)
      ) {
        Embedding()
        Repeat(size.layers) {
          Residual { Attention(heads: size.heads); RMSNorm() }
          Residual { FeedForward(hidden: size.hidden); RMSNorm() }
        }
        RMSNorm()
        Head()
      } objectives: {
        NextToken(on: text, image)
      }
      """, to: "m.swift-spec")
    let result = try motc("inspect", "m.swift-spec", "--json")
    let report = try report(result)
    #expect(report["parameterCount"] as? Int == count)
    let costs = try #require(report["flopsPerToken"] as? [[String: Any]])
    let text = costs.filter { $0["modality"] as? String == "text" }
    let flops = text.reduce(0.0) { $0 + ($1["flops"] as? Double ?? 0) }
    #expect(abs(flops / 1e6 - 48.8) < 0.05)
  }

  /// Whether there is a gnuplot, without which nothing is drawn.
  private static let hasGnuplot = Executables.find("gnuplot") != nil

  @Test(.enabled(if: hasGnuplot)) func chartsOfOneAndOfSome() throws {
    let motc = try Motc()
    let one = try motc("inspect", "model.motir", "--svg", "one.svg")
    #expect(one.status == 0 && one.output.contains("Parameters"), "\(one.errors)")
    try motc.write(spec("towers", layers: 1), to: "towers.swift-spec")
    let some = try motc(
      "inspect", "model.motir", "--compare", "towers.swift-spec", "model.motir", "--svg", "all.svg")
    #expect(some.status == 0, "\(some.errors)")
    for (file, words) in [
      ("one.svg", [">feed_forward<", ">total<", "mixture: what it is made of"]),
      ("all.svg", [">1: mixture<", ">towers<", ">3: mixture<", "1.00x"]),
    ] {
      let svg = try motc.text(file)
      #expect(svg.hasPrefix("<?xml") && svg.contains("</svg>"))
      for word in words { #expect(svg.contains(word), "\(file): \(word)") }
    }
  }

  /// A name from a file is no command of gnuplot's.
  @Test(.enabled(if: hasGnuplot)) func namesDoNothing() throws {
    let motc = try Motc()
    let name = "x'; system('touch struck'); print \\\"`touch struck`"
    let text = motc.module.text.replacingOccurrences(
      of: "component \"head\"", with: "component \"\(name)\"")
    try motc.write(text, to: "names.motir")
    let result = try motc("inspect", "names.motir", "--svg", "names.svg")
    #expect(result.status == 0, "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: motc.path("struck")))
  }

  @Test func requestsThatCannotBe() throws {
    let motc = try Motc()
    let seven = (0..<7).map { _ in "model.motir" }
    for (arguments, status, message) in [
      (["--compare", "nowhere.motir"], 1, "nowhere.motir"), (["--compare"], 64, "--compare"),
      (["--compare"] + seven, 64, "at most 6"), (["--svg", "x.png"], 64, ".svg"),
      (["--svg", "no/folder/x.svg"], 2, "no such folder"),
    ] {
      let result = try motc.run(["inspect", "model.motir"] + arguments)
      #expect(result.status == status && result.errors.contains(message), "\(result.errors)")
      #expect(result.output.isEmpty)
    }
    let result = try motc.run(
      ["inspect", "model.motir", "--svg", "x.svg"], environment: ["PATH": motc.folder.path])
    #expect(result.status == 2 && result.errors.contains("gnuplot-nox"), "\(result.errors)")
  }
}
