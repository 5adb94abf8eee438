import Foundation
import MoTIR
import Testing

/// `motc compile` and `opt`: what they print.
@Suite struct StageTests {
  @Test(arguments: [
    ("graph", "func @loss"), ("grad", "func @gradients"), ("opt", " in #0"),
    ("plan", "entry \"gradients\""), ("ll", "define void @motc_gradients"),
    ("asm", "motc_gradients:"),
  ])
  func stages(stage: String, part: String) throws {
    let result = try Motc()("compile", "model.motir", "--emit", stage)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains(part))
    #expect(result.errors.isEmpty)
  }

  @Test func graphRoundTrips() throws {
    let motc = try Motc()
    #expect(try motc("compile", "model.motir", "--emit", "graph").output == motc.module.text)
  }

  @Test func objectIsAnObject() throws {
    let motc = try Motc()
    let result = try motc("compile", "model.motir", "--emit", "obj", "-o", "model.o")
    #expect(result.status == 0)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: motc.path("model.o")))
    #expect(bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46]))
    #expect(result.errors.contains("kernel calls"))
  }

  @Test(arguments: ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
  func levels(level: String) throws {
    let result = try Motc()("compile", "model.motir", "--emit", "asm", "--target-cpu", level)
    #expect(result.status == 0)
    #expect(result.output.contains("zmm") == (level == "x86-64-v4"))
  }

  @Test func emissionRepeats() throws {
    let motc = try Motc()
    let first = try motc("compile", "model.motir", "--emit", "ll")
    #expect(try motc("compile", "model.motir", "--emit", "ll").output == first.output)
  }

  @Test func fusionIsOptional() throws {
    let motc = try Motc()
    let none = try motc("compile", "model.motir", "--emit", "opt", "--fuse", "none")
    #expect(none.output.contains("sync"))
    #expect(!none.output.contains(" in #"))
    #expect(
      try motc("compile", "model.motir", "--emit", "ll", "--fuse", "none").output
        .contains("cblas_sgemm"))
    let some = try motc(
      "compile", "model.motir", "--emit", "opt", "--disable", "keep-grouped,dead-code")
    #expect(some.status == 0)
  }

  @Test func printsAfterPassesAndTimes() throws {
    let result = try Motc()(
      "compile", "model.motir", "--emit", "opt", "--print-after", "^keep", "--time")
    #expect(result.errors.contains("after keep-grouped"))
    #expect(!result.errors.contains("after dead-code"))
    #expect(result.errors.contains("pass fuse-epilogues"))
  }

  @Test func readyPrintsItsStagesAlone() throws {
    let motc = try Motc()
    for stage in ["codegen", "cache look-up"] {
      let result = try motc("compile", "model.motir", "--emit", "ready", "--time")
      #expect(result.status == 0)
      #expect(result.output.isEmpty)
      for name in [stage, "parse", "plan", "link", "total"] {
        #expect(result.errors.contains(name))
      }
    }
  }

  /// The cache is asked for the object, and given it: one warning all the same.
  @Test func aCacheThatIsNotUsedIsSaidOnce() throws {
    let motc = try Motc()
    mkdir(motc.path("cache"), 0o777)
    chmod(motc.path("cache"), 0o777)
    let result = try motc("compile", "model.motir", "--emit", "ready")
    #expect(result.status == 0)
    #expect(result.errors.components(separatedBy: "others may write").count == 2)
  }

  @Test func passesOneByOneAreThePipeline() throws {
    let motc = try Motc()
    let all = try motc("compile", "model.motir", "--emit", "opt", "--function", "loss")
    let result = try motc("opt", "model.motir")
    #expect(result.status == 0)
    #expect(result.output == all.output)
  }

  @Test func missingFunctionIsAnError() throws {
    let result = try Motc()("compile", "model.motir", "--emit", "opt", "--function", "prefill")
    #expect(result.status == 1)
    #expect(result.errors.contains("@prefill"))
    #expect(result.errors.contains("it holds @loss"))
  }
}
