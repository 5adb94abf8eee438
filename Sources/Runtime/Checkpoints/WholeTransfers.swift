internal import Glibc

/// Writes all of `bytes`, however many calls that takes; returns `false` and leaves the reason in
/// `errno` if the system refuses.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
  var rest = bytes[...]
  while !rest.isEmpty {
    let chunk = UnsafeRawBufferPointer(rebasing: rest)
    let written = write(descriptor, chunk.baseAddress, chunk.count)
    if written < 0, errno == EINTR { continue }
    guard written > 0 else { return false }
    rest = rest.dropFirst(written)
  }
  return true
}

/// Returns the next `count` bytes, or `nil` if there are fewer or the system refuses.
func readAll(_ descriptor: Int32, count: Int) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  let isWhole = bytes.withUnsafeMutableBytes { buffer in
    var rest = buffer[...]
    while !rest.isEmpty {
      let chunk = UnsafeMutableRawBufferPointer(rebasing: rest)
      let received = read(descriptor, chunk.baseAddress, chunk.count)
      if received < 0, errno == EINTR { continue }
      guard received > 0 else { return false }
      rest = rest.dropFirst(received)
    }
    return true
  }
  return isWhole ? bytes : nil
}
