import MoTIR
import Testing

/// The reference optimizer against values worked out by hand.
@Suite struct ReferenceAdamWTests {
  private static let matrix = ParameterDeclaration(
    name: "w", shape: [1, 2], groups: nil, component: "head", initialization: .zeros, decays: true)
  private static let gain = ParameterDeclaration(
    name: "g", shape: [1], groups: nil, component: "norm", initialization: .ones, decays: false)

  @Test func twoSteps() {
    var optimizer = ReferenceAdamW([Self.gain])
    var parameters = ["g": [1.0]]
    #expect(
      optimizer.update(&parameters, gradients: ["g": [0.5]], rate: 0.1) == .updated(norm: 0.5))
    // The first step is the sign of the gradient: m̂ = 0.5, v̂ = 0.25.
    #expect(close(parameters["g"] ?? [], [1 - 0.1 * 0.5 / (0.5 + 1e-8)]))
    let first = parameters["g"]?[0] ?? 0
    _ = optimizer.update(&parameters, gradients: ["g": [-0.25]], rate: 0.1)
    // m = 0.9 · 0.05 − 0.1 · 0.25 = 0.02, v = 0.95 · 0.0125 + 0.05 · 0.0625 = 0.015.
    let root = (0.015 / 0.0975).squareRoot() + 1e-8
    #expect(close(parameters["g"] ?? [], [first - 0.1 * (0.02 / 0.19) / root]))
  }

  @Test func onlyWhatDecaysDecays() {
    var optimizer = ReferenceAdamW([Self.matrix, Self.gain])
    var parameters = ["w": [1.0, -2], "g": [1.0]]
    _ = optimizer.update(&parameters, gradients: ["w": [0, 0], "g": [0]], rate: 0.5)
    #expect(close(parameters["w"] ?? [], [0.95, -1.9]))
    #expect(parameters["g"] == [1])
  }

  @Test func aLargeNormIsClippedOverAllParameters() {
    var optimizer = ReferenceAdamW([Self.matrix, Self.gain])
    var parameters = ["w": [0.0, 0], "g": [0.0]]
    let gradients = ["w": [2.0, 3], "g": [6.0]]
    #expect(
      optimizer.update(&parameters, gradients: gradients, rate: 0.1) == .updated(norm: 7))
    let factor = 0.1 / 7.000001
    #expect(close(optimizer.first["w"] ?? [], [2 * factor, 3 * factor]))
    #expect(close(optimizer.first["g"] ?? [], [6 * factor]))
  }

  @Test(arguments: [Double.nan, .infinity]) func nothingIsUpdatedUnlessTheNormIsFinite(
    _ bad: Double
  ) {
    var optimizer = ReferenceAdamW([Self.matrix, Self.gain])
    var parameters = ["w": [1.0, 2], "g": [3.0]]
    let outcome = optimizer.update(
      &parameters, gradients: ["w": [1, 1], "g": [bad]], rate: 0.1)
    guard case .skipped = outcome else {
      Issue.record("updated by \(bad)")
      return
    }
    #expect(parameters == ["w": [1, 2], "g": [3]])
    #expect(optimizer.step == 0)
    #expect(optimizer.first["w"] == [0, 0])
  }
}
