import Foundation
import MoTIR
import Runtime

/// Where a verb writes what it makes: a file, or stdout.
struct Output {
  /// The path; `nil` or `-` for stdout.
  let path: String?

  /// Creates an output to the file at `path`.
  init(_ path: String?) { self.path = path == "-" ? nil : path }

  /// Writes `bytes`.
  ///
  /// - Throws: `CannotRun` if they cannot be written.
  func write(_ bytes: some Sequence<UInt8>) throws {
    let data = Data(bytes)
    do {
      guard let path else { return try FileHandle.standardOutput.write(contentsOf: data) }
      try data.write(to: URL(fileURLWithPath: path))
    } catch {
      let reason = (error as NSError).localizedDescription
      throw CannotRun(Diagnostic("cannot write \(path ?? "to stdout"): \(reason)"))
    }
  }

  /// Writes `text`.
  func write(_ text: String) throws { try write(text.utf8) }

  /// Throws unless binary data may go here: a terminal is no place for it.
  func requireBinary() throws {
    guard path == nil, isatty(STDOUT_FILENO) == 1 else { return }
    throw Diagnostic("an object file does not go to a terminal", suggestion: "give -o FILE")
  }
}

/// Writes `tensors` to the file at `path`.
///
/// - Throws: `CannotRun` if they cannot be written.
func write(_ tensors: [Tensor], metadata: [String: String] = [:], to path: String) throws {
  try CannotRun.unless {
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
  }
}
