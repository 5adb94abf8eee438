internal import Glibc
internal import MoTIR

/// Writes `parts` to the file at `path` so that at any time the path holds the old file or the whole
/// new one: a temporary file beside it, flushed to the disk, then renamed.
///
/// - Throws: `Diagnostic` if the file cannot be written; nothing is left behind then.
func writeAtomically(
  _ parts: [UnsafeRawBufferPointer], to path: String, mode: mode_t = 0o666
) throws(Diagnostic) {
  let (temporary, descriptor) = try createTemporary(beside: path, mode: mode)
  do throws(Diagnostic) {
    defer { close(descriptor) }
    guard parts.allSatisfy({ writeAll($0, to: descriptor) }) else {
      throw fileError("cannot write", path)
    }
    guard fsync(descriptor) == 0 else { throw fileError("cannot flush", path) }
    guard rename(temporary, path) == 0 else { throw fileError("cannot replace", path) }
  } catch {
    unlink(temporary)
    throw error
  }
  flushFolder(of: path)
}

/// Creates a new file beside `path` and returns its path and descriptor.
private func createTemporary(
  beside path: String, mode: mode_t
) throws(Diagnostic) -> (String, Int32) {
  for _ in 0..<16 {
    let suffix = String(UInt64.random(in: .min ... .max), radix: 36)
    let temporary = "\(path).\(suffix).tmp"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    if descriptor >= 0 { return (temporary, descriptor) }
    guard errno == EEXIST else { break }
  }
  throw fileError("cannot write", path)
}

/// Makes the new name itself last. Some file systems cannot; the contents are safe even so.
private func flushFolder(of path: String) {
  let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
  let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard descriptor >= 0 else { return }
  fsync(descriptor)
  close(descriptor)
}
