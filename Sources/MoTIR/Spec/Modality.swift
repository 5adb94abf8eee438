/// A kind of token that has weights of its own.
///
/// ```swift
/// let text  = Modality("text", vocabulary: 0..<258)
/// let image = Modality("image", vocabulary: 258..<1282, begin: 256, end: 257, attends: .withinSpan)
/// let patch = Modality("image", latents: 48, begin: 256, end: 257, attends: .withinSpan)
/// ```
public struct Modality: Sendable {
  /// What its tokens see of their span, and across its border.
  public typealias Attending = ModalityDeclaration.Attending
  /// Which positions its tokens have.
  public typealias Counting = ModalityDeclaration.Counting

  /// The name, as in names of parameters.
  public let name: String
  /// The token ids of the joint vocabulary that belong to it; none if its tokens are continuous.
  public let vocabulary: Range<Int>
  /// The numbers of a continuous token; `nil` if its tokens are ids.
  public let latents: Int?
  /// The token id that opens a span of it.
  public let begin: Int?
  /// The token id that closes a span of it.
  public let end: Int?
  /// What its tokens see of their span, and across its border.
  public let attends: Attending
  /// Which positions its tokens have.
  public let counts: Counting
  /// Where the spec declares it.
  let location: Location

  /// Creates a modality of the token ids `vocabulary`.
  ///
  /// - Parameters:
  ///   - begin: the id, of any modality, of the token that opens a span of this one.
  ///   - end: the id of the token that closes a span.
  ///   - attends: what its tokens see.
  ///   - counts: which positions its tokens have, where data does not say.
  public init(
    _ name: String, vocabulary: Range<Int>, begin: Int? = nil, end: Int? = nil,
    attends: Attending = .causal, counts: Counting = .each, file: String = #filePath,
    line: Int = #line,
    column: Int = #column
  ) {
    self.name = name
    self.vocabulary = vocabulary
    latents = nil
    self.begin = begin
    self.end = end
    self.attends = attends
    self.counts = counts
    self.location = Location(file: file, line: line, column: column)
  }

  /// Creates a modality whose tokens are `latents` numbers each, such as patches of pictures.
  ///
  /// - Parameters:
  ///   - begin: the id, of any modality, of the token that opens a span of this one.
  ///   - end: the id of the token that closes a span.
  ///   - attends: what its tokens see.
  ///   - counts: which positions its tokens have, where data does not say.
  public init(
    _ name: String, latents: Int, begin: Int? = nil, end: Int? = nil,
    attends: Attending = .causal, counts: Counting = .each, file: String = #filePath,
    line: Int = #line, column: Int = #column
  ) {
    self.name = name
    self.vocabulary = 0..<0
    self.latents = latents
    self.begin = begin
    self.end = end
    self.attends = attends
    self.counts = counts
    self.location = Location(file: file, line: line, column: column)
  }

  /// `true` iff documents with it can be generated.
  var canGrow: Bool { declaration.canGrow }

  /// What the module's header says of it.
  var declaration: ModalityDeclaration {
    ModalityDeclaration(
      name: name, vocabulary: vocabulary, latents: latents, begin: begin, end: end,
      attends: attends, counts: counts)
  }
}
