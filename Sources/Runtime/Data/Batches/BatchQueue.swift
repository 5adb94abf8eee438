internal import Dispatch
package import MoTIR
internal import Synchronization

/// Prepares the batches of the next step, with their routing plans, while the present ones are worked on.
package final class BatchQueue: Sendable {
  /// The batches of a step, and where the one behind them begins.
  package typealias Prepared = (batches: [Batch], next: DataPosition)

  private let source: Mutex<BatchSource>
  private let count: Int
  private let prepared = Mutex<Result<Prepared, Diagnostics>?>(nil)
  private let isReady = DispatchSemaphore(value: 0)
  private let queue = DispatchQueue(label: "motc.batches", qos: .userInitiated)

  /// Begins to prepare the first step's batches of `source`, `count` a step.
  package init(_ source: sending BatchSource, count: Int = 1) {
    self.source = Mutex(source)
    self.count = count
    prepare()
  }

  /// Returns the batches that were prepared, and begins with the next ones.
  ///
  /// - Throws: `Diagnostics` if they could not be read.
  package func next() throws(Diagnostics) -> Prepared {
    isReady.wait()
    let result = prepared.withLock { $0 }
    prepare()
    guard let result else { preconditionFailure("no batch was prepared") }
    return try result.get()
  }

  private func prepare() {
    queue.async { [self] in
      let result = source.withLock { source in
        Result { () throws(Diagnostics) -> Prepared in
          var batches: [Batch] = []
          for _ in 0..<count { batches.append(try source.next()) }
          return (batches, source.position)
        }
      }
      prepared.withLock { $0 = result }
      isReady.signal()
    }
  }
}
