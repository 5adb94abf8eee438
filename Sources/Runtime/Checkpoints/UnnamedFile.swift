internal import Foundation
internal import Glibc
package import MoTIR

/// Returns a descriptor that reads `text`, from a file that has no name any more.
///
/// - Throws: `Diagnostic` if there is no room for it.
package func unnamedFile(holding text: String) throws(Diagnostic) -> Int32 {
  let problem = Diagnostic("cannot write to the folder of temporary files")
  var name = Array("\(FileManager.default.temporaryDirectory.path)/motc-XXXXXX".utf8CString)
  let writer = mkstemp(&name)
  guard writer >= 0 else { throw problem }
  defer { close(writer) }
  defer { unlink(name) }
  _ = fcntl(writer, F_SETFD, FD_CLOEXEC)
  let reader = open(name, O_RDONLY | O_CLOEXEC)
  let isWritten = Array(text.utf8).withUnsafeBytes { writeAll($0, to: writer) }
  guard reader >= 0, isWritten else {
    if reader >= 0 { close(reader) }
    throw problem
  }
  return reader
}
