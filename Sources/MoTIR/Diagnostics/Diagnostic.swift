/// One message to the user: where, which rule, which values, and a way out.
public struct Diagnostic: Error, Hashable, Sendable {
  /// How serious a message is.
  public enum Severity: String, Hashable, Sendable {
    case error
    case warning
  }

  /// How serious it is.
  public let severity: Severity
  /// Where in the user's file, if it is known.
  public let location: Location?
  /// The rule that was broken, with the values that broke it.
  public let message: String
  /// A way out, if there is one.
  public let suggestion: String?

  /// Creates a message.
  public init(
    _ message: String, at location: Location? = nil, suggestion: String? = nil,
    severity: Severity = .error
  ) {
    self.severity = severity
    self.location = location
    self.message = message
    self.suggestion = suggestion
  }

  /// Returns the message as a compiler prints it, with the line of `source` that it points at.
  ///
  /// - Parameter source: the text of the file at `location`, if it could be read.
  public func rendered(source: String? = nil) -> String {
    var text = "\(location.map { "\($0): " } ?? "")\(severity.rawValue): \(message)"
    if let source, let location {
      let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
      if location.line >= 1, location.line <= lines.count {
        text += excerpt(of: lines[location.line - 1], column: location.column)
      }
    }
    if let suggestion { text += "\n  help: \(suggestion)" }
    return text
  }

  /// Returns `line`, of a long one what stands around `column`, with a caret below it.
  private func excerpt(of line: Substring, column: Int) -> String {
    let width = 200
    let start = line.utf8.count > width ? max(0, column - 1 - width / 2) : 0
    let shown = line.dropFirst(start).prefix(width)
    let caret = String(repeating: " ", count: max(0, min(column - 1 - start, width)))
    return "\n  \(shown)\n  \(caret)^"
  }
}

extension Diagnostic: CustomStringConvertible {
  /// The message without its source line.
  public var description: String { rendered() }
}

/// Several messages that were found together.
public struct Diagnostics: Error, Sendable, CustomStringConvertible {
  /// The messages, in the order in which they were found.
  public let all: [Diagnostic]

  /// Creates a collection of messages.
  public init(_ all: [Diagnostic]) { self.all = all }

  /// Returns what `body` returns; the message that it throws becomes a collection of one.
  package static func collecting<Result>(
    _ body: () throws(Diagnostic) -> Result
  ) throws(Diagnostics) -> Result {
    do throws(Diagnostic) { return try body() } catch { throw Diagnostics([error]) }
  }

  /// The messages, one after another.
  public var description: String { all.map(\.description).joined(separator: "\n") }
}
