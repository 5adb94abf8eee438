internal import Dispatch
package import MoTIR
internal import Synchronization

/// Prepares the next batch, with its routing plan, while the present one is worked on.
package final class BatchQueue: Sendable {
  /// A batch and where the one behind it begins.
  package typealias Prepared = (batch: Batch, next: DataPosition)

  private let source: Mutex<BatchSource>
  private let prepared = Mutex<Result<Prepared, Diagnostics>?>(nil)
  private let isReady = DispatchSemaphore(value: 0)
  private let queue = DispatchQueue(label: "motc.batches", qos: .userInitiated)

  /// Begins to prepare the first batch of `source`.
  package init(_ source: sending BatchSource) {
    self.source = Mutex(source)
    prepare()
  }

  /// Returns the batch that was prepared, and begins with the next one.
  ///
  /// - Throws: `Diagnostics` if it could not be read.
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
        Result { () throws(Diagnostics) -> Prepared in (try source.next(), source.position) }
      }
      prepared.withLock { $0 = result }
      isReady.signal()
    }
  }
}
