import Foundation
import MoTIR
import Testing

/// Rotary embedding and attention against values worked out by hand.
@Suite struct ReferenceAttentionTests {
  @Test func rotaryPairsAreInterleavedOrHalves() throws {
    // Head width 4 and base 100: the frequencies are 1 and 1/10.
    let (c, s, d, t) = (cos(1.0), sin(1.0), cos(0.1), sin(0.1))
    for (layout, inverse, x, expected) in [
      (Rotary.Layout.interleaved, false, [1.0, 0, 1, 0], [c, s, d, t]),
      (.half, false, [1, 1, 0, 0], [c, d, s, t]),
      (.interleaved, true, [0, 1, 0, 1], [s, c, t, d]),
      (.half, true, [0, 0, 1, 1], [s, t, c, d]),
    ] {
      var fixture = try ReferenceFixture()
      // The second head holds the same as the first, and row 0 does not turn.
      let rows = try fixture.rows([x + x, x + x])
      let positions = try fixture.integers([0, 1])
      let rotary = Rotary(heads: 2, base: 100, layout: layout, inverse: inverse)
      #expect(
        close(try fixture.result(.rotary(rotary), [rows, positions]), x + x + expected + expected))
    }
  }

  /// One head of width 1 over two tokens: scores 0 and log 3 give weights 1/4 and 3/4.
  private func pair(
    causal: Bool = true, documents: [Int32]? = nil, segments: [Int32]? = nil
  ) throws -> [[Double]] {
    var fixture = try ReferenceFixture()
    var operands = [
      try fixture.rows([[1], [1]]), try fixture.rows([[0], [log(3)]]),
      try fixture.rows([[10], [20]]),
    ]
    if let documents { operands.append(try fixture.integers(documents)) }
    if let segments { operands.append(try fixture.integers(segments)) }
    let attention = Op.Attention(
      batch: 1, heads: 1, keyValueHeads: 1, causal: causal, hasDocuments: documents != nil,
      hasSegments: segments != nil)
    return try fixture.results(.attention(attention), operands)
  }

  @Test func masks() throws {
    let (both, first, second) = (log(4.0), 0.0, log(3.0))
    var found = try pair()
    #expect(close(found[0], [10, 17.5]) && close(found[1], [first, both]))
    found = try pair(causal: false)
    #expect(close(found[0], [17.5, 17.5]) && close(found[1], [both, both]))
    found = try pair(documents: [0, 1])
    #expect(close(found[0], [10, 20]) && close(found[1], [first, second]))
    found = try pair(causal: false, documents: [3, 3])
    #expect(close(found[0], [17.5, 17.5]))
    found = try pair(segments: [1, 1])
    #expect(close(found[0], [17.5, 17.5]))
    found = try pair(segments: [0, 0])
    #expect(close(found[0], [10, 17.5]))
    found = try pair(segments: [1, 2])
    #expect(close(found[0], [10, 17.5]))
    found = try pair(documents: [0, 1], segments: [1, 1])
    #expect(close(found[0], [10, 20]))
    // What an isolated block sees, and what sees a hidden one.
    let (isolated, hidden) = (1 + Segment.isolated, 1 + Segment.hidden)
    for (segments, expected) in [
      ([0, isolated], [10, 20]), ([isolated, 0], [10, 17.5]), ([hidden, 0], [10, 20]),
      ([0, hidden], [10, 17.5]), ([isolated, hidden], [10, 17.5]), ([hidden, isolated], [10, 20]),
      ([hidden, hidden], [17.5, 17.5]), ([isolated, isolated], [17.5, 17.5]),
    ] as [([Int32], [Double])] {
      found = try pair(segments: segments)
      #expect(close(found[0], expected), "\(segments)")
    }
    found = try pair(causal: false, segments: [hidden, 0])
    #expect(close(found[0], [17.5, 20]))
  }

  @Test func sequencesAreApart() throws {
    var fixture = try ReferenceFixture()
    let operands = [
      try fixture.rows([[1], [1]]), try fixture.rows([[0], [0]]), try fixture.rows([[10], [20]]),
    ]
    let attention = Op.Attention(batch: 2, heads: 1, keyValueHeads: 1, causal: false)
    #expect(try fixture.results(.attention(attention), operands)[0] == [10, 20])
  }

  @Test func queryHeadsShareKeyHeadsInOrderAndScoresAreScaled() throws {
    // Four query heads over two key heads, head width 4: q · k = 2 log 3 is scaled to log 3.
    var fixture = try ReferenceFixture()
    let l = 2 * log(3.0)
    let q = try fixture.rows([[Double](repeating: 0, count: 16), [Double](repeating: 1, count: 16)])
    let k = try fixture.rows([[0, 0, 0, 0, 0, 0, 0, 0], [l, 0, 0, 0, 0, 0, 0, l]])
    let v = try fixture.rows([[1, 0, 0, 0, 8, 0, 0, 0], [0, 1, 0, 0, 0, 8, 0, 0]])
    let attention = Op.Attention(batch: 1, heads: 4, keyValueHeads: 2)
    let found = try fixture.results(.attention(attention), [q, k, v])
    let row = [0.25, 0.75, 0, 0, 0.25, 0.75, 0, 0, 2, 6, 0, 0, 2, 6, 0, 0]
    #expect(close(Array(found[0][16...]), row))
    #expect(close(found[1], [0, 0, 0, 0] + [Double](repeating: log(4), count: 4)))
  }

  @Test func gradient() throws {
    // p = (1/4, 3/4), do · v = (10, 20), do · o = 17.5: ds = (−15/8, 15/8) in row 1; row 0 has ds = 0.
    var fixture = try ReferenceFixture()
    let operands = [
      try fixture.rows([[1], [1]]), try fixture.rows([[0], [log(3)]]),
      try fixture.rows([[10], [20]]),
      try fixture.rows([[10], [17.5]]), try fixture.rows([[0], [log(4)]]),
      try fixture.rows([[1], [1]]),
    ]
    let attention = Op.Attention(batch: 1, heads: 1, keyValueHeads: 1)
    let found = try fixture.results(.attentionGradient(attention), operands)
    #expect(close(found[0], [0, 15.0 / 8 * log(3)]))
    #expect(close(found[1], [-15.0 / 8, 15.0 / 8]))
    #expect(close(found[2], [1.25, 0.75]))
  }

  @Test func cachesKeepRowsInTheirSlots() throws {
    // Two sequences of two rows and three slots; one head of width 1, scores 0 and log 3.
    var fixture = try ReferenceFixture()
    let rows = try [
      fixture.rows([[1], [1], [1], [1]]), fixture.rows([[0], [log(3)], [5], [6]]),
      fixture.rows([[10], [20], [50], [60]]),
    ]
    let caches = try [
      fixture.weight([2, 3, 1], [7, 7, 0, 7, 7, 7]),
      fixture.weight([2, 3, 1], [7, 7, 40, 7, 7, 7]),
    ]
    let places = try [fixture.integers([0, 1, -1, 2]), fixture.integers([1, 3, 0, 3])]
    let found = try fixture.results(
      .cachedAttention(.init(batch: 2, heads: 1, keyValueHeads: 1)), rows + caches + places)
    // Keys 7, 7 and 6 of values 7, 7 and 60.
    let least = exp(-1.0)
    let last: Double = (14 + 60 * least) / (2 + least)
    let expected: [Double] = [10, 22, 0, last]
    #expect(close(found[0], expected))
    let (keys, values): ([Double], [Double]) = ([0, log(3), 0, 7, 7, 6], [10, 20, 40, 7, 7, 60])
    #expect(found[1] == keys)
    #expect(found[2] == values)
  }
}
