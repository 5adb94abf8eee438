import Foundation
import MoTIR

/// A program that scores a folder of captions and pictures: `CHECKER FOLDER --json` and
/// `CHECKER FOLDER --truth FILE --json` print one JSON object of numbers.
struct Checker {
  /// The program; a file that ends in `.py` is run by python3.
  let path: String

  /// Returns the scores of what `GeneratedScenes` made, by what was scored.
  ///
  /// - Throws: `CannotRun` if the program fails.
  func scores(of folder: String) throws -> [(name: String, scores: [String: Double])] {
    var all: [(String, [String: Double])] = []
    func has(_ file: String) -> Bool { FileManager.default.fileExists(atPath: file) }
    if has("\(folder)/captions.txt") { all.append(("drawn", try run([folder]))) }
    if has("\(folder)/said/captions.txt") {
      let arguments = ["\(folder)/said", "--truth", "\(folder)/said/truth.txt"]
      all.append(("said", try run(arguments)))
    }
    return all
  }

  private func run(_ arguments: [String]) throws -> [String: Double] {
    let (process, output) = (Process(), Pipe())
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // A name without a folder is a file here, not a command.
    let program = path.contains("/") ? path : "./\(path)"
    process.arguments =
      (path.hasSuffix(".py") ? ["python3"] : []) + [program] + arguments + ["--json"]
    process.standardOutput = output
    do { try process.run() } catch { throw failure("it cannot be started") }
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      throw failure("it ended with code \(process.terminationStatus)")
    }
    guard let scores = try? JSONDecoder().decode([String: Double].self, from: bytes) else {
      throw failure("it printed no JSON object of numbers")
    }
    return scores
  }

  private func failure(_ reason: String) -> CannotRun {
    CannotRun(Diagnostic("the checker \(path) did not score: \(reason)"))
  }
}
