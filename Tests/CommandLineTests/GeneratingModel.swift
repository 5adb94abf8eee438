import Foundation
import MoTIR
import Runtime
import Testing

/// A folder with a small model that generates, its weights, and shards with codebooks.
struct GeneratingModel {
  /// The folder.
  let motc: Motc

  /// Token ids: bytes and markers, the 64 colours of a palette, and units of speech.
  private static let text = Modality("text", vocabulary: 0..<260)
  private static let image = Modality("image", vocabulary: 260..<324, begin: 256, end: 257)
  private static let speech = Modality("speech", vocabulary: 324..<332, begin: 258, end: 259)

  /// Pixels in a row of a picture.
  static let side = 4
  /// Tokens that the model keeps.
  static let context = 40

  /// Returns the model at the sizes of a document.
  static func module(batch: Int = 1, context: Model.Context = .slots(context)) throws -> Module {
    try Model("drawer", modalities: [text, image, speech], width: 16) {
      Embedding()
      Residual {
        RMSNorm()
        Attention(heads: 2, normalizeQueryKey: true)
      }
      Residual {
        RMSNorm()
        FeedForward(hidden: 24)
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: text, image, speech, name: "all")
    }.module(batch: batch, sequence: 8, context: context)
  }

  /// Makes `drawer.motir`, its weights `w`, and the folder `shards`.
  init() throws {
    motc = try Motc()
    try motc.write(Self.module().text, to: "drawer.motir")
    #expect(try motc("init", "drawer.motir", "--seed", "5", "-o", "w").status == 0)
    try writeCorpus()
    let result = try motc(
      "tokenize", "drawer.motir", "--data", "corpus", "-o", "shards", "--pictures", "palette",
      "--side", "\(Self.side)", "--patch", "1", "--validation", "0")
    #expect(result.status == 0, "\(result.errors)")
  }

  /// Writes two pictures and two tones, with captions.
  private func writeCorpus() throws {
    let folder = motc.path("corpus")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for number in 0..<2 {
      let pixels = (0..<(3 * 8 * 8)).map { UInt8($0 * (number + 1) % 256) }
      try writeFile(
        Picture(width: 8, height: 8, pixels: pixels).png(), to: "\(folder)/\(number).png")
      let samples = (0..<4000).map { Float(sin(Double($0 * (number + 1)) / 10) / 2) }
      try writeFile(
        Waveform(rate: 16_000, samples: samples).wav(), to: "\(folder)/\(number).wav")
    }
    let lines = (0..<2).map { "\($0).png\tpicture \($0)\n\($0).wav\tsound \($0)\n" }
    try motc.write(lines.joined(), to: "corpus/captions.txt")
  }

  /// Runs `motc generate` with the weights and codebooks.
  func callAsFunction(_ arguments: String...) throws -> Motc.Result {
    try motc.run(
      ["generate", "drawer.motir", "--weights", "w", "--data", "shards", "--threads", "1"]
        + arguments)
  }

  /// Returns the bytes of the file `name`, or `nil` if it is not there.
  func bytes(_ name: String) -> [UInt8]? {
    FileManager.default.contents(atPath: motc.path(name)).map(Array.init)
  }

  /// Changes the weights `w` by `change`, which is given each tensor's name and elements.
  func changeWeights(_ change: (String, [Float]) -> [Float]) throws {
    let tensors = try SafetensorsReader(path: motc.path("w")).all.map { tensor in
      try Tensor(
        name: tensor.name, shape: tensor.shape, floats: change(tensor.name, tensor.floats()))
    }
    try SafetensorsWriter.write(tensors, to: motc.path("w"))
  }
}
