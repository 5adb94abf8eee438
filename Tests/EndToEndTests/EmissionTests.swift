import Foundation
import Lowering
import MoTIR
import TestSupport
import Testing

/// What is emitted is valid, the same every time, and shared by layers.
@Suite struct EmissionTests {
  private static let targets = ["native", "x86-64-v4", "x86-64-v3", "x86-64-v2"]

  private func text(_ compilation: Compilation, _ name: String) throws -> String {
    let agreement = try AgreementModel.named(name).agreement()
    let plan = try compilation.plan(agreement.functions, of: agreement.module)
    return try compilation.compiler().emit(plan).text
  }

  @Test func isTheSameEveryTime() throws {
    let first = try text(.fused, "merged")
    for _ in 1..<5 { #expect(try text(.fused, "merged") == first) }
  }

  /// Hashing differs from process to process, and must not show.
  @Test func isTheSameInEveryProcess() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "emission-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = folder.appending(path: "model.motir")
    try AgreementModel.named("merged").agreement().module.text
      .write(to: model, atomically: true, encoding: .utf8)
    let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let motc = tests.deletingLastPathComponent().appending(path: "motc").path
    var texts: Set<Data> = []
    for run in 1...20 {
      let output = folder.appending(path: "\(run).ll")
      let arguments = ["compile", model.path, "--emit", "ll", "-o", output.path]
      try #require(try status(motc, arguments) == 0)
      texts.insert(try Data(contentsOf: output))
    }
    #expect(texts.count == 1)
  }

  private func status(_ program: String, _ arguments: [String]) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// LLVM's own tools read the text and find it sound.
  @Test(
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: EmissionTests.opt),
      "needs LLVM's opt beside its libraries"),
    arguments: targets, ["odd_large", "spans_documents", "eight"])
  func isReadByLLVM(_ target: String, _ name: String) throws {
    for compilation in [Compilation.fused, .fused.at(.bf16), .unfused] {
      let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).ll")
      defer { try? FileManager.default.removeItem(at: file) }
      try text(compilation.on(target), name).write(to: file, atomically: true, encoding: .utf8)
      let code = try status(Self.opt, ["-passes=verify", "-disable-output", file.path])
      #expect(code == 0, "\(name) \(compilation)")
    }
  }

  private static let opt =
    (ProcessInfo.processInfo.environment["LLVM_BIN"] ?? "/usr/lib/llvm-22/bin") + "/opt"

  @Test func layersShareKernels() throws {
    #expect(try kernels(layers: 2) == kernels(layers: 12))
  }

  private func kernels(layers: Int) throws -> Int {
    let module = try model(.chameleon37M, layers: layers).module(batch: 1, sequence: 64)
    let text = try emit(module)
    return text.split(separator: "\n").count { $0.hasPrefix("define") }
  }

  /// The largest model of the paper becomes LLVM IR and no more text than a small one: layers share kernels.
  @Test func largestModelIsEmitted() throws {
    let module = try model(.chameleon7B).module()
    #expect(try emit(module).utf8.count < 16 << 20)
  }

  private func emit(_ module: Module) throws -> String {
    let gradients = try differentiate(try #require(module.function("loss")), in: module)
    let compilation = Compilation.fused
    return try compilation.compiler().emit(compilation.plan([gradients], of: module)).text
  }

  private func model(_ size: ModelSize, layers: Int? = nil) -> Model {
    let text = Modality("text", vocabulary: 0..<size.vocabulary / 2)
    let image = Modality("image", vocabulary: size.vocabulary / 2..<size.vocabulary)
    return Model(
      "size", modalities: [text, image], width: size.width, sequence: size.sequence
    ) {
      preNormLayers(
        count: layers ?? size.layers, FeedForward(hidden: size.hidden),
        attention: Attention(heads: size.heads, normalizeQueryKey: true))
    } objectives: {
      NextToken(on: text)
      NextToken(on: image)
    }
  }
}
