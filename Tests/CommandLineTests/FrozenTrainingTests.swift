import Foundation
import MoTIR
import Runtime
import Testing

/// `motc train` of a model of which parts are frozen.
@Suite struct FrozenTrainingTests {
  private static let text = Modality("text", vocabulary: 0..<12)
  private static let image = Modality("image", vocabulary: 12..<22)

  private static let model = Model(
    "frozen", modalities: [text, image], width: 16, batch: 2, sequence: 9,
    frozen: [.modality(text), .component(.embedding)]
  ) {
    Embedding()
    Residual {
      RMSNorm()
      Attention(heads: 2)
    }
    Residual {
      RMSNorm()
      FeedForward(hidden: 32)
    }
    Head()
  } objectives: {
    NextToken(on: text, image)
  }

  private func command(_ out: String, _ more: String...) -> [String] {
    [
      "train", "model.motir", "--data", "shards", "--out", out, "--steps", "4", "--warmup", "1",
      "--checkpoint-every", "2", "--validate-every", "0", "--threads", "1", "--seed", "3",
    ] + more
  }

  @Test func whatIsFrozenStaysBitForBit() throws {
    let motc = try Motc()
    try motc.prepareTraining(of: Self.model.module())
    let trained = try motc.run(command("run"))
    #expect(trained.status == 0, "\(trained.errors)")
    let (before, after) = (
      try motc.tensors("w"), try motc.tensors("run/latest/weights.safetensors")
    )
    let moments = try motc.tensors("run/latest/optimizer.safetensors")
    #expect(before.keys.sorted() == after.keys.sorted())
    for (name, tensor) in before {
      let isFrozen = name.contains(".text.") || name == "embedding.weight"
      let found = try #require(after[name])
      #expect(try (found.floats() == tensor.floats()) == isFrozen, "\(name)")
      #expect((moments["first.\(name)"] == nil) == isFrozen, "\(name)")
    }
    // It goes on from what is kept of it.
    let resumed = try motc.run(command("run", "--resume", "auto"))
    #expect(resumed.status == 0 && resumed.errors.contains("last step"), "\(resumed.errors)")
    try motc.writeBatch([("modality", [2, 9], (0..<18).map { $0 * 7 % 22 < 12 ? 0 : 1 })])
    let result = try motc(
      "run", "model.motir", "--weights", "w", "--input", "in", "--grad", "-o", "gradients")
    #expect(result.status == 0, "\(result.errors)")
    let gradients = try motc.tensors("gradients").keys.filter { $0.hasPrefix("grad.") }
    #expect(!gradients.isEmpty && !gradients.contains { $0.contains(".text.") })
  }
}
