import Foundation
import MoTIR
import TestSupport
import Testing

/// Embeddings, losses and errors of the interpreter.
@Suite struct ReferenceLossTests {
  @Test func embedding() throws {
    var fixture = try ReferenceFixture()
    let tokens = try fixture.integers([2, 0, 2])
    let table = try fixture.weight([3, 2], [1, 2, 3, 4, 5, 6])
    #expect(try fixture.result(.embed, [tokens, table]) == [5, 6, 1, 2, 5, 6])
    var second = try ReferenceFixture()
    let ids = try second.integers([2, 0, 2])
    let dy = try second.rows([[1, 10], [2, 20], [4, 40]])
    #expect(
      try second.result(.embedGradient(vocabulary: 4), [ids, dy]) == [2, 20, 0, 0, 5, 50, 0, 0])
  }

  @Test func crossEntropy() throws {
    var fixture = try ReferenceFixture()
    let logits = try fixture.rows([
      [0, log(3)], [0, log(3)], [5, 7], [1000, 0], [-1000, -1000],
    ])
    let targets = try fixture.integers([1, 0, -100, 0, 0])
    #expect(
      close(
        try fixture.result(.crossEntropy, [logits, targets]),
        [log(4) - log(3), log(4), 0, 0, log(2)]))
  }

  @Test func crossEntropyGradient() throws {
    var fixture = try ReferenceFixture()
    let logits = try fixture.rows([[0, log(3)], [0, log(3)]])
    let targets = try fixture.integers([1, -1])
    let dloss = try fixture.rows([[2], [2]])
    #expect(
      close(
        try fixture.result(.crossEntropyGradient, [logits, targets, dloss]), [0.5, -0.5, 0, 0]))
  }

  @Test func tokenWeights() throws {
    var fixture = try ReferenceFixture()
    let targets = try fixture.integers([0, 1, 5, -100, 7, 6])
    #expect(
      try fixture.result(.tokenWeights([0..<1, 5..<7], hasCount: false), [targets])
        == [1.0 / 3, 0, 1.0 / 3, 0, 0, 1.0 / 3])
    var second = try ReferenceFixture()
    let none = try second.integers([-1, 9])
    #expect(try second.result(.tokenWeights([0..<1], hasCount: false), [none]) == [0, 0])
    var third = try ReferenceFixture()
    let some = try third.integers([0, 3, 0])
    third.inputs["count.0"] = ReferenceValue(.integers([8]), type: .tensor(.i32, []))
    let count = try third.graph.add(.input("count.0"), [], type: .tensor(.i32, []))
    let counted = try third.result(.tokenWeights([0..<1], hasCount: true), [some, count])
    #expect(counted == [0.125, 0, 0.125])
  }

  @Test func headLossIsTheLossOfTheLogits() throws {
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[1, 0], [0, 1], [1, 1]])
    let w = try fixture.weight([2, 2], [0, 0, log(3), 0])
    let targets = try fixture.integers([1, 1, -1])
    let dloss = try fixture.rows([[4], [2], [1]])
    let losses = try fixture.graph.add(.headLoss, [x, w, targets])
    fixture.graph.output(losses, as: "losses")
    let found = try fixture.results(.headLossGradient, [x, w, targets, dloss])
    let outputs = try Interpreter.run(
      fixture.graph, inputs: fixture.inputs, parameters: fixture.parameters)
    #expect(close(found[0], [log(4) - log(3), log(2), 0]))
    #expect(outputs["losses"]?.numbers == found[0])
    // dlogits = (1, −1) and (1, −1) in rows 0 and 1.
    #expect(close(found[1], [-log(3), 0, -log(3), 0, 0, 0]))
    #expect(close(found[2], [1, 1, -1, -1]))
  }

  /// Returns the message of the error that `body` throws.
  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  @Test(arguments: [3, -1, Int32.max]) func tokensOutsideTheVocabularyAreErrors(_ id: Int32) throws
  {
    var fixture = try ReferenceFixture()
    let tokens = try fixture.integers([0, id])
    let table = try fixture.weight([3, 1], [1, 2, 3])
    let text = message { _ = try fixture.result(.embed, [tokens, table]) }
    #expect(text.contains("token \(id) of row 1 is outside the vocabulary 0..<3"))
    var second = try ReferenceFixture()
    let ids = try second.integers([0, id])
    let dy = try second.rows([[1], [1]])
    let other = message { _ = try second.result(.embedGradient(vocabulary: 3), [ids, dy]) }
    #expect(other.contains("token \(id)"))
  }

  @Test func targetsAboveTheVocabularyAreErrors() throws {
    var fixture = try ReferenceFixture()
    let logits = try fixture.rows([[0, 1]])
    let targets = try fixture.integers([2])
    let text = message { _ = try fixture.result(.crossEntropy, [logits, targets]) }
    #expect(text.contains("target 2 of row 0") && text.contains("help:"))
  }

  @Test func positionsBelowZeroAreErrors() throws {
    var fixture = try ReferenceFixture()
    let x = try fixture.rows([[0, 1]])
    let positions = try fixture.integers([-4])
    let text = message { _ = try fixture.result(.rotary(Rotary(heads: 1)), [x, positions]) }
    #expect(text.contains("position of row 0 is -4"))
  }

  @Test func missingAndMisshapenValuesAreErrors() throws {
    let module = try TestModels.mixture()
    let graph = try #require(module.function("loss")).graph
    let values = RandomInputs.make(module, seed: 1)
    func text(_ change: (inout RandomInputs) -> Void) -> String {
      var changed = values
      change(&changed)
      return message {
        _ = try Interpreter.run(graph, inputs: changed.inputs, parameters: changed.parameters)
      }
    }
    #expect(text { _ in } == "no error")
    #expect(text { $0.inputs["targets"] = nil }.contains("the input targets is missing"))
    #expect(text { $0.inputs["tokens"] = ReferenceValue(tokens: [1]) }.contains("i32[T=18, 1]"))
    let type = ValueType.rows(.i32, .sequence, count: 18, width: 1)
    #expect(
      text { $0.inputs["tokens"] = ReferenceValue(.integers([1]), type: type) }
        .contains("the input tokens"))
    #expect(text { $0.parameters["norm.weight"] = nil }.contains("norm.weight is missing"))
    #expect(text { $0.parameters["norm.weight"] = [1] }.contains("has 1 elements"))
  }
}
