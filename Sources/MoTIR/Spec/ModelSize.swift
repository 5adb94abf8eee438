/// The sizes of models in the Mixture-of-Transformers paper (arXiv 2411.04996), for use in specs.
///
/// ```swift
/// let size = ModelSize.chameleon7B
/// let model = Model("mot", modalities: [text, image], width: size.width, sequence: size.sequence) {
///   Embedding()
///   Repeat(size.layers) {
///     Residual { Attention(heads: size.heads); RMSNorm() }
///     …
/// ```
public struct ModelSize: Hashable, Sendable {
  /// The name, such as `7B`.
  public let name: String
  /// The elements of a row between layers.
  public let width: Int
  /// The number of layers.
  public let layers: Int
  /// Attention heads.
  public let heads: Int
  /// Hidden channels of the SwiGLU feed-forward networks.
  public let hidden: Int
  /// Ids in the joint vocabulary.
  public let vocabulary: Int
  /// Tokens in a sequence.
  public let sequence: Int

  /// Creates a size of the Chameleon setting.
  private static func discrete(
    _ name: String, _ width: Int, _ layers: Int, _ heads: Int, _ hidden: Int
  ) -> ModelSize {
    ModelSize(
      name: name, width: width, layers: layers, heads: heads, hidden: hidden, vocabulary: 65_536,
      sequence: 4096)
  }

  /// Creates a size of the Transfusion setting.
  private static func mixed(
    _ name: String, _ width: Int, _ layers: Int, _ heads: Int, _ hidden: Int
  ) -> ModelSize {
    ModelSize(
      name: name, width: width, layers: layers, heads: heads, hidden: hidden, vocabulary: 32_000,
      sequence: 4096)
  }

  /// 37.0M parameters dense, 40.4M in two towers.
  public static let chameleon37M = discrete("37M", 256, 4, 8, 768)
  /// 94.4M dense, 121.6M in two towers.
  public static let chameleon94M = discrete("94M", 512, 8, 8, 1536)
  /// 442.5M dense, 750.8M in two towers.
  public static let chameleon443M = discrete("443M", 1024, 24, 16, 2816)
  /// 880.8M dense, 1,560M in two towers.
  public static let chameleon880M = discrete("880M", 1536, 24, 24, 4096)
  /// 1,502M dense, 2,735M in two towers.
  public static let chameleon1500M = discrete("1.5B", 2048, 24, 16, 5632)
  /// 7,013M dense, 13,489M in two towers.
  public static let chameleon7B = discrete("7B", 4096, 32, 32, 11008)
  /// 162M dense.
  public static let transfusion160M = mixed("0.16B", 768, 16, 12, 2048)
  /// 778M dense.
  public static let transfusion760M = mixed("0.76B", 1536, 24, 24, 4096)
  /// 1,364M dense.
  public static let transfusion1400M = mixed("1.4B", 2048, 24, 16, 5632)
  /// 6,738M dense.
  public static let transfusion7B = mixed("7B", 4096, 32, 32, 11008)

  /// The sizes of the Chameleon setting, the smallest first.
  public static let chameleon = [
    chameleon37M, chameleon94M, chameleon443M, chameleon880M, chameleon1500M, chameleon7B,
  ]
  /// The sizes of the Transfusion setting, the smallest first.
  public static let transfusion = [
    transfusion160M, transfusion760M, transfusion1400M, transfusion7B,
  ]
}
