internal import Glibc
internal import Synchronization

/// Where the mapped files of this process are, in a table that a signal handler may read.
///
/// To read a page of a mapped file that the file has no more, or that its disk does not give, ends a process by
/// SIGBUS. Nothing can be done then but to say so.
package enum MappedRanges {
  /// A place in the table. All are numbers, for only these change in one step.
  private struct Slot: ~Copyable {
    /// The address of the first byte; `free` or `busy` in a place that has no file.
    let start = Atomic<UInt>(free)
    /// The address behind the last byte.
    let end = Atomic<UInt>(0)
    /// The address of the path, as people can be shown it.
    let path = Atomic<UInt>(0)
  }

  private static let free: UInt = 0
  private static let busy: UInt = 1
  /// Files beyond that are mapped, but not named.
  private static let count = 1024
  private static let isTold = Atomic<Bool>(false)

  nonisolated(unsafe) private static let slots: UnsafeMutablePointer<Slot> = {
    let slots = UnsafeMutablePointer<Slot>.allocate(capacity: count)
    for index in 0..<count { (slots + index).initialize(to: Slot()) }
    return slots
  }()

  // MARK: Files

  /// Notes that `bytes` are those of the file at `path`; returns its place, or `nil` if the table is full.
  static func add(_ bytes: UnsafeRawBufferPointer, _ path: String) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    for index in 0..<count {
      let (isMine, _) = slots[index].start.compareExchange(
        expected: free, desired: busy, ordering: .acquiring)
      guard isMine else { continue }
      slots[index].end.store(UInt(bitPattern: base) + UInt(bytes.count), ordering: .relaxed)
      slots[index].path.store(UInt(bitPattern: strdup(quoted(path))), ordering: .relaxed)
      slots[index].start.store(UInt(bitPattern: base), ordering: .releasing)
      return index
    }
    return nil
  }

  /// Notes that nobody reads the file at place `index` any more.
  static func remove(_ index: Int) {
    slots[index].start.store(busy, ordering: .sequentiallyConsistent)
    Glibc.free(UnsafeMutableRawPointer(bitPattern: slots[index].path.load(ordering: .relaxed)))
    slots[index].start.store(free, ordering: .releasing)
  }

  // MARK: The signal

  /// Ends the process with a sentence and exit code 2 from now on, where a page of a mapped file is gone.
  package static func watch() {
    // Made now: a handler is no place for what makes it at its first use.
    _ = slots
    _ = isTold.load(ordering: .relaxed)
    var action = sigaction()
    action.sa_flags = SA_SIGINFO
    action.__sigaction_handler.sa_sigaction = { _, info, _ in
      MappedRanges.fail(code: info?.pointee.si_code, at: info?.pointee._sifields._sigfault.si_addr)
    }
    sigaction(SIGBUS, &action, nil)
  }

  /// Tells what happened, by nothing but what a signal handler may call, and ends the process.
  private static func fail(code: Int32?, at address: UnsafeMutableRawPointer?) {
    guard code == Int32(BUS_ADRERR) else {
      // That is none of a file: the access is made again, and ends the process as the system wants it.
      signal(SIGBUS, SIG_DFL)
      return
    }
    // One thread is enough; the others wait for the end.
    while isTold.exchange(true, ordering: .relaxed) { pause() }
    say("motc: a file that was being read got shorter, or its disk failed")
    let place = UInt(bitPattern: address)
    for index in 0..<count {
      let start = slots[index].start.load(ordering: .acquiring)
      guard start > busy, start <= place, place < slots[index].end.load(ordering: .relaxed),
        let path = UnsafePointer<CChar>(
          bitPattern: slots[index].path.load(ordering: .relaxed))
      else { continue }
      say(": ")
      _ = write(STDERR_FILENO, path, strlen(path))
      break
    }
    say("\n")
    _exit(2)
  }

  private static func say(_ text: StaticString) {
    _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
  }
}
