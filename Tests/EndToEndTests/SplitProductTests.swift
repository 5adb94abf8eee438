import Foundation
import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Products in f32 by a matrix unit for bf16, against double precision and the vector unit.
@Suite struct SplitProductTests {
  private static let (rows, inner, columns) = (37, 1_000, 45)

  /// Sums of many terms are no further off than those of the vector unit, for numbers of all sizes.
  @Test(arguments: [0, 100, -100])
  func errorsAreThoseOfSinglePrecision(_ exponent: Int) throws {
    var random = TestRandom(seed: 7)
    let scale = Float(sign: .plus, exponent: exponent, significand: 1)
    let x = (0..<Self.rows * Self.inner).map { _ in Float(random.normal()) * scale }
    let w = (0..<Self.columns * Self.inner).map { _ in Float(random.normal()) / scale }
    let split = try error(of: product(x, w, .fused), x, w)
    let vector = try error(of: product(x, w, Compilation(disabled: ["split-f32"])), x, w)
    #expect(split < 1.2 * vector, "\(split), on vectors \(vector)")
    #expect(vector < 1e-6)
  }

  /// Single products keep all 24 bits: one number a row, and one a column.
  @Test func numbersAreWhole() throws {
    var random = TestRandom(seed: 8)
    func sparse(_ count: Int) -> [Float] {
      (0..<count).flatMap { _ -> [Float] in
        [Float(random.normal())] + [Float](repeating: 0, count: Self.inner - 1)
      }
    }
    let (x, w) = (sparse(Self.rows), sparse(Self.columns))
    let y = try product(x, w, .fused)
    for row in 0..<Self.rows {
      for column in 0..<Self.columns {
        let exact = Double(x[row * Self.inner]) * Double(w[column * Self.inner])
        let off = abs(Double(y[row * Self.columns + column]) / exact - 1)
        #expect(off < 0x1p-22, "\(row), \(column)")
      }
    }
  }

  /// What is not finite reaches every result of its row, and no other.
  @Test(arguments: [Float.infinity, -.infinity, .nan, .greatestFiniteMagnitude])
  func extremesStayInTheirRows(_ extreme: Float) throws {
    var x = [Float](repeating: 1, count: Self.rows * Self.inner)
    let w = [Float](repeating: 2, count: Self.columns * Self.inner)
    x[3 * Self.inner + 5] = extreme
    let y = try product(x, w, .fused)
    for (index, value) in y.enumerated() {
      if index / Self.columns == 3 {
        #expect(!value.isFinite)
      } else {
        #expect(value == 2 * Float(Self.inner))
      }
    }
  }

  /// Returns the relative Frobenius error of x wᵀ.
  private func error(of y: [Float], _ x: [Float], _ w: [Float]) -> Double {
    var (off, size) = (0.0, 0.0)
    for row in 0..<Self.rows {
      for column in 0..<Self.columns {
        let exact = (0..<Self.inner).reduce(0.0) {
          $0 + Double(x[row * Self.inner + $1]) * Double(w[column * Self.inner + $1])
        }
        off += pow(Double(y[row * Self.columns + column]) - exact, 2)
        size += exact * exact
      }
    }
    return (off / size).squareRoot()
  }

  /// Returns x wᵀ as compiled code computes it.
  private func product(
    _ x: [Float], _ w: [Float], _ compilation: Compilation
  ) throws -> [Float] {
    let rows = Self.rows
    var builder = GraphBuilder(tokens: rows, modalities: ["text"])
    let tokens = try builder.input("tokens")
    let table = try builder.parameter("x", [rows, Self.inner])
    let weight = try builder.parameter("w", [Self.columns, Self.inner])
    let embedded = try builder.add(.embed, [tokens, table])
    builder.output(try builder.add(.linear(nil), [embedded, weight]), as: "y")
    let function = Function(name: "logits", graph: builder.graph)
    let module = Module(
      name: "product", batch: 1, sequence: rows,
      modalities: [ModalityDeclaration(name: "text", vocabulary: 0..<rows)],
      parameters: builder.parameters, objectives: [], functions: [function])
    let model = try compilation.model([function], of: module)
    for placement in model.plan.parameters {
      let values = placement.declaration.name == "x" ? x : w
      let target = model.floats(placement.master)
      for (index, value) in values.enumerated() { target[index] = value }
    }
    model.run("pack")
    model.setInputs(
      ["tokens": (0..<Int32(rows)).map { $0 }],
      plan: RoutingPlan(modality: [Int32](repeating: 0, count: rows), segments: 1))
    model.run("logits")
    return model.outputs(of: "logits")["y"] ?? []
  }
}
