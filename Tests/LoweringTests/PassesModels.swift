// Small models that together use every op of the DSL, and data to run them on.

import Lowering
import MoTIR
import TestSupport
import Testing

/// A model to test passes on, small enough for the interpreter.
enum PassesModel: String, CaseIterable, CustomTestStringConvertible {
  case dense, untied2, untied3, partlyUntied, merged, biased, normAfter, spans, onlyTied

  var testDescription: String { rawValue }

  /// The model at its concrete sizes.
  func module() throws -> Module {
    switch self {
    case .dense: try preNorm(modalities: 1, untied: .none).module()
    case .untied2: try preNorm(modalities: 2, untied: .all).module()
    case .untied3: try preNorm(modalities: 3, untied: .all).module()
    case .partlyUntied:
      try preNorm(modalities: 2, untied: .components(.feedForward, .attention(.output))).module()
    case .merged:
      try preNorm(modalities: 3, untied: .all.merging(Array(Self.modalities(3)[1...]))).module()
    case .biased: try biasedModel().module()
    case .normAfter: try normAfterModel().module()
    case .spans: try spansModel().module()
    case .onlyTied: try preNorm(modalities: 2, untied: .none, tiedHead: true).module()
    }
  }

  /// The functions of the model: losses, logits and gradients.
  func graphs() throws -> (module: Module, graphs: [(name: String, graph: Graph)]) {
    let module = try module()
    let loss = try #require(module.function("loss"))
    let logits = try #require(module.function("logits"))
    let gradients = try differentiate(loss, in: module)
    return (module, [loss, logits, gradients].map { ($0.name, $0.graph) })
  }

  /// Returns `count` modalities of 5 tokens each.
  static func modalities(_ count: Int, attends: Modality.Attending = .causal) -> [Modality] {
    (0..<count).map { Modality("m\($0)", vocabulary: $0 * 5..<($0 + 1) * 5, attends: attends) }
  }

  /// The usual block: pre-norm with QK-norm, rotary positions and SwiGLU.
  private func preNorm(modalities count: Int, untied: Untying, tiedHead: Bool = false) -> Model {
    let modalities = Self.modalities(count)
    return Model(rawValue, modalities: modalities, width: 8, batch: 2, sequence: 5, untied: untied)
    {
      Embedding()
      Repeat(2) {
        Residual {
          RMSNorm()
          Attention(heads: 2, normalizeQueryKey: true)
        }
        Residual {
          RMSNorm()
          FeedForward(hidden: 12)
        }
      }
      RMSNorm()
      Head(tied: tiedHead)
    } objectives: {
      NextToken(on: modalities[0])
      if count > 1 { NextToken(on: modalities[1], weight: 0.5) }
    }
  }

  /// Layer norms with shifts, biases, grouped queries, GELU.
  private func biasedModel() -> Model {
    let modalities = Self.modalities(2)
    return Model(rawValue, modalities: modalities, width: 8, batch: 1, sequence: 7) {
      Embedding()
      Repeat(2) {
        Residual {
          LayerNorm()
          Attention(
            heads: 4, keyValueHeads: 2, normalizeQueryKey: true, normalizeAfterPositions: true,
            positions: .rotary(layout: .half), documents: true, bias: true)
        }
        Residual {
          LayerNorm()
          FeedForward(hidden: 12, activation: .gelu, bias: true)
        }
      }
      LayerNorm()
      Head()
    } objectives: {
      NextToken(on: modalities[0], modalities[1], name: "all")
    }
  }

  /// The norm on the output of each sub-layer, and no norm at the end.
  private func normAfterModel() -> Model {
    let modalities = Self.modalities(2)
    return Model(rawValue, modalities: modalities, width: 8, batch: 1, sequence: 6) {
      Embedding()
      Repeat(2) {
        Residual {
          Attention(heads: 2, positions: .none)
          RMSNorm()
        }
        Residual {
          FeedForward(hidden: 12, activation: .relu)
          RMSNorm()
        }
      }
      Head()
    } objectives: {
      NextToken(on: modalities[0], modalities[1], name: "all")
    }
  }

  /// Spans that attend both ways; norms on both sides.
  private func spansModel() -> Model {
    let modalities = Self.modalities(2, attends: .withinSpan)
    return Model(rawValue, modalities: modalities, width: 8, batch: 1, sequence: 6) {
      Embedding()
      Residual {
        RMSNorm()
        Attention(heads: 2)
        RMSNorm()
      }
      Residual {
        RMSNorm()
        FeedForward(hidden: 12, activation: .geGLU)
        RMSNorm()
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: modalities[0])
      NextToken(on: modalities[1])
    }
  }
}

/// What a function of a module reads.
struct PassesData {
  var inputs: [String: ReferenceValue] = [:]
  var parameters: [String: [Double]] = [:]

  /// Creates data for `module`; some tokens are padding, and some have no target.
  init(_ module: Module, seed: UInt64) {
    var numbers = TestRandom(seed: seed)
    let vocabulary = module.modalities.map(\.vocabulary.upperBound).max() ?? 1
    func tokens(_ element: (Int) -> Int) -> ReferenceValue {
      ReferenceValue(tokens: (0..<module.tokens).map { Int32(element($0)) })
    }
    let ids = (0..<module.tokens).map { _ in numbers.below(vocabulary) }
    inputs["tokens"] = tokens { ids[$0] }
    let padding = Set((0..<2).map { _ in numbers.below(module.tokens) })
    inputs["modality"] = tokens { token in
      padding.contains(token)
        ? -1 : module.modalities.firstIndex { $0.vocabulary.contains(ids[token]) } ?? -1
    }
    inputs["targets"] = tokens { _ in
      let target = numbers.below(vocabulary + 2)
      return target < vocabulary ? target : -100
    }
    inputs["positions"] = tokens { $0 % module.sequence }
    inputs["documents"] = tokens { $0 % module.sequence / 4 }
    inputs["segments"] = tokens { $0 % module.sequence / 3 }
    for parameter in module.parameters {
      parameters[parameter.name] = (0..<parameter.type.elementCount).map { _ in
        (2 * numbers.uniform() - 1)
      }
    }
  }

  /// Returns the outputs of `graph`.
  func run(_ graph: Graph) throws -> [String: ReferenceValue] {
    try Interpreter.run(graph, inputs: inputs, parameters: parameters)
  }
}

/// Returns the names of the outputs in which `a` and `b` differ by more than 1e-12 of their norm.
func differences(
  _ a: [String: ReferenceValue], _ b: [String: ReferenceValue]
) -> [String] {
  guard a.keys.sorted() == b.keys.sorted() else { return ["the names of the outputs"] }
  return a.keys.sorted().filter { name in
    guard let x = a[name], let y = b[name], x.type == y.type else { return true }
    guard x.type.element == .f32 else { return x != y }
    let error = zip(x.numbers, y.numbers).map { ($0 - $1) * ($0 - $1) }.reduce(0, +).squareRoot()
    let norm = x.numbers.map { $0 * $0 }.reduce(0, +).squareRoot()
    return !(error <= 1e-12 * max(norm, 1e-3))
  }
}
