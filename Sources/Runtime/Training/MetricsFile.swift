internal import Glibc
package import MoTIR

/// What a run tells of each step, in `metrics.jsonl` and, for spreadsheets, `metrics.csv`.
///
/// The times stand last in each line: everything before is the same for every run of the same settings.
package final class MetricsFile {
  /// The names of the files.
  package static let names = ["metrics.jsonl", "metrics.csv"]

  private let columns: [String]
  private let files: [(path: String, descriptor: Int32)]

  /// Opens the files in `run`; of what is there, only as many bytes stay as `lengths` says, by name.
  ///
  /// - Parameter columns: the names of all numbers that a step may have.
  /// - Throws: `Diagnostic` if they cannot be opened, or are shorter.
  package init(
    _ run: RunFolder, columns: [String], lengths: [String: Int]?
  ) throws(Diagnostic) {
    self.columns = columns
    var files: [(path: String, descriptor: Int32)] = []
    for name in Self.names {
      let path = run.file(name)
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0o666)
      guard descriptor >= 0 else { throw fileError("cannot open", path) }
      files.append((path, descriptor))
      let length = max(0, lengths?[name] ?? 0)
      guard lseek(descriptor, 0, SEEK_END) >= length else {
        throw Diagnostic(
          "\(path) is shorter than it was at the checkpoint",
          suggestion: "put the file back, or begin a new run by --weights")
      }
      guard ftruncate(descriptor, length) == 0 else { throw fileError("cannot cut", path) }
    }
    self.files = files
    if lengths == nil { try write(columns.joined(separator: ","), to: 1) }
  }

  deinit {
    for file in files { close(file.descriptor) }
  }

  /// Adds a line with `numbers`, by the names of columns.
  ///
  /// - Throws: `Diagnostic` if it cannot be written.
  package func add(_ numbers: [String: Double]) throws(Diagnostic) {
    let cells = columns.map { column in numbers[column].map(Self.text) }
    let members = zip(columns, cells).compactMap { name, cell in cell.map { "\"\(name)\":\($0)" } }
    try write("{\(members.joined(separator: ","))}", to: 0)
    try write(cells.map { $0 ?? "" }.joined(separator: ","), to: 1)
  }

  /// Makes sure that everything is on the disk; returns the lengths of the files by name.
  ///
  /// - Throws: `Diagnostic` if it cannot be written.
  package func flushed() throws(Diagnostic) -> [String: Int] {
    var lengths: [String: Int] = [:]
    for (name, file) in zip(Self.names, files) {
      guard flush(file.descriptor) else { throw fileError("cannot flush", file.path) }
      lengths[name] = Int(lseek(file.descriptor, 0, SEEK_END))
    }
    return lengths
  }

  private func write(_ line: String, to index: Int) throws(Diagnostic) {
    let isWritten = Array("\(line)\n".utf8).withUnsafeBytes {
      writeAll($0, to: files[index].descriptor)
    }
    guard isWritten else { throw fileError("cannot write", files[index].path) }
  }

  /// Returns a number as JSON; what is not finite is null.
  private static func text(_ number: Double) -> String {
    guard number.isFinite else { return "null" }
    let integer = Int(exactly: number)
    return integer.map { "\($0)" } ?? "\(number)"
  }
}
