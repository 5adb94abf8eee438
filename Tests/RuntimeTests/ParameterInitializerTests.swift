import MoTIR
import Runtime
import Testing

@Suite struct ParameterInitializerTests {
  @Test func normalValuesHaveTheirDeviation() {
    let values = ParameterInitializer(seed: 1).values(of: "w", count: 100_001, .normal(0.02))
    let mean = values.reduce(0) { $0 + Double($1) } / 100_001
    let variance = values.reduce(0) { $0 + Double($1) * Double($1) } / 100_001
    #expect(values.count == 100_001)
    #expect(abs(mean) < 3e-4)
    #expect(abs(variance.squareRoot() - 0.02) < 2e-4)
    #expect(values.allSatisfy { abs($0) < 0.2 })
  }

  @Test func valuesDependOnSeedNameAndIndex() {
    let one = ParameterInitializer(seed: 1)
    let values = one.values(of: "w", count: 10, .normal(1))
    #expect(values == one.values(of: "w", count: 10, .normal(1)))
    #expect(values.prefix(7) == one.values(of: "w", count: 7, .normal(1))[...])
    #expect(values != one.values(of: "v", count: 10, .normal(1)))
    #expect(values != ParameterInitializer(seed: 2).values(of: "w", count: 10, .normal(1)))
    #expect(Set(values).count == 10)
    #expect(one.values(of: "w", count: 2, .ones) == [1, 1])
    #expect(one.values(of: "w", count: 2, .zeros) == [0, 0])
    #expect(one.values(of: "w", count: 0, .normal(1)).isEmpty)
  }

  /// These numbers must stay: a seed means the same model everywhere.
  @Test func streamsAreFixed() {
    let random = CounterRandom(seed: 0, name: "")
    #expect((0..<2).map(random.bits) == [0x0D72_93FE_83B1_A2BC, 0x764E_DE80_904B_EE69])
    #expect((0..<1_000).allSatisfy { (0..<7).contains(random.integer($0, below: 7)) })
    #expect((0..<1_000).allSatisfy { random.uniform($0) > 0 && random.uniform($0) <= 1 })
  }

  @Test func everyGroupHasItsTensor() throws {
    let parameter = ParameterDeclaration(
      name: "layers.0.q.weight", shape: [2, 3], groups: [["text"], ["image", "speech"]],
      component: "attention", initialization: .normal(1), decays: true)
    let module = Module.sample(parameters: [parameter])
    let tensors = try ParameterInitializer(seed: 3).tensors(of: module)
    #expect(
      tensors.map(\.name) == ["layers.0.q.text.weight", "layers.0.q.image+speech.weight"])
    #expect(tensors.allSatisfy { $0.shape == [2, 3] && $0.format == .f32 })
    #expect(try tensors[0].floats() != tensors[1].floats())
  }
}
