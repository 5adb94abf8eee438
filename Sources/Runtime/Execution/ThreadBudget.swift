internal import Foundation

/// How many threads this process may use at once, and why.
package struct ThreadBudget: Hashable, Sendable {
  /// The number of threads, at least 1.
  package let threads: Int
  /// Where the number comes from, for bug reports.
  package let explanation: String

  /// The budget of this process now: the cores it may run on, and the processor time that its
  /// control groups allow.
  package static var current: ThreadBudget {
    ThreadBudget(cores: ProcessInfo.processInfo.activeProcessorCount) { path in
      // These files have no size, so they are read to their end.
      guard let file = FileHandle(forReadingAtPath: path) else { return nil }
      defer { try? file.close() }
      return (try? file.readToEnd()).map { String(decoding: $0, as: UTF8.self) }
    }
  }

  /// Creates the budget of a process on a machine with `cores` cores.
  ///
  /// - Parameter read: returns the text of a file below `/proc` or `/sys`, `nil` if it is absent.
  package init(cores: Int, read: (String) -> String?) {
    let cores = read("/proc/self/status").flatMap(Self.allowedCores) ?? cores
    let quotas = (read("/proc/self/cgroup") ?? "").split(separator: "\n").flatMap {
      Self.quotas(group: $0, read: read)
    }
    guard let quota = quotas.min(by: { $0.cores < $1.cores }), Int(quota.cores.rounded(.up)) < cores
    else {
      threads = max(1, cores)
      explanation = "\(threads) from the cores this process may run on"
      return
    }
    threads = max(1, Int(quota.cores.rounded(.up)))
    explanation =
      "\(threads) from the quota of \(quota.cores) cores in \(quota.path) (\(cores) cores)"
  }

  /// A limit on processor time, and the file that says so.
  private struct Quota {
    let cores: Double
    let path: String
  }

  /// Returns the limits of the group in a line of `/proc/self/cgroup` and of all groups around it.
  private static func quotas(group line: Substring, read: (String) -> String?) -> [Quota] {
    let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    guard fields.count == 3 else { return [] }
    let isVersion2 = fields[1].isEmpty
    guard isVersion2 || fields[1].split(separator: ",").contains("cpu") else { return [] }
    let root = isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/\(fields[1])"
    var parts = fields[2].split(separator: "/").filter { $0 != ".." }
    var quotas: [Quota] = []
    while true {
      let folder = ([Substring(root)] + parts).joined(separator: "/")
      quotas += isVersion2 ? version2(folder, read: read) : version1(folder, read: read)
      if parts.popLast() == nil { return quotas }
    }
  }

  /// Returns the limit in `cpu.max`: `QUOTA PERIOD`, or `max PERIOD` for none.
  private static func version2(_ folder: String, read: (String) -> String?) -> [Quota] {
    let path = "\(folder)/cpu.max"
    let fields = (read(path) ?? "").split(whereSeparator: \.isWhitespace).map { Double($0) }
    guard fields.count == 2, let quota = fields[0], let period = fields[1] else { return [] }
    return ratio(quota, period, path)
  }

  /// Returns the limit in `cpu.cfs_quota_us` and `cpu.cfs_period_us`; a quota of -1 is none.
  private static func version1(_ folder: String, read: (String) -> String?) -> [Quota] {
    let path = "\(folder)/cpu.cfs_quota_us"
    let values = [path, "\(folder)/cpu.cfs_period_us"].map {
      Double((read($0) ?? "").trimmingCharacters(in: .whitespacesAndNewlines))
    }
    guard let quota = values[0], let period = values[1] else { return [] }
    return ratio(quota, period, path)
  }

  /// Returns the limit of `quota` in each `period`, if it is one.
  private static func ratio(_ quota: Double, _ period: Double, _ path: String) -> [Quota] {
    let cores = quota / period
    guard quota > 0, period > 0, cores.isFinite, cores < 1e6 else { return [] }
    return [Quota(cores: cores, path: path)]
  }
}

extension ThreadBudget {
  /// Returns the number of cores that the scheduler may put this process on, `nil` if `status`, the
  /// text of `/proc/self/status`, does not say.
  static func allowedCores(status: String) -> Int? {
    let key = "Cpus_allowed_list:"
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(key) }) else {
      return nil
    }
    var cores = 0
    for range in line.dropFirst(key.count).split(separator: ",") {
      let ends = range.split(separator: "-").map {
        Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
      }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, first >= 0, first <= last,
        last < 1 << 20
      else { return nil }
      cores += last - first + 1
    }
    return cores > 0 ? cores : nil
  }
}
