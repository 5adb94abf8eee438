import ArgumentParser
import Foundation
import MoTIR

/// What keeps motc from running although the input is right: exit code 2.
struct CannotRun: Error {
  /// Why.
  let diagnostic: Diagnostic

  /// Creates a failure for the reason `diagnostic`.
  init(_ diagnostic: Diagnostic) { self.diagnostic = diagnostic }

  /// Returns what `body` returns; what it throws becomes a failure to run.
  static func unless<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as Diagnostic {
      throw CannotRun(error)
    } catch let error as CannotRun {
      throw error
    } catch {
      throw CannotRun(Diagnostic("\(error)"))
    }
  }
}

/// Ends the process as `error` asks: its messages go to stderr, and the exit code says whose fault it is.
func exit(reporting error: any Error) -> Never {
  switch error {
  case let error as Diagnostic: report([error])
  case let error as Diagnostics: report(error.all)
  case let error as CannotRun:
    report([error.diagnostic])
    exit(2)
  case let error as ValidationError: Motc.exit(withError: error)
  case is ExitCode, is CleanExit: Motc.exit(withError: error)
  default:
    // What the argument parser threw has a code of its own; anything else is ours.
    let code = Motc.exitCode(for: error)
    if code == .failure { report([Diagnostic("\(error)")]) } else { Motc.exit(withError: error) }
    exit(2)
  }
  exit(1)
}

/// Prints `diagnostics` to stderr, each with the line that it points at.
func report(_ diagnostics: [Diagnostic]) {
  var sources: [String: String] = [:]
  for diagnostic in diagnostics {
    if let file = diagnostic.location?.file, sources[file] == nil {
      sources[file] = sourceText(file)
    }
    let source = diagnostic.location.flatMap { sources[$0.file] }
    say(coloured(printable(diagnostic.rendered(source: source)), diagnostic.severity))
  }
}

/// Prints a line to stderr; if nobody can be told, the work goes on.
func say(_ line: String) {
  try? FileHandle.standardError.write(contentsOf: Data("\(line)\n".utf8))
}

/// Gives the process the standard descriptors that its parent closed, so that no file that it opens
/// gets their numbers and what is meant for people. They fail when used, as closed ones do.
func openStandardDescriptors() {
  for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
    // The lowest number that is free is `descriptor`.
    _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
  }
}

/// `true` iff stderr is a terminal.
var hasTerminal: Bool { isatty(STDERR_FILENO) == 1 }

/// Returns the text of the file at `path` if it is one that a person wrote.
private func sourceText(_ path: String) -> String? {
  guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
    attributes[.type] as? FileAttributeType == .typeRegular,
    let size = attributes[.size] as? Int, size <= 64 << 20
  else { return nil }
  return try? String(contentsOfFile: path, encoding: .utf8)
}

/// Returns `text` without the control characters that a terminal acts on.
private func printable(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
    // A tab becomes one space, so that the caret stays below its column.
    let shown: Unicode.Scalar = scalar == "\t" ? " " : isControl && scalar != "\n" ? "?" : scalar
    result.unicodeScalars.append(shown)
  }
  return result
}

/// Returns `text` with its severity in colour, where a terminal shows it and nobody asked for none.
private func coloured(_ text: String, _ severity: Diagnostic.Severity) -> String {
  guard hasTerminal, ProcessInfo.processInfo.environment["NO_COLOR"]?.isEmpty ?? true else {
    return text
  }
  let word = "\(severity.rawValue):"
  guard let range = text.range(of: word) else { return text }
  let code = severity == .error ? "31" : "35"
  return text.replacingCharacters(in: range, with: "\u{1B}[1;\(code)m\(word)\u{1B}[0m")
}
