import Lowering
import MoTIR
import TestSupport
import Testing

/// Guarded plans are the plans they were made from, with buffers in other places.
@Suite struct GuardedPlanTests {
  @Test(arguments: GuardedPlan.Edge.allCases, [true, false])
  func buffersStandApart(_ edge: GuardedPlan.Edge, updates: Bool) throws {
    let plan = try Planned.make(Planned.small())
    let guarded = GuardedPlan(plan, edge: edge, page: 4096, updates: updates)
    #expect(guarded.plan.verify() == [])
    #expect(guarded.plan.entries == plan.entries.filter { updates || $0.name != "update" })
    #expect((guarded.guards[.parameters] == nil) == updates)
    for region in [Region.arena, .packed, .inputs] {
      let buffers = guarded.plan.buffers.filter { $0.region == region }
      #expect(guarded.guards[region]?.count == buffers.count + 1)
    }
    for (buffer, old) in zip(guarded.plan.buffers, plan.buffers) {
      #expect(buffer.label == old.label && buffer.bytes == old.bytes)
      guard let guards = guarded.guards[buffer.region] else {
        #expect(buffer == old)
        continue
      }
      let end = buffer.offset + (buffer.bytes + 63) / 64 * 64
      #expect(!guards.contains { $0.overlaps(buffer.offset..<end) })
      let touches = guards.contains {
        edge == .start ? $0.upperBound == buffer.offset : $0.lowerBound == end
      }
      #expect(touches, "\(buffer.label) touches no guard")
    }
  }
}
