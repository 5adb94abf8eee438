/// A compiled model on its way from the compiler to the runtime.
public struct CompiledProgram: Hashable, Sendable {
  /// What was compiled: entries, buffers, parameters.
  public let plan: KernelPlan
  /// The object file with the plan's entries.
  public let object: [UInt8]
  /// Bytes of scratch memory that each thread needs.
  public let scratchBytes: Int

  /// Creates a program.
  public init(plan: KernelPlan, object: [UInt8], scratchBytes: Int) {
    self.plan = plan
    self.object = object
    self.scratchBytes = scratchBytes
  }
}
