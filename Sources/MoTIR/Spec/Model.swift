/// A model, as a spec describes it; `module` turns it into graphs.
///
/// ```swift
/// let model = Model("chameleon", modalities: [text, image], width: 256) {
///   Embedding()
///   Repeat(6) {
///     Residual { RMSNorm(); Attention(heads: 8, normalizeQueryKey: true) }
///     Residual { RMSNorm(); FeedForward(hidden: 768) }
///   }
///   RMSNorm()
///   Head()
/// } objectives: {
///   NextToken(on: text)
///   NextToken(on: image, weight: 2)
/// }
/// ```
public struct Model: Sendable {
  /// The name.
  public let name: String
  /// The modalities; a token's modality id is the position in this list.
  public let modalities: [Modality]
  /// The elements of a row between layers.
  public let width: Int
  /// The widths of modalities that have another one.
  let widths: [(modality: Modality, width: Int)]
  /// Sequences in a batch, unless asked otherwise.
  public let batch: Int
  /// Tokens in a sequence, unless asked otherwise.
  public let sequence: Int
  /// Tokens of a sequence that are kept for generation, unless asked otherwise; `nil` for the training sequence.
  public let context: Int?
  /// Which parameters are untied.
  public let untied: Untying
  /// The layers.
  let layers: [PlacedLayer]
  /// The objectives.
  let objectives: [PlacedObjective]
  /// Where the spec declares it.
  let location: Location

  /// Creates a model.
  ///
  /// - Parameters:
  ///   - width: the elements of a row between layers.
  ///   - widths: the same for modalities that differ: `[action: 1024]`.
  ///   - batch: sequences in a batch, unless asked otherwise.
  ///   - sequence: tokens in a sequence, unless asked otherwise.
  ///   - context: tokens of a sequence that are kept for generation, unless asked otherwise; as many as
  ///     `sequence` by default.
  ///   - untied: which parameters have a tensor for each modality.
  ///   - layers: the layers from `Embedding` to `Head`.
  ///   - objectives: what is trained.
  public init(
    _ name: String, modalities: [Modality], width: Int,
    widths: KeyValuePairs<Modality, Int> = [:], batch: Int = 1, sequence: Int = 128,
    context: Int? = nil, untied: Untying = .all, file: String = #filePath, line: Int = #line,
    column: Int = #column,
    @LayerBuilder layers: () -> [PlacedLayer],
    @ObjectiveBuilder objectives: () -> [PlacedObjective]
  ) {
    self.name = name
    self.modalities = modalities
    self.width = width
    self.widths = widths.map { ($0.key, $0.value) }
    self.batch = batch
    self.sequence = sequence
    self.context = context
    self.untied = untied
    self.layers = layers()
    self.objectives = objectives()
    self.location = Location(file: file, line: line, column: column)
  }

  /// Returns the elements of a row of the modality `index`.
  func width(of index: Int) -> Int {
    widths.last { $0.modality.name == modalities[index].name }?.width ?? width
  }

  /// Returns the names of the modalities in each of `groups`.
  func groupNames(_ groups: Groups) -> [[String]] {
    (0..<groups.count).map { group in
      modalities.indices.filter { groups.ofSegment[$0] == group }.map { modalities[$0].name }
    }
  }
}
