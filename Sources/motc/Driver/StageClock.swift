import Dispatch
import Foundation
import Synchronization

/// Measures stages, and tells a person at a terminal what takes long.
final class StageClock {
  /// A stage with the time that it took.
  struct Stage {
    /// What was done.
    let name: String
    /// How long it took.
    let time: Duration
  }

  /// The finished stages, in order.
  private(set) var stages: [Stage] = []
  private let start = ContinuousClock.now

  /// Returns what `body` returns, and keeps the time that it took.
  func measure<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    let notice = hasTerminal ? Notice(name) : nil
    defer { notice?.cancel() }
    let start = ContinuousClock.now
    defer { add(name, ContinuousClock.now - start) }
    return try body()
  }

  /// Keeps the time of a stage that was measured elsewhere.
  func add(_ name: String, _ time: Duration) { stages.append(Stage(name: name, time: time)) }

  /// Prints all stages to stderr.
  func report() {
    let width = stages.map(\.name.count).max() ?? 0
    for stage in stages {
      say("\(padded(stage.name, width))  \(milliseconds(stage.time)) ms")
    }
    say("\(padded("total", width))  \(milliseconds(ContinuousClock.now - start)) ms")
  }

  private func milliseconds(_ time: Duration) -> String {
    padded(fixed(time.seconds * 1000, 2), -10)
  }
}

/// A line that appears after two seconds unless it is cancelled before.
private final class Notice: Sendable {
  private let isCancelled = Mutex(false)

  init(_ name: String) {
    DispatchQueue.global().asyncAfter(deadline: .now() + 2) { [self] in
      isCancelled.withLock { if !$0 { say("motc: \(name) …") } }
    }
  }

  /// Keeps the line from appearing.
  func cancel() { isCancelled.withLock { $0 = true } }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
