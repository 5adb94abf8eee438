import MoTIR
import TestSupport
import Testing

/// A model of the spec language at a size and with inputs that are hard on kernels.
struct AgreementModel: Sendable, CustomTestStringConvertible {
  /// Which tokens are of which modality.
  enum Mixture: Sendable {
    /// Some modalities left out, some padding: see `RandomInputs`.
    case random
    /// All of one modality; the others are empty.
    case only(Int32)
    /// One token of this modality, the others of modality 0.
    case single(Int32)
    /// Every third token is padding.
    case padded
    /// Nothing but padding.
    case nothing
  }

  let model: Model
  let batch: Int
  let sequence: Int
  var mixture = Mixture.random
  /// The vocabulary whose targets are ignored, so that an objective has none.
  var ignored: Range<Int32>?
  /// The tokens in each document and, every other time, in a segment (0: all are in one); drawn as in
  /// `RandomInputs` if `nil`.
  var spans: (document: Int, segment: Int)?

  var testDescription: String { model.name }

  /// Returns the model called `name` of the list of all.
  static func named(_ name: String) throws -> AgreementModel {
    let known = all + combinations
    return try #require(
      known.first { $0.model.name == name }, "there is no model called \(name)")
  }

  /// Returns the module and everything that the comparison needs.
  func agreement(seed: UInt64 = 7) throws -> Agreement {
    let module = try model.module(batch: batch, sequence: sequence)
    return try Agreement(module, values: values(of: module, seed: seed))
  }

  private func values(of module: Module, seed: UInt64) -> RandomInputs {
    var values = RandomInputs.make(module, seed: seed)
    if let ignored, let targets = values.inputs["targets"]?.integers {
      values.inputs["targets"] = ReferenceValue(
        tokens: targets.map { ignored.contains($0) ? -100 : $0 })
    }
    if let spans {
      func numbers(_ length: Int) -> [Int] {
        (0..<module.tokens).map { length == 0 ? 1 : $0 % module.sequence / length }
      }
      values.inputs["documents"] = ReferenceValue(tokens: numbers(spans.document).map(Int32.init))
      values.inputs["segments"] = ReferenceValue(
        tokens: numbers(spans.segment).map {
          RandomInputs.segment(Int32($0 % 2 == 0 ? 0 : $0 / 2 + 1), in: module)
        })
    }
    let count = Int32(module.modalities.count)
    let tokens = (0..<Int32(module.tokens))
    let modality: [Int32]? =
      switch mixture {
      case .random: nil
      case .only(let id): tokens.map { _ in id }
      case .single(let id): tokens.map { $0 == tokens.upperBound / 2 ? id : 0 }
      case .padded: tokens.map { $0 % 3 == 1 ? -1 : ($0 / 2) % count }
      case .nothing: tokens.map { _ in -1 }
      }
    if let modality { values.inputs["modality"] = ReferenceValue(tokens: modality) }
    return values
  }
}

// K modalities, D width; sizes divide nothing unless they are about something else.
extension AgreementModel {
  /// Returns `count` modalities of `size` ids each, and a few more in the first.
  static func modalities(
    _ count: Int, size: Int = 9, attends: Modality.Attending = .causal
  ) -> [Modality] {
    (0..<count).map { index in
      Modality(
        "m\(index)", vocabulary: (index == 0 ? 0 : index * size + 2)..<((index + 1) * size + 2),
        begin: index == 0 ? nil : 0, end: index == 0 ? nil : 1,
        attends: index == 0 ? .causal : attends)
    }
  }

  /// Returns a pre-norm model of two layers.
  static func preNorm(
    _ name: String, count: Int, width: Int = 20, hidden: Int = 27, batch: Int = 2,
    sequence: Int = 13, untied: Untying = .all, attends: Modality.Attending = .causal,
    size: Int = 9, activation: FeedForward.Activation = .swiGLU, bias: Bool = false,
    tiedHead: Bool = false, mixture: Mixture = .random, attention: Attention = Attention(heads: 2)
  ) -> AgreementModel {
    let modalities = modalities(count, size: size, attends: attends)
    let model = Model(name, modalities: modalities, width: width, untied: untied) {
      preNormLayers(
        FeedForward(hidden: hidden, activation: activation, bias: bias), attention: attention,
        tiedHead: tiedHead)
    } objectives: {
      for modality in modalities { NextToken(on: modality) }
    }
    return AgreementModel(model: model, batch: batch, sequence: sequence, mixture: mixture)
  }
}
