import MoTIR
import Runtime
import Testing

/// What threads note of their time is in order, and covers every call.
@Suite struct TimelineTests {
  @Test(arguments: [1, 3])
  func callsFollowEachOther(threads: Int) throws {
    let agreement = try AgreementModel.named("merged").agreement()
    let build = try Compilation.fused.build(agreement.functions, of: agreement.module)
    let model = try build.model(threads: threads)
    model.load(agreement.values)
    model.run("gradients")
    let timeline = try #require(model.timeline)
    #expect(timeline.entry.name == "gradients")
    #expect(timeline.spans.count == threads * timeline.entry.calls.count)
    for thread in 0..<threads {
      let spans = timeline.spans.filter { $0.thread == thread }
      #expect(spans.map(\.call) == Array(timeline.entry.calls.indices))
      #expect(spans.allSatisfy { $0.arrival >= 0 && $0.arrival <= $0.start && $0.start <= $0.end })
      #expect(zip(spans, spans.dropFirst()).allSatisfy { $0.end <= $1.arrival })
    }
    // No thread begins a call that waits before all have come to it.
    for (index, call) in timeline.entry.calls.enumerated() where call.waits {
      let spans = timeline.spans.filter { $0.call == index }
      let last = spans.map(\.arrival).max() ?? 0
      #expect(spans.allSatisfy { $0.start >= last - 1e-6 })
    }
  }
}
