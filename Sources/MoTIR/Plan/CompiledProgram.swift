/// A compiled model on its way from the compiler to the runtime.
public struct CompiledProgram: Hashable, Sendable {
  /// What was compiled: entries, buffers, parameters.
  public let plan: KernelPlan
  /// The object files that hold the plan's entries together.
  public let objects: [[UInt8]]
  /// Bytes of scratch memory that each thread needs.
  public let scratchBytes: Int

  /// Creates a program.
  public init(plan: KernelPlan, objects: [[UInt8]], scratchBytes: Int) {
    self.plan = plan
    self.objects = objects
    self.scratchBytes = scratchBytes
  }
}
