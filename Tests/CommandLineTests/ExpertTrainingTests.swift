import MoTIR
import Runtime
import Testing

/// `motc train` of a model with experts.
@Suite struct ExpertTrainingTests {
  private static let text = Modality("text", vocabulary: 0..<12)
  private static let image = Modality("image", vocabulary: 12..<22)

  private static let model = Model(
    "experts", modalities: [text, image], width: 16, batch: 2, sequence: 9
  ) {
    Embedding()
    Residual {
      RMSNorm()
      Attention(heads: 2)
    }
    Residual {
      RMSNorm()
      FeedForward(hidden: 32).replaced(on: text, by: Experts(3, hidden: 32))
    }
    Head()
  } objectives: {
    NextToken(on: text, image)
  }

  /// Neither the plan of experts nor rows that nobody reads are taken for results that are not finite.
  @Test(arguments: ["up.text", "up.image", "attention.v"])
  func theOpThatOverflowsIsNamed(_ part: String) throws {
    let motc = try Motc()
    try motc.prepareTraining(of: Self.model.module())
    let tensors = try motc.tensors("w").values.map { tensor in
      guard tensor.name.contains(part) else { return tensor }
      let floats = try tensor.floats().map { $0 < 0 ? -3e38 : Float(3e38) }
      return try Tensor(name: tensor.name, shape: tensor.shape, floats: floats)
    }
    try SafetensorsWriter.write(tensors, to: motc.path("large"))
    let result = try motc(
      "train", "model.motir", "--data", "shards", "--out", "run", "--steps", "2", "--warmup", "1",
      "--validate-every", "0", "--threads", "1", "--weights", "large")
    #expect(result.status == 1)
    #expect(
      result.errors.contains("first result that is not finite is that of linear with @"),
      "\(result.errors)")
    #expect(result.errors.contains(part), "\(result.errors)")
  }
}
