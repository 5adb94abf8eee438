import Foundation
import Lowering
import MoTIR
import Runtime
import Testing

/// Kernels stay inside of each buffer, and what they read was written: pages about every buffer may not be
/// touched, once those before it and once those behind it, and all else holds NaNs at first.
@Suite struct GuardedBufferTests {
  private static let targets = ["native", "x86-64-v3", "x86-64-v2"]

  /// Every group has weights of its own; one modality has one token, one has none; heads share keys.
  private static let untied = AgreementModel.preNorm(
    "guarded_untied", count: 3, width: 22, sequence: 37, attends: .alone, bias: true,
    mixture: .single(1),
    attention: Attention(
      heads: 4, keyValueHeads: 2, headWidth: 6, normalizeQueryKey: true, documents: true, bias: true
    ))

  /// Weights are shared, the head's too; panels are full and not; every third token is padding.
  private static let tied = AgreementModel.preNorm(
    "guarded_tied", count: 2, width: 35, hidden: 75, sequence: 19, untied: .none, size: 17,
    activation: .geGLU, tiedHead: true, mixture: .padded,
    attention: Attention(heads: 1, headWidth: 34))

  /// The head is computed in three strips.
  private static let large = AgreementModel.preNorm(
    "guarded_large", count: 2, width: 12, batch: 1, sequence: 41, size: 1_031)

  /// Some matrices are of whole panels.
  private static let updated = AgreementModel.preNorm(
    "guarded_updated", count: 2, width: 64, hidden: 90)

  @Test(arguments: [untied, tied, large], targets)
  func gradientsAgree(_ model: AgreementModel, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    let agreement = try model.agreement()
    for precision in Precision.allCases {
      for edge in GuardedPlan.Edge.allCases {
        // One thread alone has its scratch memory between guards.
        try agreement.compare(
          .fused.on(target).at(precision).with(threads: edge == .start ? 1 : 2).guarded(at: edge),
          bound: precision == .f32 ? 1e-5 : 6e-2)
      }
    }
  }

  @Test(arguments: ["continuous", "continuous_single"], GuardedPlan.Edge.allCases)
  func continuousTokensAgree(_ name: String, _ edge: GuardedPlan.Edge) throws {
    try AgreementModel.named(name).agreement().compare(.fused.guarded(at: edge))
  }

  @Test(arguments: GuardedPlan.Edge.allCases)
  func unfusedAgrees(_ edge: GuardedPlan.Edge) throws {
    try Self.untied.agreement().compare(.unfused.guarded(at: edge))
  }

  @Test(arguments: targets)
  func updatesFollowTheReference(_ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    let agreement = try Self.updated.agreement()
    for precision in Precision.allCases {
      for edge in GuardedPlan.Edge.allCases {
        let model = try Compilation.fused.on(target).at(precision)
          .guarded(at: edge, updates: true).model(agreement.functions, of: agreement.module)
        // The second step reads the packed forms that the first one left.
        try agreement.followUpdates(of: model, steps: 2, clip: 0.05)
      }
    }
  }

  // MARK: The traps themselves

  @Test(arguments: GuardedPlan.Edge.allCases)
  func everyBufferTouchesAGuard(_ edge: GuardedPlan.Edge) throws {
    let agreement = try AgreementModel.named("merged").agreement()
    let model = try Compilation.fused.guarded(at: edge)
      .model(agreement.functions, of: agreement.module)
    let pipe = Pipe()
    for (index, buffer) in model.plan.buffers.enumerated() {
      let memory = model.memory(BufferID(index))
      let start = try #require(UnsafeRawPointer(memory.baseAddress))
      let end = start + (buffer.bytes + 63) / 64 * 64
      #expect(pipe.reads(start) && pipe.reads(end - 1), "\(buffer.label) cannot be read")
      #expect(!pipe.reads(edge == .start ? start - 1 : end), "\(buffer.label) touches no guard")
      if buffer.region != .constants {
        #expect(memory.allSatisfy { $0 == 0xFF }, "\(buffer.label) holds numbers")
      }
    }
  }
}

extension Pipe {
  /// Returns `true` iff the byte at `address` may be read: the system looks before it does.
  fileprivate func reads(_ address: UnsafeRawPointer) -> Bool {
    guard write(fileHandleForWriting.fileDescriptor, address, 1) == 1 else { return false }
    var byte: UInt8 = 0
    return read(fileHandleForReading.fileDescriptor, &byte, 1) == 1
  }
}
