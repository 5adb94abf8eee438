package import MoTIR

/// Turns text, pictures and speech units into the token ids of a module's modalities, and back.
///
/// Text is its UTF-8 bytes. A picture is `side` x `side` tokens of a palette of 64 colours, row by row. A
/// token is the code plus the start of its modality's vocabulary.
package struct Tokenizer: Sendable {
  /// What a modality must be called to take a kind of data.
  package enum Kind: String, Sendable, CaseIterable {
    case text
    case image
    case speech
  }

  /// Colours in the palette: 4 levels each of red, green and blue.
  package static let colours = 64

  let module: Module

  /// Creates the tokenizer of `module`'s modalities.
  package init(module: Module) { self.module = module }

  /// Returns the modality for data of `kind`, or `nil` if the module has none.
  package func modality(_ kind: Kind) -> ModalityDeclaration? {
    module.modalities.first { $0.name == kind.rawValue }
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
  /// - Throws: `Diagnostic` unless there is a modality `image` of 64 ids.
  package func tokens(picture: Picture, side: Int) throws(Diagnostic) -> [Int] {
    let image = try modality(.image, codes: Self.colours)
    let pixels = picture.resized(side: side).pixels
    let tokens = stride(from: 0, to: pixels.count, by: 3).map { index in
      let levels = pixels[index..<(index + 3)].map { Int($0) / 64 }
      return image.vocabulary.lowerBound + levels.reduce(0) { 4 * $0 + $1 }
    }
    return marked(tokens, image)
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

  /// Returns the text of the text tokens among `tokens`; bytes that are no UTF-8 become �.
  package func text(_ tokens: [Int]) -> String {
    guard let range = modality(.text)?.vocabulary else { return "" }
    let bytes = tokens.filter(range.contains).compactMap {
      UInt8(exactly: $0 - range.lowerBound)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Returns the picture of the first `side` · `side` image tokens among `tokens`; what is missing is black.
  package func picture(_ tokens: [Int], side: Int) -> Picture {
    let range = modality(.image)?.vocabulary ?? 0..<0
    let codes = tokens.filter(range.contains).map { ($0 - range.lowerBound) % Self.colours }
    var pixels: [UInt8] = codes.prefix(side * side).flatMap { code in
      [code / 16, code / 4 % 4, code % 4].map { UInt8($0 * 85) }
    }
    pixels += [UInt8](repeating: 0, count: 3 * side * side - pixels.count)
    return Picture(width: side, height: side, pixels: pixels)
  }

  /// Returns the modality for `kind`, which must have at least `codes` ids.
  private func modality(_ kind: Kind, codes: Int) throws(Diagnostic) -> ModalityDeclaration {
    guard let modality = modality(kind) else {
      let names = module.modalities.map(\.name).joined(separator: ", ")
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
