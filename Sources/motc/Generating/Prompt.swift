import MoTIR
import Runtime

/// What a document begins with, as tokens.
struct Prompt {
  /// The tokens.
  let tokens: [Int]
  /// The numbers of continuous ones, by the name of their modality.
  let latents: [String: [Float]]

  /// Creates the prompt that `options` ask for.
  ///
  /// - Throws: `Diagnostic` if the model cannot take it.
  init(_ options: Generate, _ module: Module, _ tokenizer: Tokenizer) throws {
    var tokens: [Int] = []
    var latents: [String: [Float]] = [:]
    if let path = options.picture {
      try options.require(.image, module, tokenizer)
      let picture = try CorpusFolder.picture(at: path)
      tokens += try tokenizer.tokens(picture: picture)
      latents = tokenizer.latents(of: picture)
    }
    if let path = options.speech {
      try options.require(.speech, module, tokenizer)
      tokens += try tokenizer.tokens(waveform: CorpusFolder.recording(at: path))
    }
    if !options.prompt.isEmpty { tokens += try tokenizer.tokens(text: options.prompt) }
    if let name = options.begin {
      let modality = try module.modality(called: name)
      try options.requireOpening(modality, module, tokenizer)
      // Captions are lines.
      if !options.prompt.isEmpty, !options.prompt.hasSuffix("\n") {
        tokens += try tokenizer.tokens(text: "\n")
      }
      if let marker = modality.begin { tokens.append(marker) }
    }
    guard !tokens.isEmpty else {
      let reason = options.begin.map { ": modality '\($0)' has no marker" } ?? ""
      throw Diagnostic("the document begins with nothing\(reason)", suggestion: "give --prompt")
    }
    self.tokens = tokens
    self.latents = latents
  }
}

extension Generate {
  /// Checks that the model knows data of `kind`, and that there is a codebook for it.
  fileprivate func require(
    _ kind: Tokenizer.Kind, _ module: Module, _ tokenizer: Tokenizer
  ) throws(Diagnostic) {
    guard !tokenizer.decodes(try module.modality(called: kind.rawValue)) else { return }
    throw Diagnostic(
      "there is no codebook for modality '\(kind.rawValue)' "
        + (data.map { "in the shards '\($0)'" } ?? "beside the weights"),
      suggestion: Codebooks.wayOut)
  }

  /// Checks that tokens of `modality` can come one by one, and become what they stand for.
  fileprivate func requireOpening(
    _ modality: ModalityDeclaration, _ module: Module, _ tokenizer: Tokenizer
  ) throws(Diagnostic) {
    guard !modality.attendsWithinSpan || modality.latents != nil else {
      throw Diagnostic(
        "tokens of modality '\(modality.name)' see those behind them, and cannot come one by one")
    }
    guard let kind = Tokenizer.Kind(rawValue: modality.name) else {
      let kinds = Tokenizer.Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw Diagnostic(
        "what modality '\(modality.name)' stands for is not known",
        suggestion: "begin one that is called as what it is: \(kinds)")
    }
    try require(kind, module, tokenizer)
  }
}

extension Module {
  /// Returns the modality called `name`.
  ///
  /// - Throws: `Diagnostic` if there is none.
  fileprivate func modality(called name: String) throws(Diagnostic) -> ModalityDeclaration {
    if let modality = modalities.first(where: { $0.name == name }) { return modality }
    throw Diagnostic(
      "the model has no modality '\(name)'",
      suggestion: "it has \(modalities.map(\.name).joined(separator: ", "))")
  }
}
