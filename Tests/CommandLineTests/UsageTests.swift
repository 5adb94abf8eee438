import Foundation
import Runtime
import Testing

/// The command line itself: help, wrong usage, exit codes.
@Suite struct UsageTests {
  static let verbs = [
    "compile", "opt", "init", "run", "inspect", "bench", "train", "generate", "plot", "match",
    "convert",
    "tokenize", "batch",
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
    ["convert", "model.motir", "--weights", "w", "-o", "x"],
    ["convert", "model.motir", "--weights", "w", "-o", "x", "--names", "hf", "--map", "n.yaml"],
    ["convert", "model.motir", "--weights", "w", "-o", "x", "--names", "hg"],
    ["convert", "model.motir", "--weights", "w.json", "v", "-o", "x", "--names", "hf"],
    ["convert", "model.motir", "--weights", "w", "-o", "x", "--names", "hf", "--from", "--to"],
  ])
  func wrongUsage(arguments: [String]) throws {
    let motc = try Motc()
    let result = try motc.run(arguments)
    #expect(result.status == 64, "\(arguments): \(result.errors)")
    #expect(!result.errors.isEmpty)
  }

  @Test(arguments: [
    ("bash", "complete -o filenames -F _motc motc"), ("zsh", "#compdef motc"),
    ("fish", "complete -c 'motc'"),
  ])
  func completionsKnowTheVerbs(shell: String, line: String) throws {
    let result = try Motc()("--generate-completion-script", shell)
    #expect(result.status == 0 && result.output.contains(line), "\(result.output.prefix(2000))")
    for verb in Self.verbs { #expect(result.output.contains(verb)) }
  }

  @Test(arguments: [
    ("motc co", ["compile", "convert"]), ("motc compile mod", ["model.motir"]),
    ("motc compile model.motir --emit pl", ["plan"]), ("motc train --data fol", ["folder"]),
    ("motc init model.motir -o no", ["notes.txt"]),
  ])
  func bashCompletes(line: String, words: [String]) throws {
    let motc = try Motc()
    try motc.write("", to: "notes.txt")
    try FileManager.default.createDirectory(
      atPath: motc.path("folder"), withIntermediateDirectories: false)
    let script = try motc("--generate-completion-script", "bash").output
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = [
      "-c",
      """
      \(script)
      COMP_LINE='\(line)' COMP_WORDS=(\(line)) COMP_POINT=\(line.count) COMP_TYPE=9
      COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
      _motc motc "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
      printf '%s\\n' "${COMPREPLY[@]}"
      """,
    ]
    process.currentDirectoryURL = URL(fileURLWithPath: motc.folder.path)
    process.environment = ["PATH": "/usr/bin:/bin"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    let found = String(decoding: output, as: UTF8.self).split(separator: "\n").map {
      $0.trimmingCharacters(in: .whitespaces)
    }
    #expect(found.sorted() == words)
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

  /// Each setting is an option, a key of the file and a row of the page, and there are no others.
  @Test func settingsHaveOneName() throws {
    let motc = try Motc()
    let help = try motc("train", "--help").output
    let page = try String(contentsOfFile: "\(Motc.repository)/docs/training.md", encoding: .utf8)
    let section = try #require(help.components(separatedBy: "SETTINGS:\n").dropFirst().first)
      .components(separatedBy: "\n\n")[0]
    let options = section.split(separator: "\n").compactMap { line in
      line.split(separator: " ").first.flatMap { $0.hasPrefix("--") ? String($0) : nil }
    }
    let names = TrainingSettings.keys.map(\.name)
    #expect(
      options.sorted() == (["config"] + names).map { "--\($0.replacing("_", with: "-"))" }.sorted())
    for name in names {
      let option = "--\(name.replacing("_", with: "-"))"
      let result = try motc("train", "model.motir", "--data", ".", "--out", "r", option, "wrong")
      #expect(result.status == 64 && result.errors.contains("\(name) is "), "\(result.errors)")
      #expect(page.contains("`\(name)`"), "\(name)")
    }
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
