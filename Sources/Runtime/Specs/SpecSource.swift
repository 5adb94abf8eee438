import Foundation
import MoTIR

/// A spec's text, what is run in its place, and the way back from the compiler's lines to the user's.
struct SpecSource {
  /// The path as the user gave it.
  let path: String
  /// The text.
  private let text: String
  /// The path as Swift text can say it without escapes.
  private let name: String

  /// Creates the source of the spec `text` at `path`.
  init(path: String, text: String) {
    self.path = path
    self.text = text.hasPrefix("\u{FEFF}") ? String(text.dropFirst()) : text
    let isPlain = path.utf8.allSatisfy { $0 >= 32 && $0 != 127 && $0 != 34 && $0 != 92 }
    name = isPlain && !path.isEmpty ? path : "spec"
  }

  /// Returns the program that hands back the spec's model on descriptor 3.
  func wrapped(_ sizes: SpecSizes) -> String {
    """
    #sourceLocation(file: "\(name)", line: 1)
    \(text)
    #sourceLocation()
    MoTIR.emitModel(
      model, batch: \(sizes.batch.map(String.init) ?? "nil"),
      sequence: \(sizes.sequence.map(String.init) ?? "nil"), context: .\(sizes.context), descriptor: 3)

    """
  }

  /// Returns `error`, which the spec's process handed back, fit for a terminal.
  func placed(_ error: Diagnostic) -> Diagnostic {
    let place = error.location.flatMap { $0.file == name ? $0 : nil }
    return Diagnostic(
      SpecFile.shown(error.message, limit: 2000),
      at: place.map { Location(file: path, line: $0.line, column: $0.column) },
      suggestion: error.suggestion.map { SpecFile.shown($0, limit: 2000) })
  }

  // MARK: What the compiler says

  /// Returns the errors that `output`, the compiler's stderr, tells: at most 20.
  ///
  /// What it says of the text behind the user's follows from the user's errors, if there are any.
  func compileErrors(_ output: String) -> [Diagnostic] {
    var errors: [Diagnostic] = []
    var behind: Diagnostic?
    for line in output.split(separator: "\n") {
      if let (place, message) = cut(line, at: ": error: ") {
        guard errors.count < 20 else { break }
        if place.hasPrefix("<stdin>") {
          behind = behind ?? errorBehind(String(message))
        } else {
          errors.append(error(String(message), at: place))
        }
      } else if let (_, note) = cut(line, at: ": note: "), behind == nil, let last = errors.last,
        last.suggestion == nil
      {
        errors[errors.count - 1] = Diagnostic(
          last.message, at: last.location, suggestion: SpecFile.shown(note))
      }
    }
    return errors.isEmpty ? behind.map { [$0] } ?? [] : errors
  }

  /// Returns what stands before and behind the first `separator` of `line`.
  private func cut(_ line: Substring, at separator: String) -> (Substring, Substring)? {
    guard let range = line.range(of: separator) else { return nil }
    return (line[..<range.lowerBound], line[range.upperBound...])
  }

  /// Returns the error `message` at `FILE:LINE:COLUMN`.
  private func error(_ message: String, at place: Substring) -> Diagnostic {
    let parts = place.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count >= 3, let line = Int(parts[parts.count - 2]),
      let column = Int(parts[parts.count - 1]),
      parts.dropLast(2).joined(separator: ":") == name
    {
      return Diagnostic(
        SpecFile.shown(message), at: Location(file: path, line: line, column: column),
        suggestion: text.contains("import MoTIR") ? nil : "begin with `import MoTIR`")
    }
    return Diagnostic(SpecFile.shown(message))
  }

  /// Returns the error `message` about what stands behind the user's text and reads `model`.
  private func errorBehind(_ message: String) -> Diagnostic {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let last = (lines.lastIndex { !$0.allSatisfy(\.isWhitespace) } ?? 0) + 1
    let end = Location(file: path, line: last, column: 1)
    let example =
      "let model = Model(\"name\", modalities: [text], width: 256) { … } objectives: { … }"
    if message.contains("'model'") {
      return Diagnostic("the spec declares no `model`", at: end, suggestion: example)
    }
    if message.contains("'Model'") {
      return Diagnostic("`model` is not a Model", at: end, suggestion: example)
    }
    if message.contains("'MoTIR'") {
      return Diagnostic(
        "the spec does not import MoTIR", at: Location(file: path, line: 1, column: 1),
        suggestion: "begin with `import MoTIR`")
    }
    return Diagnostic(SpecFile.shown(message), at: end)
  }

  /// Returns the error that the stderr `output` of a crashed process tells.
  func crash(_ output: String) -> Diagnostic {
    let mark = "Fatal error: "
    for line in output.split(separator: "\n") {
      guard let range = line.range(of: mark) else { continue }
      let message = SpecFile.shown(line[range.upperBound...])
      if message.hasPrefix("failed to allocate") {
        return Diagnostic("the spec wants more memory than it may have: \(message)", at: start)
      }
      return Diagnostic("the spec crashed: \(message)", at: crashPlace(line[..<range.lowerBound]))
    }
    return Diagnostic(
      "the spec crashed", at: start,
      suggestion: "an endless recursion does that, and too much memory")
  }

  /// The first character.
  var start: Location { Location(file: path, line: 1, column: 1) }

  /// Returns the place that `MODULE/FILE:LINE: ` names, if that is in the spec.
  private func crashPlace(_ prefix: Substring) -> Location {
    let parts = prefix.split(separator: ":")
    let file = name.nameOfPath
    guard parts.count >= 2, String(parts[0]).nameOfPath == file,
      let line = Int(parts[1].trimmingCharacters(in: .whitespaces))
    else { return start }
    return Location(file: path, line: line, column: 1)
  }
}
