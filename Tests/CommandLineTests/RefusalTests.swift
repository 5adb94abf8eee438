import Foundation
import MoTIR
import Runtime
import Testing

/// Bad input of every kind: exit code 1, a message with place and values, and no crash.
@Suite struct RefusalTests {
  /// Runs the model in `motc` on the files `w` and `in`.
  private func run(_ motc: Motc, _ more: String...) throws -> Motc.Result {
    try motc.run(["run", "model.motir", "--weights", "w", "--input", "in", "-o", "out"] + more)
  }

  private func prepared() throws -> Motc {
    let motc = try Motc()
    #expect(try motc("init", "model.motir", "-o", "w").status == 0)
    try motc.writeBatch()
    return motc
  }

  @Test(arguments: [
    ("tokens", Int32(22), "22 at [0, 1]"), ("tokens", -1, "-1 at [0, 1]"),
    ("modality", 2, "2 at [0, 1]"), ("modality", -2, "-2 at [0, 1]"),
    ("targets", 99, "99 at [0, 1]"), ("positions", -1, "-1 at [0, 1]"),
    ("positions", 5000, "5000 at [0, 1]"),
  ])
  func valuesOutOfRange(name: String, value: Int32, message: String) throws {
    let motc = try prepared()
    var values = [Int32](repeating: 0, count: 18)
    values[1] = value
    if name == "tokens" {
      try motc.write([(name, [2, 9], values)], to: "in")
    } else {
      try motc.writeBatch([(name, [2, 9], values)])
    }
    let result = try run(motc)
    #expect(result.status == 1)
    #expect(result.errors.contains(message), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: motc.path("out")))
  }

  @Test func shapesThatDoNotFit() throws {
    let motc = try prepared()
    try motc.write([("tokens", [3, 9], [Int32](repeating: 0, count: 27))], to: "in")
    let result = try run(motc)
    #expect(result.status == 1)
    #expect(result.errors.contains("[3, 9]"))
    #expect(try motc("compile", "model.motir", "--emit", "opt", "--batch", "4").status == 1)
  }

  @Test func oneTokenOfABatchIsNotRun() throws {
    let motc = try Motc()
    try motc.write(
      """
      module @m batch 2 sequence 9 {
        modality "text" 0..<22
        parameter @t.weight : f32[22, 4] component "embedding" init normal(0.02)
        func @decode {
          %0 = input "tokens" : i32[T=2, 1]
          %1 = embed %0, @t.weight : f32[T=2, 4]
          return %1 as "logits"
        }
      }
      """, to: "model.motir")
    #expect(try motc("init", "model.motir", "-o", "w").status == 0)
    try motc.writeBatch()
    let result = try run(motc, "--outputs", "logits")
    #expect(result.status == 1)
    #expect(result.errors.contains("@decode takes 2 of the batch's 18 tokens"), "\(result.errors)")
  }

  @Test func unknownOutput() throws {
    let motc = try prepared()
    let result = try run(motc, "--outputs", "logitz")
    #expect(result.status == 1)
    #expect(result.errors.contains("'logitz'"))
  }

  @Test func weightsThatAreNotFinite() throws {
    let motc = try prepared()
    var tensors = try SafetensorsReader(path: motc.path("w")).all
    let first = tensors[0]
    var values = try first.floats()
    values[1] = .nan
    tensors[0] = try Tensor(name: first.name, shape: first.shape, floats: values)
    try SafetensorsWriter.write(tensors, to: motc.path("w"))
    let result = try run(motc)
    #expect(result.status == 1)
    #expect(result.errors.contains("not finite"))
  }

  @Test func weightsOfAnotherModel() throws {
    let motc = try prepared()
    var tensors = try SafetensorsReader(path: motc.path("w")).all
    tensors[0] = tensors[0].renamed("stranger")
    try SafetensorsWriter.write(tensors, to: motc.path("w"))
    let result = try run(motc)
    #expect(result.status == 1)
    #expect(result.errors.contains("is missing"))
    #expect(result.errors.contains("stranger"))
  }

  @Test(arguments: ["", "garbage", "\u{7F}ELF", "{\"a\":1}"])
  func filesThatAreNoTensors(text: String) throws {
    let motc = try prepared()
    try motc.write(text, to: "in")
    #expect(try run(motc).status == 1)
    try motc.writeBatch()
    try motc.write(text, to: "w")
    #expect(try run(motc).status == 1)
  }

  @Test(arguments: [
    "", "module", "module @x batch 1 sequence 1 {", "\u{0}\u{1}\u{1B}[31m", "{{{{{{{{",
    "module @x batch 99999999999999999999 sequence 1 {\n}\n",
  ])
  func textThatIsNoModule(text: String) throws {
    let motc = try Motc()
    try motc.write(text, to: "bad.motir")
    let result = try motc("compile", "bad.motir", "--emit", "ll")
    #expect(result.status == 1)
    #expect(result.errors.contains("bad.motir:"))
    #expect(!result.errors.contains("\u{1B}"))
  }

  @Test func filesThatAreNotThere() throws {
    let motc = try prepared()
    for name in ["nowhere.motir", "nowhere.swift-spec", "."] {
      #expect(try motc("inspect", name).status == 1)
    }
    #expect(try motc("train", "model.motir", "--data", "nowhere", "--out", "run").status == 1)
    #expect(try motc("tokenize", "model.motir", "--data", "nowhere", "-o", "shards").status == 1)
    #expect(try motc("batch", "model.motir", "--data", "nowhere", "-o", "batch").status == 1)
  }

  @Test func outputThatCannotBeWritten() throws {
    let result = try Motc()("compile", "model.motir", "--emit", "opt", "-o", "no/folder/x")
    #expect(result.status == 2)
    #expect(try Motc()("init", "model.motir", "-o", "no/folder/x").status == 2)
    let measured = try Motc()("bench", "model.motir", "--json", "no/folder/x")
    #expect(measured.status == 2 && measured.output.isEmpty)
  }

  @Test func linesOfAnyLengthAreShownInPart() throws {
    let motc = try Motc()
    try motc.write("module @x " + String(repeating: "(", count: 100_000), to: "long.motir")
    let result = try motc("inspect", "long.motir")
    #expect(result.status == 1)
    #expect(result.errors.utf8.count < 2000)
  }

  @Test(arguments: ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
  func nobodyNeedsToHearMessages(redirection: String) throws {
    let motc = try prepared()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    let run = "run model.motir --weights w --input in -o out"
    process.arguments = ["-c", "\"$0\" \(run) \(redirection)", Motc.program]
    process.currentDirectoryURL = URL(fileURLWithPath: motc.folder.path)
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 0)
    #expect(try motc.tensors("out")["loss"] != nil)
  }

  @Test func modelsThatAreTooLarge() throws {
    let motc = try Motc()
    let huge = "  parameter @huge : f32[1000000, 1000000] component \"head\" init ones\n"
    let text = motc.module.text
    let place = try #require(text.range(of: "  parameter "))
    try motc.write(
      text.replacingCharacters(in: place.lowerBound..<place.lowerBound, with: huge),
      to: "huge.motir")
    let result = try motc("init", "huge.motir", "-o", "w")
    #expect(result.status == 2)
    #expect(result.errors.contains("of memory"), "\(result.errors)")
    #expect(try motc("compile", "huge.motir", "--emit", "ll").status == 0)
  }

  @Test func errorsInSpecsPointAtTheLine() throws {
    let motc = try Motc()
    try motc.write(
      """
      import MoTIR

      let text = Modality("text", vocabulary: 0..<258)
      let model = Model("m", modalities: [text], width: 100) {
        Embedding()
        Residual { RMSNorm(); Attention(heads: 7) }
        Head()
      } objectives: {
        NextToken(on: text)
      }
      """, to: "m.swift-spec")
    let result = try motc("compile", "m.swift-spec", "--emit", "opt")
    #expect(result.status == 1)
    #expect(result.errors.contains("m.swift-spec:6:"), "\(result.errors)")
    #expect(result.errors.contains("  Residual { RMSNorm(); Attention(heads: 7) }\n"))
    #expect(result.errors.contains("^"))
  }

  @Test(.enabled(if: !hostHasAVX512))
  func levelsBeyondTheMachineOnlyCompile() throws {
    let motc = try prepared()
    #expect(try run(motc, "--target-cpu", "x86-64-v4").status == 2)
    let result = try motc(
      "compile", "model.motir", "--emit", "asm", "--target-cpu", "x86-64-v4")
    #expect(result.status == 0)
  }

  /// `true` iff the system says that the processor has AVX-512.
  private static let hostHasAVX512 =
    (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.contains("avx512bw") ?? false
}
