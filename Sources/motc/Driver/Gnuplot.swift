import ArgumentParser
import Foundation
import MoTIR
import Runtime

/// The program that draws, as a child process.
struct Gnuplot {
  /// What a picture is made of.
  enum Format: String {
    case svg
    case png

    /// The format of the file at `path`, by its ending; `nil` for any other.
    init?(path: String) {
      let ending = path.nameOfPath.split(separator: ".", omittingEmptySubsequences: false).last
      self.init(rawValue: ending?.lowercased() ?? "")
    }

    /// Checks that a picture can have the name `path`.
    ///
    /// - Throws: `ValidationError` for an ending of none.
    static func check(_ path: String) throws {
      guard Format(path: path) == nil else { return }
      throw ValidationError("a picture's name ends with .svg or .png, not so '\(path)'")
    }

    /// What draws it, and how large letters are there.
    fileprivate var terminal: (name: String, font: Int) {
      switch self {
      case .svg: ("svg", 13)
      case .png: ("pngcairo", 10)
      }
    }
  }

  private let program: String

  /// Finds the program.
  ///
  /// - Throws: `CannotRun` if it is not there.
  init() throws {
    guard let program = Executables.find("gnuplot") else {
      throw CannotRun(
        Diagnostic(
          "pictures are drawn by gnuplot, and PATH has none",
          suggestion: "install the package gnuplot-nox"))
    }
    self.program = program
  }

  /// Returns the picture that `script` draws on `size`.
  ///
  /// - Throws: `CannotRun` if gnuplot fails.
  func picture(
    _ script: [String], size: (width: Int, height: Int), as format: Format = .svg
  ) throws -> [UInt8] {
    let terminal =
      "set terminal \(format.terminal.name) noenhanced size \(size.width),\(size.height) "
      + "font 'sans-serif,\(format.terminal.font)' background '#ffffff'"
    return try CannotRun.unless {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: program)
      // Nobody's own settings.
      process.arguments = ["-d"]
      // A file, for gnuplot draws while it reads: with two pipes each side could wait for the other.
      let input = try unnamedFile(holding: ([terminal] + script).joined(separator: "\n"))
      let (output, errors) = (Pipe(), Pipe())
      process.standardInput = FileHandle(fileDescriptor: input, closeOnDealloc: true)
      (process.standardOutput, process.standardError) = (output, errors)
      try process.run()
      let picture = try output.fileHandleForReading.readToEnd() ?? Data()
      let complaint = try errors.fileHandleForReading.readToEnd() ?? Data()
      process.waitUntilExit()
      guard process.terminationStatus == 0, !picture.isEmpty else {
        throw Diagnostic(
          "gnuplot failed: \(String(decoding: complaint, as: UTF8.self).prefix(300))")
      }
      return Array(picture)
    }
  }
}

/// Colours that differ for the colour-blind too: "bright" of Paul Tol, "Colour schemes", 2021.
let plotColours = [
  "#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#777777",
]

/// Returns the distance of about four marks on an axis up to `end`: 1, 2 or 5 with zeros.
func step(for end: Double) -> Double {
  let rough = end / 4
  let unit = pow(10, log10(rough).rounded(.down))
  return ([2, 5].first { $0 * unit >= rough } ?? 10) * unit
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
