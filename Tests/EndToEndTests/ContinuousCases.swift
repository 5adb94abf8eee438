import MoTIR
import TestSupport

// Continuous tokens beside others: each kind of noise and of prediction.
extension AgreementModel {
  /// Tokens of 1, 5 and 48 numbers; rows of all kinds of mixtures.
  static let continuous = [
    denoising("continuous"),
    denoising("continuous_only", mixture: .only(1)),
    denoising("continuous_single", mixture: .single(2)),
    denoising("continuous_none", mixture: .only(0)),
    denoising("continuous_padded", untied: .none, mixture: .padded),
  ]

  private static func denoising(
    _ name: String, untied: Untying = .all, mixture: Mixture = .random
  ) -> AgreementModel {
    let text = Modality("text", vocabulary: 0..<23)
    let image = Modality("image", latents: 48, begin: 0, end: 1, attends: .withinSpan)
    let audio = Modality("audio", latents: 5)
    let depth = Modality("depth", latents: 1, attends: .withinSpan)
    let model = Model(name, modalities: [text, image, audio, depth], width: 26, untied: untied) {
      preNormLayers(count: 1, FeedForward(hidden: 27))
    } objectives: {
      NextToken(on: text)
      Denoise(on: image, weight: 5)
      Denoise(on: audio, predict: .velocity, schedule: .flow, weight: 0.5)
      Denoise(on: depth, predict: .velocity, schedule: .linear)
    }
    return AgreementModel(model: model, batch: 2, sequence: 37, mixture: mixture)
  }
}
