internal import Glibc

/// Returns what tells the file at `path` from any other, and from itself before a change: device, number,
/// size and time. `nil` if there is none.
package func fileIdentity(_ path: String) -> String? {
  var status = stat()
  guard stat(path, &status) == 0 else { return nil }
  let time = status.st_mtim
  return "\(status.st_dev) \(status.st_ino) \(status.st_size) \(time.tv_sec).\(time.tv_nsec)"
}
