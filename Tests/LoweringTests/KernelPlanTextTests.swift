import Foundation
import Lowering
import MoTIR
import TestSupport
import Testing

/// The kernel plan's text.
@Suite struct KernelPlanTextTests {
  private static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  @Test func smallModelIsPlannedAsItsGoldenShows() throws {
    let text = try Planned.make(Planned.small(), "loss").text
    let file = Self.root.appending(path: "Tests/Golden/mixture.plan")
    if ProcessInfo.processInfo.environment["MOTC_BLESS"] == "1" {
      return try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let golden = try String(contentsOf: file, encoding: .utf8)
    #expect(
      (text == golden) as Bool,
      """
      the plan of the small mixture is now
      \(text)
      If that is right, bless it: MOTC_BLESS=1 swift test --filter KernelPlanTextTests
      """)
  }

  @Test func documentationShowsTheGolden() throws {
    let lines = try Planned.make(Planned.small(), "loss").text
      .split(separator: "\n", omittingEmptySubsequences: false)
    let kernel = try #require(lines.firstIndex { $0.hasPrefix("kernel linear_and_8 ") })
    let call = try #require(lines.lastIndex { $0.contains("| linear_and_8 ") })
    let example =
      lines[kernel...].prefix { !$0.isEmpty } + [""]
      + lines[call...].prefix { $0 == lines[call] || $0.hasPrefix("          ") }
    let file = Self.root.appending(path: "docs/kernel-plan.md")
    let page = try String(contentsOf: file, encoding: .utf8)
    let parts = page.split(separator: "```\n", maxSplits: 2, omittingEmptySubsequences: false)
    try #require(parts.count == 3)
    let fresh = "\(parts[0])```\n\(example.joined(separator: "\n"))\n```\n\(parts[2])"
    if ProcessInfo.processInfo.environment["MOTC_BLESS"] == "1" {
      return try fresh.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(
      (page == fresh) as Bool,
      "docs/kernel-plan.md is stale: MOTC_BLESS=1 swift test --filter KernelPlanTextTests")
  }

  @Test func equalPlansHaveEqualTexts() throws {
    for fused in [true, false] {
      let plans = try (0..<2).map { _ in try Planned.make(Planned.small(), fused: fused) }
      #expect(plans[0] == plans[1])
      #expect(plans[0].text == plans[1].text)
    }
  }

  @Test func textTellsPlansApart() throws {
    let small = try Planned.small()
    var sizes = TestModels.Sizes()
    sizes.layers = 1
    sizes.hidden = 25
    let texts = try [
      Planned.make(small), Planned.make(small, fused: false),
      Planned.make(small, precision: .bf16), Planned.make(small, target: "x86-64-v4"),
      Planned.make(small, "loss"), Planned.make(TestModels.mixture(sizes, routing: .sharedPlan)),
    ].map(\.text)
    #expect(Set(texts).count == texts.count)
  }

  @Test func everyBarrierAndPlaceIsPartOfTheText() throws {
    let plan = try Planned.make(Planned.small())
    for entry in plan.entries.indices {
      for call in plan.entries[entry].calls.indices {
        var changed = plan
        changed.entries[entry].calls[call].waits.toggle()
        #expect(changed.text != plan.text)
      }
    }
    let used = plan.entries.flatMap(\.calls).flatMap(\.arguments).compactMap { argument in
      if case .buffer(let id, _) = argument { id.index } else { nil as Int? }
    }
    for index in Set(used) {
      var changed = plan
      changed.buffers[index].offset += 4
      #expect(changed.text != plan.text)
    }
  }
}
