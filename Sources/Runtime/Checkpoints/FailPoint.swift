internal import Foundation
internal import Glibc
internal import Synchronization

/// Steps of writing files that tests have fail: `MOTC_FAIL_AT=7` lets the seventh write, flush, rename or link fail as
/// a broken disk would, a write behind half of its bytes; `MOTC_FAIL_AT=7:kill` ends the process there.
enum FailPoint {
  private static let count = Atomic<Int>(0)
  private static let plan: (number: Int, kills: Bool)? = {
    guard let text = ProcessInfo.processInfo.environment["MOTC_FAIL_AT"] else { return nil }
    let parts = text.split(separator: ":")
    return parts.first.flatMap { Int($0) }.map { ($0, parts.last == "kill") }
  }()

  /// `true` iff the step that comes now is the one that fails; `errno` says how.
  ///
  /// - Parameter torn: does what of the step is done then.
  static func strikes(_ torn: () -> Void = {}) -> Bool {
    guard let plan else { return false }
    guard count.add(1, ordering: .relaxed).newValue == plan.number else { return false }
    torn()
    if plan.kills { kill(getpid(), SIGKILL) }
    errno = EIO
    return true
  }
}
