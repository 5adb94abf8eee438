import Foundation
import MoTIR
import Runtime

/// Where a verb writes what it makes: a file, or stdout.
struct Output {
  /// The path; `nil` or `-` for stdout.
  let path: String?

  /// Creates an output to the file at `path`.
  init(_ path: String?) { self.path = path == "-" ? nil : path }

  /// Writes `bytes`; a file holds its old contents until the new ones are complete.
  ///
  /// - Throws: `CannotRun` if they cannot be written.
  func write(_ bytes: some Sequence<UInt8>) throws {
    if let path { return try CannotRun.unless { try writeFile(Array(bytes), to: path) } }
    do {
      try FileHandle.standardOutput.write(contentsOf: Data(bytes))
    } catch {
      let reason = (error as NSError).localizedDescription
      throw CannotRun(Diagnostic("cannot write to stdout: \(reason)"))
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

/// Checks, as far as can be told before, that a file can be written at `path`: nobody wants to learn
/// that it cannot when the work is done.
///
/// - Throws: `CannotRun` if its folder is missing or not to be written to, or if it is a folder itself.
func requireWritable(_ path: String) throws {
  var isFolder: ObjCBool = false
  let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
  let place = exists && !isFolder.boolValue ? path : path.folderOfPath
  guard !isFolder.boolValue else { throw CannotRun(Diagnostic("cannot write \(path): a folder")) }
  guard FileManager.default.isWritableFile(atPath: place) else {
    let reason = FileManager.default.fileExists(atPath: place) ? "no permission" : "no such folder"
    throw CannotRun(Diagnostic("cannot write \(path): \(reason)"))
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
