import MoTIR
import TestSupport

// Modalities of different widths, and layers that replace others for some modalities.
extension AgreementModel {
  /// All of them.
  static let towers = [
    tower("two_widths", widths: [three[1]: 14], feedForward: FeedForward(hidden: 27)),
    tower(
      "three_widths", widths: [three[0]: 34, three[2]: 14], tiedHead: true,
      attention: Attention(heads: 2, headWidth: 6, normalizeQueryKey: true, bias: true),
      feedForward: FeedForward(hidden: 27).replaced(
        on: three[2], by: FeedForward(hidden: 13, activation: .gelu, bias: true))),
    tower(
      "two_widths_padded", widths: [three[0]: 14, three[2]: 14], mixture: .padded,
      feedForward: FeedForward(hidden: 200)),
    tower(
      "one_width_empty", widths: [three[1]: 14], mixture: .only(2),
      feedForward: FeedForward(hidden: 27)),
    tower(
      "replaced",
      feedForward: FeedForward(hidden: 27).replaced(
        on: three[1], by: FeedForward(hidden: 40, activation: .gelu, bias: true)),
      norm: RMSNorm().replaced(on: three[0], three[2], by: LayerNorm())),
    tower(
      "replaced_tied", untied: .none, mixture: .padded,
      attention: Attention(heads: 2, headWidth: 6, normalizeQueryKey: true).replaced(
        on: three[1], by: Attention(heads: 2, headWidth: 6, bias: true, outputBias: false)),
      feedForward: FeedForward(hidden: 27).replaced(
        on: three[1], three[0], by: FeedForward(hidden: 27))),
    frozen,
  ]

  /// One of three towers trains, with the head and what all share.
  private static let frozen = tower(
    "frozen", frozen: [.modality(three[0]), .modality(three[2]), .component(.embedding)],
    attention: Attention(heads: 2, headWidth: 6, normalizeQueryKey: true, bias: true),
    feedForward: FeedForward(hidden: 32))

  private static let three = modalities(3)

  /// Returns a pre-norm model of two layers.
  private static func tower(
    _ name: String, widths: KeyValuePairs<Modality, Int> = [:], untied: Untying = .all,
    frozen: [Frozen] = [],
    tiedHead: Bool = false, mixture: Mixture = .random,
    attention: Attention = Attention(heads: 2, headWidth: 6), feedForward: some Layer,
    norm: some Layer = RMSNorm()
  ) -> AgreementModel {
    let model = Model(
      name, modalities: three, width: 22, widths: widths, untied: untied, frozen: frozen
    ) {
      preNormLayers(feedForward, attention: attention, norm: norm, tiedHead: tiedHead)
    } objectives: {
      for modality in three { NextToken(on: modality) }
    }
    return AgreementModel(model: model, batch: 2, sequence: 19, mixture: mixture)
  }
}
