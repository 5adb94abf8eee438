internal import Glibc
internal import MoTIR

/// The bytes of a file, mapped for reading.
final class MappedFile {
  /// The bytes. They come from the page cache, so that only what is read takes memory.
  let bytes: UnsafeRawBufferPointer

  /// Maps the file at `path`.
  ///
  /// - Throws: `Diagnostic` if it cannot be opened or is not a regular file.
  init(path: String) throws(Diagnostic) {
    // A pipe would block an open that waits for its other end.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw fileError("cannot open", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw fileError("cannot read", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Diagnostic("\(path) is not a regular file")
    }
    guard status.st_size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let size = Int(status.st_size)
    let mapping = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let mapping, mapping != MAP_FAILED else { throw fileError("cannot map", path) }
    bytes = UnsafeRawBufferPointer(start: mapping, count: size)
  }

  deinit {
    if let base = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
    }
  }
}

/// Returns the error that `action` on the file at `path` failed, with the system's reason.
func fileError(_ action: String, _ path: String) -> Diagnostic {
  Diagnostic("\(action) \(path): \(String(cString: strerror(errno)))")
}
