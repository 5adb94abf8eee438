import Foundation
import Testing

/// The command line itself: help, wrong usage, exit codes.
@Suite struct UsageTests {
  static let verbs = [
    "compile", "opt", "init", "run", "inspect", "bench", "train", "tokenize", "batch",
    "doctor",
  ]

  @Test(arguments: verbs)
  func helpHasTwoExamples(verb: String) throws {
    let result = try Motc()(verb, "--help")
    #expect(result.status == 0)
    let examples = result.output.components(separatedBy: "Examples:").last ?? ""
    #expect(examples.components(separatedBy: "motc \(verb)").count >= 3)
  }

  @Test(arguments: [
    ["frobnicate"], ["compile"], ["compile", "model.motir", "--emit", "wasm"],
    ["compile", "model.motir", "--emit", "opt", "--target-cpu", "m68k"],
    ["compile", "model.motir", "--emit", "opt", "--print-after", "("],
    ["compile", "model.motir", "--emit", "opt", "--batch", "0"],
    ["opt"], ["opt", "model.motir", "--passes", "fuse-everything"], ["opt", "model.swift-spec"],
    ["run", "model.motir"], ["inspect", "model.motir", "--threads", "0"],
    ["bench", "model.motir", "--compare", "fast,slow"],
    ["bench", "model.motir", "--mix", "50,60"], ["bench", "model.motir", "--mix", "50,fifty"],
    ["bench", "model.motir", "--mix", "-5,105"], ["bench", "model.motir", "--mix", ""],
    ["bench", "model.motir", "--mix", "even", "--mix", "even"],
    ["bench", "model.motir", "--ablate", "--compare", "fused"],
    ["bench", "model.motir", "--ablate", "--mix", "even", "--mix", "random"],
    ["bench", "model.motir", "--ablate", "--against", "model.motir"],
    ["train", "model.motir", "--data", "."], ["tokenize", "model.motir", "--data", "."],
    ["train", "model.motir", "--data", ".", "--out", "run", "--steps", "0"],
    ["train", "model.motir", "--data", ".", "--out", "run", "--beta1", "1"],
    ["train", "model.motir", "--data", ".", "--out", "run", "--resume", "never"],
    ["tokenize", "model.motir", "--data", ".", "-o", "shards", "--side", "0"],
    ["tokenize", "model.motir", "--data", ".", "-o", "shards", "--validation", "1"],
    ["tokenize", "model.motir", "--data", ".", "-o", "s", "--codebook", "c", "--side", "8"],
    ["tokenize", "model.motir", "--data", ".", "-o", "s", "--codebook", "c", "--patch", "4"],
    [
      "tokenize", "model.motir", "--data", ".", "-o", "s", "--codebook", "c", "--pictures",
      "codebook",
    ],
    ["batch", "model.motir", "--data", ".", "-o", "batch", "--step", "0"],
  ])
  func wrongUsage(arguments: [String]) throws {
    let motc = try Motc()
    let result = try motc.run(arguments)
    #expect(result.status == 64, "\(arguments): \(result.errors)")
    #expect(!result.errors.isEmpty)
  }

  @Test func unknownPassIsCorrected() throws {
    let result = try Motc()("compile", "model.motir", "--emit", "opt", "--disable", "keep-gruoped")
    #expect(result.status == 64)
    #expect(result.errors.contains("keep-grouped"))
  }

  @Test func passesAreListedInOrder() throws {
    let result = try Motc()("opt", "--list-passes")
    #expect(result.status == 0)
    let names = result.output.split(separator: "\n").compactMap { $0.split(separator: " ").first }
    #expect(names.first == "cache-routing-plan")
    #expect(names.suffix(2) == ["generated-matmul", "split-f32"])
  }

  @Test func doctorDescribesTheMachine() throws {
    let result = try Motc()("doctor")
    #expect(result.status == 0, "\(result.errors)")
    for word in ["processor", "threads", "LLVM", "OpenBLAS", "object cache", "sandbox"] {
      #expect(result.output.contains(word))
    }
  }

  @Test func doctorTellsForcedOpenBLASKernels() throws {
    let result = try Motc()("doctor", environment: ["OPENBLAS_CORETYPE": "Nehalem"])
    #expect(result.status == 0)
    #expect(result.output.contains("OPENBLAS_CORETYPE=Nehalem"))
  }
}
