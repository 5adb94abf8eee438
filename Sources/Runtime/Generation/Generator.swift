package import MoTIR

/// Goes on with documents, token after token.
package struct Generator {
  private let module: Module
  private let decoder: Decoder
  private let tokenizer: Tokenizer
  private let settings: SamplingSettings

  /// Creates a generator of `module`'s documents; the sequences of `decoder` are its own.
  package init(
    _ module: Module, _ decoder: Decoder, _ tokenizer: Tokenizer, _ settings: SamplingSettings
  ) {
    self.module = module
    self.decoder = decoder
    self.tokenizer = tokenizer
    self.settings = settings
  }

  /// How many documents go on at the same time.
  package var sequences: Int { decoder.lengths.count }

  /// Goes on with each of `prompts`, of which there are at most as many as the decoder has sequences.
  ///
  /// - Parameters:
  ///   - prompts: tokens, at least one each.
  ///   - first: the number of the first prompt: equal seeds and numbers draw equal tokens.
  ///   - limit: the most tokens that a document goes on by.
  ///   - take: takes the number of a prompt and its next token; returns whether the document goes on.
  /// - Throws: `Diagnostic` if a prompt is longer than the context, or logits are not finite.
  package func run(
    _ prompts: [[Int]], numberedFrom first: Int = 0, limit: Int,
    _ take: (_ prompt: Int, _ token: Int) throws(Diagnostic) -> Bool
  ) throws(Diagnostic) {
    decoder.reset()
    var samplers = prompts.indices.map { Sampler(settings, number: first + $0) }
    var grammars = prompts.map { prompt in
      var grammar = DocumentGrammar(module, tokenizer)
      for token in prompt { grammar.accept(token) }
      return grammar
    }
    let vocabulary = module.modalities.map(\.vocabulary.upperBound).max() ?? 0
    var next = prompts + [[Int]](repeating: [], count: decoder.lengths.count - prompts.count)
    for _ in 0..<limit {
      guard next.contains(where: { !$0.isEmpty }) else { return }
      let logits = try decoder.extend(next)
      for index in prompts.indices where !next[index].isEmpty {
        let row = logits[(index * vocabulary)..<((index + 1) * vocabulary)]
        let allowed = grammars[index].allowed
        guard !allowed.isEmpty else {
          throw Diagnostic("nothing may come next: no modality has tokens that come one by one")
        }
        let token = try samplers[index].next(row, among: allowed)
        grammars[index].accept(token)
        let goesOn = try take(first + index, token)
        next[index] = goesOn && decoder.lengths[index] < decoder.capacity ? [token] : []
      }
    }
  }
}
