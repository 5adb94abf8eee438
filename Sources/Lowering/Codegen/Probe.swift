package import MoTIR

/// A loop that shows what a part of the machine can reach at most.
package protocol Probe {
  /// A plan with one entry, for which the object was made.
  var plan: KernelPlan { get }
  /// The object.
  var object: [UInt8] { get }
  /// Bytes of scratch memory that each thread needs.
  var scratchBytes: Int { get }

  /// Returns what one run on `threads` threads does, in the unit that the probe counts.
  func work(threads: Int) -> Double
}
