#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the process that evaluates a spec hands back, and its text on the way.
///
/// The text is `motc-spec 1 module`, the IR text, `end`; or `motc-spec 1 errors`, a line an error,
/// `end`. The reader takes it from a process that ran code of unknown intent.
package enum SpecAnswer: Hashable, Sendable {
  /// The model, as IR text.
  case module(String)
  /// What is wrong with it.
  case errors([Diagnostic])

  private static let moduleHeader = "motc-spec 1 module\n"
  private static let errorsHeader = "motc-spec 1 errors\n"
  private static let trailer = "end\n"

  /// The answer as text.
  package var text: String {
    switch self {
    case .module(let text): Self.moduleHeader + text + Self.trailer
    case .errors(let errors):
      Self.errorsHeader + errors.map(Self.line).joined() + Self.trailer
    }
  }

  /// Reads an answer, or returns `nil` if `text` is none.
  package init?(_ text: String) {
    guard text.hasSuffix("\n" + Self.trailer) else { return nil }
    let body = text.dropLast(Self.trailer.count)
    if body.hasPrefix(Self.moduleHeader) {
      self = .module(String(body.dropFirst(Self.moduleHeader.count)))
    } else if body.hasPrefix(Self.errorsHeader) {
      let lines = body.dropFirst(Self.errorsHeader.count).split(separator: "\n")
      let errors = lines.prefix(100).compactMap(Self.error)
      guard !errors.isEmpty, errors.count == min(lines.count, 100) else { return nil }
      self = .errors(errors)
    } else {
      return nil
    }
  }

  /// Returns the line for `error`: place, message and suggestion, with tabs between.
  private static func line(_ error: Diagnostic) -> String {
    let place = error.location
    let fields = [
      place?.file ?? "", "\(place?.line ?? 0)", "\(place?.column ?? 0)", error.message,
      error.suggestion ?? "",
    ]
    return fields.map(escaped).joined(separator: "\t") + "\n"
  }

  /// Returns the error that `line` is, or `nil` if it is none.
  private static func error(_ line: Substring) -> Diagnostic? {
    let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(unescaped)
    guard fields.count == 5, let row = Int(fields[1]), let column = Int(fields[2]) else {
      return nil
    }
    let isPlaced = !fields[0].isEmpty && row >= 1 && column >= 1
    return Diagnostic(
      fields[3], at: isPlaced ? Location(file: fields[0], line: row, column: column) : nil,
      suggestion: fields[4].isEmpty ? nil : fields[4])
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func unescaped(_ text: Substring) -> String {
    var result = ""
    var isEscape = false
    for scalar in text.unicodeScalars {
      if isEscape {
        result.unicodeScalars.append(scalar == "n" ? "\n" : scalar == "t" ? "\t" : scalar)
        isEscape = false
      } else if scalar == "\\" {
        isEscape = true
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

/// Writes `model` at concrete sizes, or what is wrong with it, to the file descriptor `descriptor`.
///
/// `motc` calls it behind a spec; a spec has no need to.
public func emitModel(
  _ model: Model, batch: Int?, sequence: Int?, context: Model.Context, descriptor: Int32
) {
  let answer: SpecAnswer
  do {
    answer = .module(try model.module(batch: batch, sequence: sequence, context: context).text)
  } catch {
    answer = .errors(error.all)
  }
  let bytes = Array(answer.text.utf8)
  var written = 0
  while written < bytes.count {
    let count = bytes[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    if count > 0 {
      written += count
    } else if errno != EINTR {
      // The reader has gone: it says so itself.
      return
    }
  }
}
