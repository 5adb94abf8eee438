import MoTIR
import Runtime

/// Where the time of runs goes, kernel by kernel.
struct KernelProfile {
  /// One call of an entry in many runs.
  fileprivate struct Row {
    let call: KernelCall
    /// Seconds of work and of waiting for other threads before it, as means over threads, by run.
    var work: [Double] = []
    var waiting: [Double] = []
  }

  /// Calls of one kind: the same kernel by name, arithmetic and memory.
  struct Group {
    /// The kernel's name.
    let kernel: String
    /// How many calls a run has.
    private(set) var calls = 0
    /// Seconds of work in a run, all calls together.
    private(set) var seconds = 0.0
    fileprivate var least = 0.0
    fileprivate var waiting = 0.0
    /// Matrix arithmetic of all calls.
    private(set) var flops = 0.0
    /// Bytes of the buffers of all calls.
    private(set) var bytes = 0.0

    fileprivate init(_ kernel: String) { self.kernel = kernel }

    fileprivate mutating func add(_ row: Row) {
      calls += 1
      seconds += median(row.work)
      least += row.work.min() ?? 0
      waiting += median(row.waiting)
      flops += row.call.flops
      bytes += row.call.bytes
    }
  }

  private var rows: [String: [Row]] = [:]

  /// Adds a run.
  mutating func add(_ timeline: Timeline) {
    let entry = timeline.entry
    var rows = rows[entry.name] ?? entry.calls.map { Row(call: $0) }
    for index in rows.indices {
      rows[index].work.append(0)
      rows[index].waiting.append(0)
    }
    for span in timeline.spans {
      let last = rows[span.call].work.count - 1
      rows[span.call].work[last] += (span.end - span.start) / Double(timeline.threads)
      rows[span.call].waiting[last] += (span.start - span.arrival) / Double(timeline.threads)
    }
    self.rows[entry.name] = rows
  }

  /// Returns the kernels of `entry`, heaviest first.
  func groups(of entry: String) -> [Group] {
    var groups: [String: Group] = [:]
    for row in rows[entry] ?? [] {
      let name = row.call.kernel.name
      groups["\(name) \(row.call.flops) \(row.call.bytes)", default: Group(name)].add(row)
    }
    return groups.sorted { ($1.value.seconds, $0.key) < ($0.value.seconds, $1.key) }.map(\.value)
  }

  /// Kernels by entry, heaviest first: medians of all runs, and of each call the least.
  var text: String {
    var lines = [
      ["entry", "kernel", "calls", "ms", "least ms", "waits before", "GFLOP/s", "at best", "GB/s"]
    ]
    for (entry, rows) in rows.sorted(by: { $0.key < $1.key }) {
      var total = Group("all")
      for row in rows { total.add(row) }
      for group in groups(of: entry) + [total] { lines.append(line(entry, group)) }
    }
    return table(lines, right: [2, 3, 4, 5, 6, 7, 8])
  }

  private func line(_ entry: String, _ group: Group) -> [String] {
    [
      entry, group.kernel, "\(group.calls)", fixed(1e3 * group.seconds, 2),
      fixed(1e3 * group.least, 2), fixed(1e3 * group.waiting, 2),
      fixed(group.flops / group.seconds / 1e9, 1), fixed(group.flops / group.least / 1e9, 1),
      fixed(group.bytes / group.seconds / 1e9, 1),
    ]
  }
}
