internal import Glibc
package import MoTIR

/// The bytes of a file, mapped for reading.
final class MappedFile {
  /// The bytes. They come from the page cache, so that only what is read takes memory.
  ///
  /// - Warning: they go with the file: whoever uses them keeps it.
  let bytes: UnsafeRawBufferPointer
  private let path: String
  private let descriptor: Int32
  /// Its place in the table of mapped files.
  private let place: Int?

  /// Maps the file at `path`.
  ///
  /// - Throws: `Diagnostic` if it cannot be opened or is not a regular file.
  init(path: String) throws(Diagnostic) {
    // A pipe would block an open that waits for its other end.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw fileError("cannot open", path) }
    do throws(Diagnostic) {
      bytes = try Self.mapped(descriptor, path)
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.descriptor = descriptor
    place = MappedRanges.add(bytes, path)
  }

  private static func mapped(
    _ descriptor: Int32, _ path: String
  ) throws(Diagnostic) -> UnsafeRawBufferPointer {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw fileError("cannot read", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Diagnostic("\(path) is not a regular file")
    }
    guard status.st_size > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let size = Int(status.st_size)
    let mapping = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let mapping, mapping != MAP_FAILED else { throw fileError("cannot map", path) }
    return UnsafeRawBufferPointer(start: mapping, count: size)
  }

  /// Checks that the file still has all bytes that were mapped: to read one that it lost would end the process.
  ///
  /// - Throws: `Diagnostic` if it became shorter.
  func requireWhole() throws(Diagnostic) {
    var status = stat()
    guard fstat(descriptor, &status) == 0, Int(status.st_size) >= bytes.count else {
      throw Diagnostic("\(path) became shorter while it was read")
    }
  }

  /// Returns the bytes of the small file at `path`.
  ///
  /// - Parameter wayOut: what to do with a larger one, if something can be done.
  /// - Throws: `Diagnostic` if it cannot be read, or has more than `limit` bytes.
  static func contents(
    _ path: String, limit: Int, wayOut: String? = nil
  ) throws(Diagnostic) -> [UInt8] {
    let file = try MappedFile(path: path)
    defer { withExtendedLifetime(file) {} }
    guard file.bytes.count <= limit else {
      throw Diagnostic(
        "\(path) has \(file.bytes.count) bytes; at most \(limit) are read", suggestion: wayOut)
    }
    return Array(file.bytes)
  }

  /// Returns the digest of the file's bytes.
  func digest() -> Digest {
    defer { withExtendedLifetime(self) {} }
    return Digest(of: bytes)
  }

  deinit {
    if let place { MappedRanges.remove(place) }
    close(descriptor)
    if let base = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
    }
  }
}

/// Returns the bytes of the file at `path`, which a person wrote.
///
/// - Throws: `Diagnostic` if it cannot be read, or has more than 64 MiB.
package func smallFile(_ path: String) throws(Diagnostic) -> [UInt8] {
  try MappedFile.contents(path, limit: 64 << 20)
}

/// Returns the error that `action` on the file at `path` failed, with the system's reason.
func fileError(_ action: String, _ path: String) -> Diagnostic {
  Diagnostic("\(action) \(path): \(String(cString: strerror(errno)))")
}
