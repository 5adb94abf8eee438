import Foundation
import MoTIR
import Runtime
import Testing

/// Specs that are run, the good and the hostile.
@Suite(.serialized) struct SpecEvaluatorTests {
  /// The folder of the package.
  private static let package = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  /// A good spec's text.
  private static let good = """
    import MoTIR
    let text = Modality("text", vocabulary: 0..<258)
    let model = Model("small", modalities: [text], width: 16, batch: 2, sequence: 8) {
      Embedding()
      Residual { Attention(heads: 2); RMSNorm() }
      Head()
    } objectives: {
      NextToken(on: text)
    }

    """
  /// Limits that a busy machine keeps.
  private static let limits = SpecLimits(processor: .seconds(60), memory: 1 << 30)
  /// `true` iff specs are evaluated in a sandbox here.
  private static let isSandboxed =
    if case .bubblewrap = SpecContainment.probed() { true } else { false }

  /// Evaluates the spec `text`, and calls `body` with its path.
  private func evaluate(
    _ text: String, name: String = "test.swift-spec", limits: SpecLimits = limits,
    containment: SpecContainment = .probed(), batch: Int? = nil, sequence: Int? = nil
  ) throws -> Module {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent(name)
    try Data(text.utf8).write(to: file)
    let evaluator = SpecEvaluator(limits: limits, containment: containment, print: { _ in })
    return try evaluator.evaluate(
      path: file.path, sizes: SpecSizes(batch: batch, sequence: sequence))
  }

  /// Returns the errors of the spec `text`.
  private func errors(_ text: String, limits: SpecLimits = limits) -> [Diagnostic] {
    let diagnostics = #expect(throws: Diagnostics.self) { try evaluate(text, limits: limits) }
    return diagnostics?.all ?? []
  }

  /// Returns the only error of the spec `text`.
  private func error(_ text: String) -> String {
    let all = errors(text)
    #expect(all.count == 1)
    return all.first?.message ?? ""
  }

  // MARK: Good specs

  @Test(arguments: [
    "chameleon", "chameleon-speech", "spoken-shapes", "dense", "benchmark", "benchmark-small",
    "benchmark-long", "benchmark-8", "benchmark-dense", "mot-7b", "bagel",
    "hy-embodied", "pi0", "transfusion", "moe", "mot-moe",
  ])
  func examplesEvaluate(_ name: String) throws {
    let path = Self.package.appendingPathComponent("examples/\(name).swift-spec").path
    let module = try SpecEvaluator().evaluate(path: path, sizes: SpecSizes())
    #expect(module.name == name)
    #expect(module.functions.map(\.name) == ["loss", "logits"])
    let places = module.functions[0].graph.nodes.compactMap(\.location)
    #expect(places.allSatisfy { $0.file == path })
  }

  @Test func sizesAreThoseAskedFor() throws {
    let module = try evaluate(Self.good, batch: 3, sequence: 5)
    #expect((module.batch, module.sequence) == (3, 5))
  }

  @Test func limitsAloneWorkToo() throws {
    let module = try evaluate(Self.good, containment: .limitsOnly("a test"))
    #expect(module.name == "small")
  }

  @Test(arguments: ["we\"ird.swift-spec", "back\\slash", "two\nlines.swift-spec", "ünïcode: 1"])
  func anyPathWorks(_ name: String) throws {
    #expect(try evaluate(Self.good, name: name).name == "small")
  }

  @Test(arguments: ["\u{FEFF}" + good, good + "// the end", good + "print(\"hello\")"])
  func oddTextWorks(_ text: String) throws {
    #expect(try evaluate(text).name == "small")
  }

  @Test func aModuleFileIsReadWithoutRunning() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let module = try evaluate(Self.good)
    let file = folder.appendingPathComponent("small.motir")
    try Data(module.text.utf8).write(to: file)
    #expect(try loadModule(path: file.path) == module)
    #expect(throws: Diagnostics.self) {
      try loadModule(path: file.path, sizes: SpecSizes(batch: 7))
    }
  }

  // MARK: Errors with places

  @Test func compilerErrorsPointAtTheSpec() throws {
    let all = errors("import MoTIR\nlet text = Modality(\"text\")\nlet model: Int = \"x\"\n")
    #expect(all.map { $0.location?.line } == [2, 3])
    #expect(all.first?.message.contains("vocabulary") == true)
  }

  @Test func modelErrorsPointAtTheSpec() throws {
    let text = Self.good.replacingOccurrences(of: "heads: 2", with: "heads: 3")
    let all = errors(text)
    #expect(all.map { $0.location?.line } == [5])
    #expect(all.map { $0.location?.column } == [14])
    #expect(all.first?.location?.file.hasSuffix("test.swift-spec") == true)
    #expect(all.first?.message == "3 heads do not divide width 16")
  }

  @Test func aSpecDeclaresAModel() {
    #expect(error("import MoTIR\n") == "the spec declares no `model`")
    #expect(error("import MoTIR\nlet model = 3\n") == "`model` is not a Model")
    #expect(error("") == "the spec does not import MoTIR")
    #expect(!errors("let model = Model()\n").isEmpty)
    #expect(!errors(Self.good + "func f() {\n").isEmpty)
    #expect(!errors(Self.good + "/*").isEmpty)
  }

  @Test func filesThatAreNoSpecs() {
    let evaluator = SpecEvaluator(print: { _ in })
    for path in ["/nonexistent/x.swift-spec", "/", "/dev/zero", "", "a\0b", "/dev/null/x"] {
      #expect(throws: Diagnostics.self) {
        try evaluator.evaluate(path: path, sizes: SpecSizes())
      }
    }
    #expect(throws: Diagnostics.self) { try loadModule(path: "/nonexistent.motir") }
    #expect(
      errors(String(repeating: " ", count: 2 << 20)).first?.message.contains("at most") == true)
  }

  // MARK: Hostile specs

  @Test func aLoopEnds() {
    let limits = SpecLimits(processor: .seconds(2), memory: 1 << 30)
    let message = errors("import MoTIR\nwhile true {}\n" + Self.good, limits: limits).first?.message
    #expect(message == "the spec did not finish within 2 seconds of a core's time and was stopped")
  }

  @Test func aSleepEnds() {
    let limits = SpecLimits(wall: .seconds(2), memory: 1 << 30)
    let text = "import Glibc\nimport MoTIR\nsleep(600)\n" + Self.good
    let message = errors(text, limits: limits).first?.message
    #expect(message == "the spec did not finish within 2 seconds and was stopped")
  }

  @Test func greedEnds() {
    let text =
      "var a: [[UInt8]] = []\nwhile true { a.append([UInt8](repeating: 1, count: 1 << 24)) }\n"
    #expect(error(text + Self.good).contains("memory"))
  }

  @Test func recursionEnds() {
    let text = "func f(_ n: Int) -> Int { n &+ f(n &+ 1) &* 3 }\nprint(f(1))\n"
    #expect(error(text + Self.good).hasPrefix("the spec crashed"))
  }

  @Test func floodsEnd() {
    let line = "let line = String(repeating: \"x\", count: 1 << 16)\n"
    #expect(error(line + "while true { print(line) }\n" + Self.good).contains("stdout"))
    let errors = "import Glibc\nwhile true { write(2, line, 1 << 16) }\n"
    #expect(error(line + errors + Self.good).contains("stderr"))
    let answer = "import Glibc\nwhile true { write(3, line, 1 << 16) }\n"
    #expect(error(line + answer + Self.good).contains("descriptor 3"))
  }

  @Test func exitsAndCrashes() {
    #expect(error("import Glibc\nexit(0)\n" + Self.good).contains("before its model was read"))
    #expect(error("import Glibc\nexit(3)\n" + Self.good).contains("status 3"))
    #expect(error("fatalError(\"on purpose\")\n" + Self.good).contains("on purpose"))
    #expect(error("import Glibc\nabort()\n" + Self.good).hasPrefix("the spec crashed"))
    let place = errors("\n\nlet none: Int? = nil\nprint(none!)\n" + Self.good).first?.location
    #expect(place?.line == 4)
  }

  @Test func lyingOnTheDescriptor() {
    let garbage = "import Glibc\nwrite(3, \"garbage\", 7)\n"
    #expect(error(garbage + Self.good).contains("disturbed"))
    let lie = "import Glibc\nlet lie = \"motc-spec 1 module\\nmodule }\\nend\\n\"\n"
    let write = "write(3, lie, lie.utf8.count)\nexit(0)\n"
    #expect(error(lie + write + Self.good).contains("no model"))
    let escape =
      "import Glibc\nlet lie = \"motc-spec 1 errors\\nx\\t1\\t1\\t\\u{1b}[2Jhi\\t\\nend\\n\"\n"
    #expect(error(escape + write + Self.good) == "?[2Jhi")
  }

  @Test(.enabled(if: isSandboxed)) func thereIsNothingToSteal() throws {
    let home = FileManager.default.homeDirectoryForCurrentUser.path
    let text = """
      import Glibc
      for path in ["\(home)", "/etc/passwd", "/proc/self", "\(Self.package.path)/Package.swift"] {
        precondition(access(path, F_OK) != 0, "sees \\(path)")
      }
      for path in ["/x", "/usr/x", "/dev/shm/x", "/var/tmp/x"] {
        precondition(open(path, O_CREAT | O_WRONLY, 0o600) < 0, "writes \\(path)")
      }
      precondition(getenv("HOME") == nil && getenv("USER") == nil, "sees the environment")
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = UInt16(53).bigEndian
      address.sin_addr.s_addr = 0x0101_0101
      let link = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      let reached = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(link, $0, 16) }
      }
      precondition(reached != 0, "reaches the network")

      """
    #expect(try evaluate(text + Self.good).name == "small")
  }
}
