package import MoTIR

/// Turns text, pictures and speech into the token ids of a model's modalities, and back.
///
/// Text is its UTF-8 bytes, a picture the codes of its patches, row by row, speech the codes of its units. A token is
/// the code plus the start of its modality's vocabulary.
package struct Tokenizer: Sendable {
  /// What a modality must be called to take a kind of data.
  package enum Kind: String, Sendable, CaseIterable {
    case text
    case image
    case speech
  }

  private let modalities: [ModalityDeclaration]
  /// What pictures are made of, if there are any.
  package let pictures: PictureCodebook?
  /// How pictures are cut where they are continuous tokens.
  package let grid: PatchGrid?
  /// What recordings are made of, if there are any.
  package let speech: SpeechCodebook?

  /// Creates the tokenizer of `module`'s modalities.
  package init(
    module: Module, pictures: PictureCodebook? = nil, speech: SpeechCodebook? = nil,
    grid: PatchGrid? = nil
  ) {
    modalities = module.modalities
    self.grid = grid
    self.pictures = pictures
    self.speech = speech
  }

  /// Returns the modality for data of `kind`, or `nil` if there is none.
  package func modality(_ kind: Kind) -> ModalityDeclaration? {
    modalities.first { $0.name == kind.rawValue }
  }

  /// Returns the tokens of documents: the item's text and then its contents, or its last content, the text, and then
  /// the other contents. Text alone has one order.
  ///
  /// - Parameter textFirst: `true` for each document that begins with the text.
  /// - Throws: `Diagnostic` if a picture or recording cannot be read, or a modality lacks ids.
  package func documents(
    of item: CorpusItem, textFirst: [Bool]
  ) throws(Diagnostic) -> [[Int]] {
    let text = try tokens(text: item.text)
    var others = try item.contents.map { content throws(Diagnostic) in try tokens(of: content) }
    guard let last = others.popLast() else { return [text] }
    let rest = Array(others.joined())
    return textFirst.map { $0 ? text + rest + last : last + text + rest }
  }

  /// Returns the tokens of `content`, between its modality's markers.
  private func tokens(of content: CorpusItem.Content) throws(Diagnostic) -> [Int] {
    switch content {
    case .picture(let path): try tokens(picture: CorpusFolder.picture(at: path))
    case .speech(let units): try tokens(speech: units)
    case .recording(let path): try tokens(waveform: CorpusFolder.recording(at: path))
    }
  }

  /// Returns the tokens of `text`, one a byte.
  ///
  /// - Throws: `Diagnostic` unless there is a modality `text` of 256 ids.
  package func tokens(text: String) throws(Diagnostic) -> [Int] {
    let start = try modality(.text, codes: 256).vocabulary.lowerBound
    return text.utf8.map { start + Int($0) }
  }

  /// Returns the tokens of `picture`, between its modality's markers.
  ///
  /// - Requires: there is a codebook, or a grid.
  /// - Throws: `Diagnostic` unless there is a modality `image` with an id for each code, or tokens as wide as patches.
  package func tokens(picture: Picture) throws(Diagnostic) -> [Int] {
    if let index = modalities.firstIndex(where: \.isPictures), let grid {
      let image = modalities[index]
      guard image.latents == grid.width else {
        throw .wrongWidth(image, grid)
      }
      return marked([Int](repeating: Module.placeholder(of: index), count: grid.tokens), image)
    }
    guard let pictures else { preconditionFailure("pictures need a codebook") }
    let image = try modality(.image, codes: pictures.count)
    return marked(pictures.codes(of: picture).map { image.vocabulary.lowerBound + $0 }, image)
  }

  /// Returns the numbers of the continuous tokens of the document of `item` that begins with the text or not, by the
  /// name of their modality; none if it has none.
  ///
  /// - Throws: `Diagnostic` if a picture cannot be read.
  package func latents(
    of item: CorpusItem, textFirst: Bool
  ) throws(Diagnostic) -> [String: [Float]] {
    guard modalities.contains(where: \.isPictures) else { return [:] }
    let last = item.contents.suffix(1)
    var latents: [String: [Float]] = [:]
    for content in textFirst ? item.contents : last + item.contents.dropLast() {
      guard case .picture(let path) = content else { continue }
      latents.merge(self.latents(of: try CorpusFolder.picture(at: path))) { $0 + $1 }
    }
    return latents
  }

  /// Returns the numbers of the continuous tokens of `picture`, by the name of their modality; none if its tokens are
  /// ids.
  package func latents(of picture: Picture) -> [String: [Float]] {
    guard let grid, let image = modalities.first(where: \.isPictures) else { return [:] }
    return [image.name: grid.latents(of: picture)]
  }

  /// Returns the tokens of speech `units`, between their modality's markers.
  ///
  /// - Throws: `Diagnostic` unless there is a modality `speech` with room for each unit.
  package func tokens(speech units: [Int]) throws(Diagnostic) -> [Int] {
    let speech = try modality(.speech, codes: 1)
    if let unit = units.first(where: { !(0..<speech.vocabulary.count).contains($0) }) {
      throw Diagnostic(
        "speech unit \(unit) is outside 0..<\(speech.vocabulary.count), the size of the vocabulary")
    }
    return marked(units.map { speech.vocabulary.lowerBound + $0 }, speech)
  }

  /// Returns the tokens of `waveform`, between their modality's markers.
  ///
  /// - Requires: there is a codebook of speech.
  /// - Throws: `Diagnostic` unless there is a modality `speech` with an id for each code.
  package func tokens(waveform: Waveform) throws(Diagnostic) -> [Int] {
    guard let speech else { preconditionFailure("recordings need a codebook") }
    _ = try modality(.speech, codes: speech.count)
    return try tokens(speech: speech.units(of: waveform))
  }

  /// Returns the text of the text tokens among `tokens`; bytes that are no UTF-8 become �.
  package func text(_ tokens: [Int]) -> String {
    guard let range = modality(.text)?.vocabulary else { return "" }
    let bytes = tokens.filter(range.contains).compactMap {
      UInt8(exactly: $0 - range.lowerBound)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Returns the picture of the first image tokens among `tokens`, as many as a picture has; what is missing is
  /// black.
  ///
  /// - Requires: there is a codebook.
  package func picture(_ tokens: [Int]) -> Picture {
    guard let pictures else { preconditionFailure("pictures need a codebook") }
    let range = modality(.image)?.vocabulary ?? 0..<0
    return pictures.picture(of: tokens.filter(range.contains).map { $0 - range.lowerBound })
  }

  /// Returns the recording of the speech tokens among `tokens`.
  ///
  /// - Requires: there is a codebook of speech.
  package func waveform(_ tokens: [Int]) -> Waveform {
    guard let speech else { preconditionFailure("recordings need a codebook") }
    let range = modality(.speech)?.vocabulary ?? 0..<0
    return speech.waveform(of: tokens.filter(range.contains).map { $0 - range.lowerBound })
  }

  /// `true` iff tokens of `modality` can be turned back into what they stand for.
  package func decodes(_ modality: ModalityDeclaration) -> Bool {
    switch Kind(rawValue: modality.name) {
    case .text: true
    case .image: modality.latents == nil ? pictures != nil : grid != nil
    case .speech: speech != nil
    case nil: false
    }
  }

  /// `true` iff spans of the continuous `modality` can be made: it is known how long they are and how they end.
  package func denoises(_ modality: ModalityDeclaration) -> Bool {
    modality.isPictures && modality.end != nil && grid?.width == modality.latents
  }

  /// Returns the ids of `modality` that stand for something: bytes of text, codes of a codebook.
  package func codes(of modality: ModalityDeclaration) -> Range<Int> {
    let count =
      switch Kind(rawValue: modality.name) {
      case .text: 256
      case .image: pictures?.count
      case .speech: speech?.count
      case nil: nil as Int?
      }
    let range = modality.vocabulary
    return range.lowerBound..<min(range.upperBound, range.lowerBound + (count ?? range.count))
  }

  /// Returns the modality for `kind`, which must have at least `codes` ids.
  private func modality(_ kind: Kind, codes: Int) throws(Diagnostic) -> ModalityDeclaration {
    guard let modality = modality(kind) else {
      let names = modalities.map(\.name).joined(separator: ", ")
      throw Diagnostic("the model has no modality '\(kind.rawValue)'; it has \(names)")
    }
    guard modality.vocabulary.count >= codes else {
      throw Diagnostic(
        "modality '\(modality.name)' has \(modality.vocabulary.count) ids, but \(codes) are needed")
    }
    return modality
  }

  /// Returns `tokens` between the markers of `modality`, where it has them.
  private func marked(_ tokens: [Int], _ modality: ModalityDeclaration) -> [Int] {
    [modality.begin].compactMap { $0 } + tokens + [modality.end].compactMap { $0 }
  }
}

extension ModalityDeclaration {
  /// `true` iff its tokens are patches of pictures.
  package var isPictures: Bool { latents != nil && name == Tokenizer.Kind.image.rawValue }
}

extension Diagnostic {
  /// Patches that are not as wide as continuous tokens.
  fileprivate static func wrongWidth(_ modality: ModalityDeclaration, _ grid: PatchGrid)
    -> Diagnostic
  {
    Diagnostic(
      "a patch of \(grid.patch)x\(grid.patch) pixels has \(grid.width) numbers, and a token of modality "
        + "'\(modality.name)' \(modality.latents ?? 0)",
      suggestion: "choose latents: \(grid.width), or another --patch")
  }
}
