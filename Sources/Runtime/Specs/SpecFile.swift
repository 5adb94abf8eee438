import Foundation
import Glibc
import MoTIR

/// The files that describe models.
enum SpecFile {
  /// Bytes of a spec.
  static let specBytes = 1 << 20

  /// Returns the text of the file at `path`, which may have up to `limit` bytes.
  ///
  /// - Throws: `Diagnostic` if it is missing, no plain file, too large or not UTF-8.
  static func read(_ path: String, limit: Int) throws(Diagnostic) -> String {
    // A pipe must not block the opening; it is refused below.
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw Diagnostic("cannot read '\(shown(path))': \(String(cString: strerror(errno)))")
    }
    let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "no plain file"
      throw Diagnostic(
        "'\(shown(path))' is \(kind)", suggestion: "name a .swift-spec or .motir file")
    }
    guard status.st_size <= limit else {
      throw Diagnostic(
        "'\(shown(path))' has \(status.st_size) bytes, and at most \(limit) are read")
    }
    guard let data = try? file.read(upToCount: limit + 1) ?? Data(), data.count <= limit else {
      throw Diagnostic("cannot read '\(shown(path))'")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw Diagnostic("'\(shown(path))' is not UTF-8 text")
    }
    return text
  }

  /// Returns a descriptor that reads `text`, from a file that has no name any more.
  static func open(_ text: String) throws(Diagnostic) -> Int32 {
    try raised(try unnamedFile(holding: text))
  }

  /// Returns a descriptor that reads nothing.
  static func openNull() throws(Diagnostic) -> Int32 {
    try raised(Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC))
  }

  /// Returns a copy of `descriptor`, which is closed, above those that a contained process gets.
  private static func raised(_ descriptor: Int32) throws(Diagnostic) -> Int32 {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
    close(descriptor)
    guard copy >= 0 else { throw Diagnostic("there are no more file descriptors") }
    return copy
  }

  /// Returns `text` without control characters, cut to a length that a person reads.
  static func shown(_ text: some StringProtocol, limit: Int = 400) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(limit) {
      let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
      result.unicodeScalars.append(isControl ? "?" : scalar)
    }
    return text.unicodeScalars.count > limit ? result + "…" : result
  }

  /// Returns `text` without the control characters that a terminal acts on.
  static func printable(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { line in shown(line.replacing("\t", with: "  "), limit: .max) }
      .joined(separator: "\n")
  }
}
