import Foundation
import MoTIR
import Runtime

/// What threads did, in the format that chrome://tracing and Perfetto read: one row a thread, one bar a
/// kernel, times in microseconds.
///
/// The format: "Trace Event Format", Google, complete events (`ph` X).
struct ChromeTrace: Encodable {
  /// A bar.
  struct Event: Encodable {
    let name: String
    let cat: String
    let ph = "X"
    let ts: Double
    let dur: Double
    let pid = 1
    let tid: Int
    let args: Details
  }

  /// What a person sees of a bar that was clicked on.
  struct Details: Encodable {
    var call: Int
    var gflops: Double?
    var gigabytesPerSecond: Double?
  }

  private(set) var traceEvents: [Event] = []
  /// Where the next run begins: runs stand one after another.
  private var start = 0.0

  private enum CodingKeys: String, CodingKey { case traceEvents }

  /// Adds a run behind those before.
  mutating func add(_ timeline: Timeline) {
    for span in timeline.spans {
      let call = timeline.entry.calls[span.call]
      if span.start > span.arrival, call.waits {
        add("wait", timeline, span, from: span.arrival, to: span.start, Details(call: span.call))
      }
      // A thread has its part of the work only.
      let seconds = (span.end - span.start) * Double(timeline.threads)
      let details = Details(
        call: span.call, gflops: seconds > 0 ? call.flops / seconds / 1e9 : nil,
        gigabytesPerSecond: seconds > 0 ? call.bytes / seconds / 1e9 : nil)
      add(call.kernel.name, timeline, span, from: span.start, to: span.end, details)
    }
    start += 1e6 * (timeline.spans.map(\.end).max() ?? 0)
  }

  private mutating func add(
    _ name: String, _ timeline: Timeline, _ span: Timeline.Span, from begin: Double, to end: Double,
    _ details: Details
  ) {
    traceEvents.append(
      Event(
        name: name, cat: timeline.entry.name, ts: start + 1e6 * begin, dur: 1e6 * (end - begin),
        tid: span.thread, args: details))
  }

  /// Writes the trace to the file at `path`.
  ///
  /// - Throws: `CannotRun` if it cannot be written.
  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try Output(path).write(try encoder.encode(self) + Data("\n".utf8))
  }
}
