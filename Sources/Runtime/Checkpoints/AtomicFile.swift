internal import Foundation
internal import Glibc
internal import MoTIR

/// Writes `bytes` to the file at `path`, as `writeAtomically` does.
///
/// - Throws: `Diagnostic` if the file cannot be written.
package func writeFile(_ bytes: [UInt8], to path: String) throws {
  try bytes.withUnsafeBytes { try writeAtomically([$0], to: path) }
}

/// Writes `value` as JSON that people can read to the file at `path`, as `writeAtomically` does.
///
/// - Throws: `Diagnostic` if the file cannot be written, and what the encoder says of numbers that are not finite.
func writeJSON(_ value: some Encodable, to path: String) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  try writeFile(Array(try encoder.encode(value)) + [0x0A], to: path)
}

/// Writes `parts` to the file at `path` so that at any time the path holds the old file or the whole
/// new one: a temporary file beside it, flushed to the disk, then renamed.
///
/// A link stays, and the file that it names is replaced. What is no file, as `/dev/null` or a pipe, is
/// never replaced, but written to.
///
/// - Throws: `Diagnostic` if the file cannot be written; nothing is left behind then.
func writeAtomically(
  _ parts: [UnsafeRawBufferPointer], to path: String, mode: mode_t = 0o666
) throws(Diagnostic) {
  var status = stat()
  if stat(path, &status) == 0 {
    guard status.st_mode & S_IFMT == S_IFREG else { return try writeInPlace(parts, to: path) }
    try replace(resolved(path), by: parts, mode: mode)
  } else {
    try replace(path, by: parts, mode: mode)
  }
}

/// Writes `parts` to the device or pipe at `path`.
private func writeInPlace(
  _ parts: [UnsafeRawBufferPointer], to path: String
) throws(Diagnostic) {
  let descriptor = open(path, O_WRONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw fileError("cannot write", path) }
  defer { close(descriptor) }
  guard writeAll(parts, to: descriptor) else {
    throw fileError("cannot write", path)
  }
}

/// Returns `path` with links resolved.
private func resolved(_ path: String) -> String {
  guard let real = realpath(path, nil) else { return path }
  defer { free(real) }
  return String(cString: real)
}

/// Replaces the file at `path`, or creates it.
private func replace(
  _ path: String, by parts: [UnsafeRawBufferPointer], mode: mode_t
) throws(Diagnostic) {
  let (temporary, descriptor) = try createTemporary(beside: path, mode: mode)
  do throws(Diagnostic) {
    defer { close(descriptor) }
    guard writeAll(parts, to: descriptor) else {
      throw fileError("cannot write", path)
    }
    guard flush(descriptor) else { throw fileError("cannot flush", path) }
    guard move(temporary, to: path) else { throw fileError("cannot replace", path) }
  } catch {
    unlink(temporary)
    throw error
  }
  flushFolder(of: path)
}

/// Creates a new file beside `path` and returns its path and descriptor. Its name is short, whatever
/// the length of the other.
private func createTemporary(
  beside path: String, mode: mode_t
) throws(Diagnostic) -> (String, Int32) {
  let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
  for _ in 0..<16 {
    let name = String(UInt64.random(in: .min ... .max), radix: 36)
    let temporary = "\(folder).motc-\(name).tmp"
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
  _ = flush(descriptor)
  close(descriptor)
}

/// Makes the folder at `path`, and those above it.
///
/// - Throws: `Diagnostic` if it cannot be made.
func makeFolder(_ path: String) throws(Diagnostic) {
  do {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  } catch {
    throw Diagnostic("cannot make the folder \(path): \((error as NSError).localizedDescription)")
  }
}

/// Gives a folder whose files are safe on the disk its name, so that it lasts. A folder that has the name goes.
///
/// - Throws: `Diagnostic` if it cannot be renamed.
func renameFolder(_ path: String, to name: String) throws(Diagnostic) {
  flushFolder(of: "\(path)/.")
  removeFolder(name)
  guard move(path, to: name) else { throw fileError("cannot make", name) }
  flushFolder(of: name)
}

/// Removes the folder at `path`: first its name, so that no half of it is ever found.
func removeFolder(_ path: String) {
  let hidden = "\(path.folderOfPath)/.\(path.nameOfPath).old"
  try? FileManager.default.removeItem(atPath: hidden)
  guard rename(path, hidden) == 0 else { return }
  try? FileManager.default.removeItem(atPath: hidden)
}

/// Makes `path` a link to `target`, in place of one that was there.
///
/// - Throws: `Diagnostic` if it cannot be made.
func replaceLink(_ path: String, by target: String) throws(Diagnostic) {
  let temporary = "\(path.folderOfPath)/.\(path.nameOfPath).tmp"
  unlink(temporary)
  guard !FailPoint.strikes(), symlink(target, temporary) == 0, move(temporary, to: path) else {
    throw fileError("cannot make the link", path)
  }
  flushFolder(of: path)
}
