internal import Glibc

/// Writes all of `bytes`, however many calls that takes; returns `false` and leaves the reason in
/// `errno` if the system refuses.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
  writeAll([bytes], to: descriptor)
}

/// Writes all of `parts`, one after another, likewise.
func writeAll(_ parts: [UnsafeRawBufferPointer], to descriptor: Int32) -> Bool {
  let half = parts.first.map { UnsafeRawBufferPointer(rebasing: $0.prefix($0.count / 2)) }
  let isStruck = FailPoint.strikes {
    if let half { _ = write(descriptor, half.baseAddress, half.count) }
  }
  guard !isStruck else { return false }
  // As many parts as the system takes in a call.
  let most = 1024
  var rest = parts.filter { !$0.isEmpty }[...]
  while !rest.isEmpty {
    let vectors = rest.prefix(most).map {
      iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
    }
    var written = writev(descriptor, vectors, Int32(vectors.count))
    if written < 0, errno == EINTR { continue }
    guard written > 0 else { return false }
    while let first = rest.first, written >= first.count {
      written -= first.count
      rest.removeFirst()
    }
    if written > 0, let first = rest.first {
      rest[rest.startIndex] = UnsafeRawBufferPointer(rebasing: first.dropFirst(written))
    }
  }
  return true
}

/// Waits until all that was written to `descriptor` is on the disk; `false` if the system refuses.
func flush(_ descriptor: Int32) -> Bool { !FailPoint.strikes() && fsync(descriptor) == 0 }

/// Gives the file or folder at `path` another name; `false` if the system refuses.
func move(_ path: String, to name: String) -> Bool {
  !FailPoint.strikes() && rename(path, name) == 0
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
