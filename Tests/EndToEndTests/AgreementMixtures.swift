import MoTIR
import TestSupport

// Continuous tokens together with experts, towers of other widths and what is frozen.
extension AgreementModel {
  /// All of them.
  static let combinations = [
    combination("continuous_experts", experts(.topK(2, balance: 0.5, zLoss: 0.3))),
    combination("continuous_experts_tied", untied: .none, experts(.expertChoice())),
    combination("continuous_experts_only", mixture: .only(1), experts(.expertChoice())),
    combination("continuous_experts_single", mixture: .single(1), experts(.topK(2))),
    combination("continuous_experts_none", mixture: .only(0), experts(.topK(1))),
    combination("continuous_experts_nothing", mixture: .nothing, experts(.topK(2))),
    combination("continuous_capacity_0", experts(.expertChoice(capacity: 0))),
    combination("continuous_widths", widths: [image: 14], FeedForward(hidden: 27)),
    combination(
      "continuous_widths_padded", widths: [text: 34, audio: 14], mixture: .padded,
      tiedHead: true, FeedForward(hidden: 27)),
    combination(
      "continuous_experts_narrow", widths: [image: 14],
      FeedForward(hidden: 27).replaced(on: image, by: experts(.topK(2, balance: 0.5)))),
    combination(
      "continuous_experts_narrow_only", widths: [image: 14], mixture: .only(1),
      FeedForward(hidden: 27).replaced(on: image, by: experts(.expertChoice(capacity: 1.5)))),
    combination(
      "continuous_experts_wide_text", widths: [text: 38], mixture: .single(1),
      experts(.expertChoice()).replaced(on: image, audio, by: FeedForward(hidden: 27))),
    combination(
      "continuous_experts_frozen", frozen: [.component(.feedForward), .component(.embedding)],
      experts(.topK(2, balance: 0.5))),
    combination(
      "continuous_frozen", widths: [image: 14], frozen: [.modality(image), .component(.head)],
      mixture: .padded, FeedForward(hidden: 27)),
  ]

  private static let text = Modality("text", vocabulary: 0..<23)
  private static let image = Modality(
    "image", latents: 12, begin: 0, end: 1, attends: .withinSpan)
  private static let audio = Modality("audio", latents: 5)

  private static func experts(_ routing: Experts.Routing) -> Experts {
    Experts(3, hidden: 27, routing: routing)
  }

  /// Returns a pre-norm model of two layers.
  private static func combination(
    _ name: String, widths: KeyValuePairs<Modality, Int> = [:], untied: Untying = .all,
    frozen: [Frozen] = [], mixture: Mixture = .random, tiedHead: Bool = false,
    _ network: some Layer
  ) -> AgreementModel {
    let model = Model(
      name, modalities: [text, image, audio], width: 26, widths: widths, untied: untied,
      frozen: frozen
    ) {
      preNormLayers(network, tiedHead: tiedHead)
    } objectives: {
      NextToken(on: text)
      Denoise(on: image, weight: 5)
      Denoise(on: audio, predict: .velocity, schedule: .flow)
    }
    return AgreementModel(model: model, batch: 2, sequence: 23, mixture: mixture)
  }
}
