package import MoTIR

/// What every thread did during one run of an entry, and when.
package struct Timeline: Sendable {
  /// One thread's part of one call, in seconds since the first thread began the run.
  package struct Span: Hashable, Sendable {
    /// The call's position in the entry.
    package let call: Int
    /// The thread.
    package let thread: Int
    /// When the thread came to the call; until `start` it waited for others.
    package let arrival: Double
    /// When it began to work.
    package let start: Double
    /// When it was done.
    package let end: Double
  }

  /// The entry that ran.
  package let entry: Entry
  /// How many threads ran it.
  package let threads: Int
  /// All spans, thread by thread, in order of time.
  package let spans: [Span]

  /// Reads the ticks that the threads noted in `memory`.
  ///
  /// - Parameter seconds: how long the run took by the clock, which gives a tick its length.
  init(
    _ entry: Entry, ticks memory: UnsafeRawBufferPointer, threads: Int, stamps: TimeStamps,
    seconds: Double
  ) {
    self.entry = entry
    self.threads = threads
    func tick(_ thread: Int, _ offset: Int) -> Int64 {
      memory.loadUnaligned(fromByteOffset: thread * stamps.bytesPerThread + offset, as: Int64.self)
    }
    let first = (0..<threads).map { tick($0, stamps.arrival(at: 0)) }.min() ?? 0
    let last = (0..<threads).map { tick($0, stamps.arrival(at: entry.calls.count)) }.max() ?? 0
    let length = seconds / Double(max(1, last - first))
    func time(_ thread: Int, _ offset: Int) -> Double {
      Double(tick(thread, offset) - first) * length
    }
    spans = (0..<threads).flatMap { thread in
      entry.calls.indices.map { call in
        Span(
          call: call, thread: thread, arrival: time(thread, stamps.arrival(at: call)),
          start: time(thread, stamps.start(of: call)),
          end: time(thread, stamps.arrival(at: call + 1)))
      }
    }
  }
}
