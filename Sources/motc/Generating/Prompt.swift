import MoTIR
import Runtime

/// What a document begins with, as tokens.
struct Prompt {
  /// The tokens.
  let tokens: [Int]

  /// Creates the prompt that `options` ask for.
  ///
  /// - Throws: `Diagnostic` if the model cannot take it.
  init(_ options: Generate, _ module: Module, _ tokenizer: Tokenizer) throws {
    var tokens: [Int] = []
    if let path = options.picture {
      guard tokenizer.pictures != nil else { throw Self.noCodebook(.image) }
      tokens += try tokenizer.tokens(picture: CorpusFolder.picture(at: path))
    }
    if let path = options.speech {
      guard tokenizer.speech != nil else { throw Self.noCodebook(.speech) }
      tokens += try tokenizer.tokens(waveform: CorpusFolder.recording(at: path))
    }
    if !options.prompt.isEmpty { tokens += try tokenizer.tokens(text: options.prompt) }
    if let name = options.begin {
      let modality = try Self.modality(name, module)
      if !tokenizer.decodes(modality) {
        throw Self.noCodebook(Tokenizer.Kind(rawValue: name) ?? .image)
      }
      // Captions are lines.
      if !options.prompt.isEmpty, !options.prompt.hasSuffix("\n") {
        tokens += try tokenizer.tokens(text: "\n")
      }
      if let marker = modality.begin { tokens.append(marker) }
    }
    guard !tokens.isEmpty else {
      throw Diagnostic(
        "the document begins with nothing: modality '\(options.begin ?? "")' has no marker",
        suggestion: "give --prompt")
    }
    self.tokens = tokens
  }

  private static func noCodebook(_ kind: Tokenizer.Kind) -> Diagnostic {
    Diagnostic(
      "there is no codebook for modality '\(kind.rawValue)' beside the weights",
      suggestion: "name the folder of shards that the model was trained on with --data")
  }

  /// Returns the modality called `name`, in which a span can be opened.
  private static func modality(_ name: String, _ module: Module) throws -> ModalityDeclaration {
    guard let modality = module.modalities.first(where: { $0.name == name }) else {
      let known = module.modalities.map(\.name)
      throw Diagnostic(
        "the model has no modality '\(name)'", suggestion: "it has \(known.joined(separator: ", "))"
      )
    }
    guard !modality.attendsWithinSpan else {
      throw Diagnostic(
        "tokens of modality '\(name)' see those behind them, and cannot come one by one")
    }
    return modality
  }
}
