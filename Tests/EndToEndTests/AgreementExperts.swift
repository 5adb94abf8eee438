import MoTIR
import TestSupport

// Models with experts: both ways of choosing, tied and untied, experts without tokens, with all and with one.
extension AgreementModel {
  /// All of them.
  static let experts = [
    experts("experts_choose", 4, untied: .none),
    experts("experts_choose_untied", 3, sequence: 31),
    experts(
      "experts_choose_widely", 3, width: 36, hidden: 50, routing: .expertChoice(capacity: 2.3)),
    experts("experts_choose_all", 2, routing: .expertChoice(capacity: 2)),
    experts("experts_choose_none", 2, routing: .expertChoice(capacity: 0)),
    experts("experts_of_one", 4, routing: .topK(1), untied: .none),
    experts(
      "experts_of_two", 4, width: 48, hidden: 96, routing: .topK(2, balance: 0.5, zLoss: 0.3)),
    experts(
      "experts_of_two_raw", 4, routing: .topK(2, balance: 0.5, zLoss: 0, normalized: false),
      activation: .gelu, untied: .none),
    experts("experts_of_all", 2, routing: .topK(2), activation: .geGLU),
    experts("experts_of_padded", 4, routing: .topK(2), mixture: .padded),
    experts("experts_choose_padded", 4, mixture: .padded, untied: .none),
    experts("experts_of_nothing", 2, routing: .topK(1), mixture: .nothing),
    experts("experts_of_one_token", 4, sequence: 1, batch: 1),
    experts("experts_large", 4, width: 72, hidden: 200, sequence: 150, batch: 2, count: 3),
  ]

  private static func experts(
    _ name: String, _ experts: Int, width: Int = 20, hidden: Int = 27,
    routing: Experts.Routing = .expertChoice(), activation: FeedForward.Activation = .swiGLU,
    sequence: Int = 13, batch: Int = 2, count: Int = 2, mixture: Mixture = .random,
    untied: Untying = .all
  ) -> AgreementModel {
    let modalities = modalities(count)
    let model = Model(name, modalities: modalities, width: width, untied: untied) {
      preNormLayers(
        Experts(experts, hidden: hidden, activation: activation, routing: routing),
        attention: Attention(heads: 2))
    } objectives: {
      for modality in modalities { NextToken(on: modality) }
    }
    return AgreementModel(model: model, batch: batch, sequence: sequence, mixture: mixture)
  }
}
