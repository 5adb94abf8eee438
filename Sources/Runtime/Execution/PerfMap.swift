internal import Glibc
internal import MoTIR
internal import Synchronization

/// A compiled function in memory.
package struct LinkedFunction: Hashable, Sendable {
  /// Its symbol.
  package let name: String
  /// The address of its first byte.
  package let address: UInt
  /// Bytes of code.
  package let size: Int
}

/// The file in which Linux's `perf` looks for the names of code that no file holds: a line a function,
/// `START SIZE NAME`, in hexadecimal. A process has one, for all its models.
package enum PerfMap {
  /// The path: perf looks nowhere else.
  package static var path: String { "/tmp/perf-\(getpid()).map" }

  /// Whether this process has written to its file.
  private static let isBegun = Mutex(false)

  /// Adds `functions` to this process's file; what a dead process of the same number left goes first.
  ///
  /// - Throws: `Diagnostic` if the file cannot be written.
  package static func add(_ functions: [LinkedFunction]) throws {
    let lines = functions.map {
      "\(String($0.address, radix: 16)) \(String($0.size, radix: 16)) \($0.name)\n"
    }
    try isBegun.withLock { isBegun in
      if !isBegun { unlink(path) }
      // The folder is everyone's: a file or link that someone else puts there is not followed.
      let create = isBegun ? O_APPEND : O_CREAT | O_EXCL
      let file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | create, 0o600)
      guard file >= 0 else { throw Self.failure }
      defer { close(file) }
      isBegun = true
      guard Array(lines.joined().utf8).withUnsafeBytes({ writeAll($0, to: file) }) else {
        throw Self.failure
      }
    }
  }

  private static var failure: Diagnostic {
    Diagnostic("cannot write \(path): \(String(cString: strerror(errno)))")
  }
}
