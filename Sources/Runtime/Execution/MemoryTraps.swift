package import MoTIR

/// What tests put around and into a model's memory, to catch kernels that leave theirs.
///
/// Every region lies between pages that nobody may touch. What nobody has written holds the bits of a NaN,
/// in any format; as an index it is −1.
package struct MemoryTraps: Sendable {
  /// More pages that nobody may touch: those of a `GuardedPlan`.
  package let guards: [Region: [Range<Int>]]

  private static let filler: UInt8 = 0xFF

  /// Creates traps.
  package init(guards: [Region: [Range<Int>]] = [:]) { self.guards = guards }

  /// Returns the memory of `region`, of `bytes` bytes unless guards say where it ends.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  func reserve(_ region: Region, bytes: Int, of plan: KernelPlan) throws -> AlignedBuffer {
    let isZero =
      switch region {
      case .control, .takenParts: true
      // The norm walks all gradients as one array, with what lies between them.
      case .gradients, .accumulated: plan.entry("update") != nil
      case .arena, .parameters, .packed, .firstMoments, .secondMoments, .inputs, .caches,
        .constants, .scratch, .timeStamps:
        false
      }
    let guards = guards[region == .accumulated ? .gradients : region] ?? []
    return try AlignedBuffer(
      guarded: guards.last?.upperBound ?? bytes, guards: guards, filler: isZero ? 0 : Self.filler)
  }

  /// Sets the moments, which start at 0, and the gradients, which a run writes before they are read.
  func fill(_ model: CompiledModel) {
    if model.plan.entry("gradients") != nil {
      for gradient in model.plan.parameters.compactMap(\.gradient) {
        model.memory(gradient).initializeMemory(as: UInt8.self, repeating: Self.filler)
      }
    }
    for buffer in model.plan.buffers.indices.map({ BufferID($0) })
    where [.firstMoments, .secondMoments].contains(model.plan[buffer].region) {
      model.memory(buffer).initializeMemory(as: UInt8.self, repeating: 0)
    }
  }
}
