import Foundation
import MoTIR
import Runtime

/// The program that draws, as a child process.
struct Gnuplot {
  private let program: String

  /// Finds the program.
  ///
  /// - Throws: `CannotRun` if it is not there.
  init() throws {
    guard let program = Executables.find("gnuplot") else {
      throw CannotRun(
        Diagnostic(
          "plots are drawn by gnuplot, and PATH has none",
          suggestion: "install the package gnuplot-nox, or leave --svg out"))
    }
    self.program = program
  }

  /// Returns the SVG that `script` draws on `size`.
  ///
  /// - Throws: `CannotRun` if gnuplot fails.
  func svg(_ script: [String], size: (width: Int, height: Int)) throws -> [UInt8] {
    try CannotRun.unless {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: program)
      // Nobody's own settings.
      process.arguments = ["-d"]
      let (input, output, errors) = (Pipe(), Pipe(), Pipe())
      (process.standardInput, process.standardOutput) = (input, output)
      process.standardError = errors
      try process.run()
      let terminal =
        "set terminal svg noenhanced size \(size.width),\(size.height) "
        + "font 'sans-serif,13' background '#ffffff'"
      // Scripts and complaints fit into a pipe, so neither side waits for the other.
      input.fileHandleForWriting.write(
        Data(([terminal] + script).joined(separator: "\n").utf8))
      try input.fileHandleForWriting.close()
      let svg = try output.fileHandleForReading.readToEnd() ?? Data()
      let complaint = try errors.fileHandleForReading.readToEnd() ?? Data()
      process.waitUntilExit()
      guard process.terminationStatus == 0, !svg.isEmpty else {
        throw Diagnostic(
          "gnuplot failed: \(String(decoding: complaint, as: UTF8.self).prefix(300))")
      }
      return Array(svg)
    }
  }
}

/// Returns `text` as a gnuplot string, without what could end it or mean something to gnuplot.
func plotText(_ text: String) -> String {
  let known = text.unicodeScalars.map { scalar -> Character in
    let isPlain =
      scalar.properties.isAlphabetic || scalar.properties.numericType != nil
      || " .,:;_-+/%()×·".unicodeScalars.contains(scalar)
    return isPlain ? Character(scalar) : "?"
  }
  return "'\(String(known))'"
}
