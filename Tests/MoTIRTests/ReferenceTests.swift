import Foundation
import MoTIR
import Testing

/// The interpreter against values worked out by hand.
@Suite struct ReferenceTests {
  // Segment 0 holds tokens 1 and 4, segment 1 tokens 0 and 3, and token 2 is in none.
  private static let modality: [Int32] = [1, 0, -1, 1, 0]
  private static let swapped = Groups([1, 0])

  @Test func gatherSortsBySegmentAndScatterUndoesIt() throws {
    var fixture = try ReferenceFixture()
    fixture.inputs["modality"] = ReferenceValue(tokens: Self.modality)
    let type = ValueType.rows(.i32, .sequence, count: 5, width: 1)
    let modality = try fixture.graph.add(.input("modality"), [], type: type)
    let plan = try fixture.graph.add(.route(segments: 2), [modality])
    let synced = try fixture.graph.add(.sync(segment: 1), [plan])
    let x = try fixture.rows([[0, 10], [1, 11], [2, 12], [3, 13], [4, 14]])
    let grouped = try fixture.graph.add(.gather, [x, synced])
    fixture.graph.output(grouped, as: "grouped")
    fixture.graph.output(try fixture.graph.add(.scatter, [grouped, synced]), as: "back")
    let byPlan = ValueType.rows(.i32, .grouped, count: 5, width: 1)
    fixture.graph.output(
      try fixture.graph.add(.input("modality"), [synced], type: byPlan), as: "input")
    let outputs = try Interpreter.run(fixture.graph, inputs: fixture.inputs, parameters: [:])
    #expect(outputs["grouped"]?.numbers == [1, 11, 4, 14, 0, 10, 3, 13, 2, 12])
    #expect(outputs["back"]?.numbers == [0, 10, 1, 11, 2, 12, 3, 13, 4, 14])
    #expect(outputs["input"]?.integers == [0, 0, 1, 1, -1])
  }

  @Test func aPlanIsGivenOrDerivedFromTheModality() throws {
    var fixture = try ReferenceFixture(modality: Self.modality)
    let x = try fixture.rows([[1], [2], [3], [4], [5]])
    fixture.graph.output(x, as: "x")
    let derived = try Interpreter.run(fixture.graph, inputs: fixture.inputs, parameters: [:])
    fixture.inputs["modality"] = nil
    fixture.inputs["plan"] = ReferenceValue(RoutingPlan(modality: Self.modality, segments: 2))
    let given = try Interpreter.run(fixture.graph, inputs: fixture.inputs, parameters: [:])
    #expect(derived == given)
    #expect(given["x"]?.numbers == [2, 5, 1, 4, 3])
  }

  @Test func constantsRepeat() throws {
    var fixture = try ReferenceFixture()
    let x = try fixture.graph.add(.constant(2.5), [], type: .tensor(.f32, [2, 2]))
    #expect(try fixture.result(.unary(.negate), [x]) == [-2.5, -2.5, -2.5, -2.5])
  }

  @Test func linear() throws {
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[1, 2], [3, 4]])
    let w = try fixture.weight([3, 2], [1, 0, 0, 1, 1, 1])
    let v = try fixture.weight([1, 2], [10, 100])
    #expect(
      try fixture.results(.linear(nil), [x, w, v]) == [[1, 2, 3, 3, 4, 7], [210, 430]])
  }

  @Test func routedLinearTakesTheGroupOfTheSegment() throws {
    var fixture = try ReferenceFixture(modality: Self.modality)
    let x = try fixture.rows([[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]])
    // Segment 0 takes group 1, which multiplies by 100; segment 1 takes group 0.
    let w = try fixture.weight([2, 1, 2], [1, 0, 0, 100])
    #expect(try fixture.result(.linear(Self.swapped), [x, w]) == [1, 200, 0, 4, 500])
  }

  @Test func linearGradients() throws {
    var fixture = try ReferenceFixture()
    let dy = try fixture.rows([[1, 2], [3, 4]])
    let w = try fixture.weight([2, 3], [1, 2, 3, 4, 5, 6])
    let dz = try fixture.rows([[10], [100]])
    let v = try fixture.weight([1, 3], [1, 0, 1])
    #expect(
      try fixture.result(.linearInputGradient(nil), [dy, w, dz, v]) == [19, 12, 25, 119, 26, 133])
    var second = try ReferenceFixture()
    let x = try second.rows([[1, 10], [5, 50]])
    let gradients = [try second.rows([[1, 2], [3, 4]]), try second.rows([[10], [100]])]
    #expect(
      try second.results(.linearWeightGradient(nil), [x] + gradients)
        == [[16, 160, 22, 220], [510, 5100]])
  }

  @Test func routedLinearGradientsLeaveOutPadding() throws {
    var fixture = try ReferenceFixture(modality: Self.modality)
    let x = try fixture.rows([[1], [2], [3], [4], [5]])
    let dy = try fixture.rows([[1], [1], [1], [10], [10]])
    #expect(try fixture.result(.linearWeightGradient(Self.swapped), [x, dy]) == [41, 52])
    var second = try ReferenceFixture(modality: Self.modality)
    let dz = try second.rows([[1], [1], [1], [10], [10]])
    let w = try second.weight([2, 1, 1], [2, 3])
    #expect(try second.result(.linearInputGradient(Self.swapped), [dz, w]) == [2, 3, 0, 20, 30])
  }

  @Test func norms() throws {
    // mean(x²) = 12.5 and 1: 3 / √12.5 = 0.6 √2.
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[3, 4, 1, -1]])
    let gain = try fixture.weight([2], [1, 10])
    let rms = Norm(.rms, heads: 2, epsilon: 0)
    let root = 2.0.squareRoot()
    #expect(close(try fixture.result(.norm(rms, nil), [x, gain]), [0.6 * root, 8 * root, 1, -10]))
    // mean 2, variance 1 + ε = 4.
    var second = try ReferenceFixture()
    let y = try second.rows([[1, 3]])
    let layer = Norm(.layer, epsilon: 3, hasGain: false)
    #expect(close(try second.result(.norm(layer, nil), [y]), [-0.5, 0.5]))
  }

  @Test func routedNormTakesTheGroupOfTheSegment() throws {
    var fixture = try ReferenceFixture(modality: Self.modality)
    let x = try fixture.rows([[1, -1], [1, -1], [1, -1], [2, -2], [2, -2]])
    let gain = try fixture.weight([2, 2], [1, 10, 100, 1000])
    #expect(
      try fixture.result(.norm(Norm(.rms, epsilon: 0), Self.swapped), [x, gain])
        == [1, -10, 100, -1000, 0, 0, 1, -10, 100, -1000])
  }

  @Test func normGradient() throws {
    // s = 1 / √12.5, x̂ = s (3, 4), mean(g x̂) = 3 s / 2: dx = s (1 − 9/25, −12/25).
    var fixture = try ReferenceFixture()
    let (x, dy) = (try fixture.rows([[3, 4]]), try fixture.rows([[1, 0]]))
    let norm = Norm(.rms, epsilon: 0, hasGain: false)
    let scale = 1 / 12.5.squareRoot()
    #expect(
      close(try fixture.result(.normGradient(norm, nil), [x, dy]), [0.64 * scale, -0.48 * scale]))
  }

  @Test func channels() throws {
    for (op, expected) in [
      (Op.channelMultiply(nil), [10.0, 40, 30, 80]), (.channelAdd(nil), [11, 22, 13, 24]),
    ] {
      var fixture = try ReferenceFixture()
      let x = try fixture.rows([[1, 2, 3, 4]])
      let c = try fixture.weight([2], [10, 20])
      #expect(try fixture.result(op, [x, c]) == expected)
    }
  }

  @Test func routedChannelsAndColumnSum() throws {
    var fixture = try ReferenceFixture(modality: Self.modality)
    let x = try fixture.rows([[1], [2], [3], [4], [5]])
    let c = try fixture.weight([2, 1], [10, 100])
    #expect(try fixture.result(.channelAdd(Self.swapped), [x, c]) == [11, 102, 0, 14, 105])
    var second = try ReferenceFixture(modality: Self.modality)
    let y = try second.rows([[1, 1], [2, 1], [3, 1], [4, 1], [5, 1]])
    #expect(try second.result(.columnSum(Self.swapped, parts: 1), [y]) == [5, 2, 7, 2])
  }

  @Test func columnSumAddsItsParts() throws {
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[1, 2, 3, 4], [10, 20, 30, 40]])
    #expect(try fixture.result(.columnSum(nil, parts: 2), [x]) == [44, 66])
  }

  @Test(arguments: Op.Unary.allCases)
  func unary(_ function: Op.Unary) throws {
    let e = exp(1.0)
    let expected: [Double] =
      switch function {
      case .negate: [-1, -4]
      case .exponential: [e, e * e * e * e]
      case .logarithm: [0, 2 * log(2)]
      case .squareRoot: [1, 2]
      case .reciprocalSquareRoot: [1, 0.5]
      case .sine: [0.841_470_984_807_896_5, -0.756_802_495_307_928_2]
      case .cosine: [0.540_302_305_868_139_7, -0.653_643_620_863_611_9]
      case .sigmoid: [e / (e + 1), 0.982_013_790_037_908_5]
      case .tanh: [(e * e - 1) / (e * e + 1), 0.999_329_299_739_067]
      case .silu: [e / (e + 1), 4 * 0.982_013_790_037_908_5]
      case .gelu: [0.841_191_990_608_276_8, 3.999_929_754_051_807_5]
      case .relu: [1, 4]
      case .step: [1, 1]
      }
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[1, 4]])
    #expect(close(try fixture.result(.unary(function), [x]), expected))
  }

  @Test func kinks() throws {
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[-2, 0, 3]])
    fixture.graph.output(try fixture.graph.add(.unary(.step), [x]), as: "step")
    #expect(try fixture.result(.unary(.relu), [x]) == [0, 0, 3])
    let outputs = try Interpreter.run(fixture.graph, inputs: fixture.inputs, parameters: [:])
    #expect(outputs["step"]?.numbers == [0, 0, 1])
  }

  @Test func binary() throws {
    for (function, rows, narrow, scalar) in [
      (Op.Binary.add, [11.0, 22, 33, 44], [3.0, 4, 7, 8], [6.0, 7, 8, 9]),
      (.subtract, [-9, -18, -27, -36], [-1, 0, -1, 0], [-4, -3, -2, -1]),
      (.multiply, [10, 40, 90, 160], [2, 4, 12, 16], [5, 10, 15, 20]),
      (.divide, [0.1, 0.1, 0.1, 0.1], [0.5, 1, 0.75, 1], [0.2, 0.4, 0.6, 0.8]),
    ] {
      for (index, expected) in [rows, narrow, scalar].enumerated() {
        var fixture = try ReferenceFixture()
        let a = try fixture.rows([[1, 2], [3, 4]])
        let b =
          switch index {
          case 0: try fixture.rows([[10, 20], [30, 40]])
          case 1: try fixture.rows([[2], [4]])
          default: try fixture.weight([], [5])
          }
        #expect(close(try fixture.result(.binary(function), [a, b]), expected))
      }
    }
  }

  @Test func sums() throws {
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[1, 2], [3, 4]])
    fixture.graph.output(try fixture.graph.add(.rowSum, [x]), as: "rows")
    #expect(try fixture.result(.sum, [x]) == [10])
    let outputs = try Interpreter.run(fixture.graph, inputs: fixture.inputs, parameters: [:])
    #expect(outputs["rows"]?.numbers == [3, 7])
  }
}
