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
      var bench = try ReferenceBench()
      // The second head holds the same as the first, and row 0 does not turn.
      let rows = try bench.rows([x + x, x + x])
      let positions = try bench.integers([0, 1])
      let rotary = Rotary(heads: 2, base: 100, layout: layout, inverse: inverse)
      #expect(
        close(try bench.result(.rotary(rotary), [rows, positions]), x + x + expected + expected))
    }
  }

  /// One head of width 1 over two tokens: scores 0 and log 3 give weights 1/4 and 3/4.
  private func pair(
    causal: Bool = true, documents: [Int32]? = nil, segments: [Int32]? = nil
  ) throws -> [[Double]] {
    var bench = try ReferenceBench()
    var operands = [
      try bench.rows([[1], [1]]), try bench.rows([[0], [log(3)]]), try bench.rows([[10], [20]]),
    ]
    if let documents { operands.append(try bench.integers(documents)) }
    if let segments { operands.append(try bench.integers(segments)) }
    let attention = Op.Attention(
      batch: 1, heads: 1, keyValueHeads: 1, causal: causal, hasDocuments: documents != nil,
      hasSegments: segments != nil)
    return try bench.results(.attention(attention), operands)
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
  }

  @Test func sequencesAreApart() throws {
    var bench = try ReferenceBench()
    let operands = [
      try bench.rows([[1], [1]]), try bench.rows([[0], [0]]), try bench.rows([[10], [20]]),
    ]
    let attention = Op.Attention(batch: 2, heads: 1, keyValueHeads: 1, causal: false)
    #expect(try bench.results(.attention(attention), operands)[0] == [10, 20])
  }

  @Test func queryHeadsShareKeyHeadsInOrderAndScoresAreScaled() throws {
    // Four query heads over two key heads, head width 4: q · k = 2 log 3 is scaled to log 3.
    var bench = try ReferenceBench()
    let l = 2 * log(3.0)
    let q = try bench.rows([[Double](repeating: 0, count: 16), [Double](repeating: 1, count: 16)])
    let k = try bench.rows([[0, 0, 0, 0, 0, 0, 0, 0], [l, 0, 0, 0, 0, 0, 0, l]])
    let v = try bench.rows([[1, 0, 0, 0, 8, 0, 0, 0], [0, 1, 0, 0, 0, 8, 0, 0]])
    let attention = Op.Attention(batch: 1, heads: 4, keyValueHeads: 2)
    let found = try bench.results(.attention(attention), [q, k, v])
    let row = [0.25, 0.75, 0, 0, 0.25, 0.75, 0, 0, 2, 6, 0, 0, 2, 6, 0, 0]
    #expect(close(Array(found[0][16...]), row))
    #expect(close(found[1], [0, 0, 0, 0] + [Double](repeating: log(4), count: 4)))
  }

  @Test func gradient() throws {
    // p = (1/4, 3/4), do · v = (10, 20), do · o = 17.5: ds = (−15/8, 15/8) in row 1; row 0 has ds = 0.
    var bench = try ReferenceBench()
    let operands = [
      try bench.rows([[1], [1]]), try bench.rows([[0], [log(3)]]), try bench.rows([[10], [20]]),
      try bench.rows([[10], [17.5]]), try bench.rows([[0], [log(4)]]), try bench.rows([[1], [1]]),
    ]
    let attention = Op.Attention(batch: 1, heads: 1, keyValueHeads: 1)
    let found = try bench.results(.attentionGradient(attention), operands)
    #expect(close(found[0], [0, 15.0 / 8 * log(3)]))
    #expect(close(found[1], [-15.0 / 8, 15.0 / 8]))
    #expect(close(found[2], [1.25, 0.75]))
  }
}
