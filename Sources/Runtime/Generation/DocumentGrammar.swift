package import MoTIR

/// What may come next in a document: codes of one modality inside of its markers, and text or a marker outside.
///
/// Tokens of modalities without markers stand anywhere outside; those of a modality with markers only between them.
package struct DocumentGrammar: Sendable {
  private let modalities: [ModalityDeclaration]
  /// The tokens of a span that are codes, by modality, and how many a span has if that is known.
  private let codes: [Range<Int>]
  private let lengths: [Int?]
  private let outside: [Range<Int>]
  /// The modality whose span the document is in, and its tokens so far; `nil` outside.
  package private(set) var span: (modality: Int, count: Int)?

  /// Creates the grammar of `module`'s documents, at the beginning of one.
  ///
  /// - Parameter tokenizer: says how many codes its codebooks have, and how many tokens a picture has.
  package init(_ module: Module, _ tokenizer: Tokenizer) {
    modalities = module.modalities
    codes = modalities.map { tokenizer.codes(of: $0) }
    lengths = modalities.map { modality in
      modality.isPictures
        ? tokenizer.grid?.tokens
        : modality.name == Tokenizer.Kind.image.rawValue ? tokenizer.pictures?.tokens : nil
    }
    let markers = modalities.flatMap { [$0.begin, $0.end].compactMap { $0 } }
    let free = zip(modalities, codes).filter { $0.0.begin == nil }.flatMap {
      $0.1.removing(markers)
    }
    // Tokens that see those behind them cannot come one by one; continuous ones come all at once.
    let opening = modalities.filter { modality in
      modality.latents == nil ? !modality.attendsWithinSpan : tokenizer.denoises(modality)
    }.compactMap(\.begin)
    outside = free + opening.map { $0..<($0 + 1) }
  }

  /// The tokens that may come next.
  package var allowed: [Range<Int>] {
    guard let span else { return outside }
    let end = modalities[span.modality].end.map { [$0..<($0 + 1)] } ?? []
    let inside = codes[span.modality].removing(end.map(\.lowerBound))
    guard let length = lengths[span.modality] else { return span.count > 0 ? inside + end : inside }
    return span.count < length ? inside : end
  }

  /// The number of the continuous modality whose span has just been opened, or `nil`.
  package var block: Int? {
    guard let span, span.count == 0, modalities[span.modality].latents != nil else { return nil }
    return span.modality
  }

  /// Goes on by `token`, whether or not it was allowed: prompts are anyone's.
  package mutating func accept(_ token: Int) {
    if let modality = modalities.firstIndex(where: { $0.begin == token }) {
      span = (modality, 0)
    } else if let open = span, modalities[open.modality].end == token {
      span = nil
    } else if let open = span {
      span = (open.modality, open.count + 1)
      // Without a marker for its end, a span ends when it is full.
      if modalities[open.modality].end == nil, lengths[open.modality] == open.count + 1 {
        span = nil
      }
    }
  }
}

extension Range<Int> {
  /// Returns the parts of the range between `numbers`.
  fileprivate func removing(_ numbers: [Int]) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var start = lowerBound
    for number in Set(numbers).filter(contains).sorted() {
      if start < number { parts.append(start..<number) }
      start = number + 1
    }
    if start < upperBound { parts.append(start..<upperBound) }
    return parts
  }
}
