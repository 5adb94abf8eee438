package import MoTIR

/// Goes on with documents, token after token.
package struct Generator {
  private let module: Module
  private let decoder: Decoder
  private let tokenizer: Tokenizer
  private let settings: SamplingSettings
  private let denoising: DenoisingSettings

  /// Creates a generator of `module`'s documents; the sequences of `decoder` are its own.
  ///
  /// - Parameter denoising: how continuous tokens are made; with guidance each document takes two sequences.
  package init(
    _ module: Module, _ decoder: Decoder, _ tokenizer: Tokenizer, _ settings: SamplingSettings,
    _ denoising: DenoisingSettings = DenoisingSettings()
  ) {
    self.denoising = denoising
    self.module = module
    self.decoder = decoder
    self.tokenizer = tokenizer
    self.settings = settings
  }

  /// How many documents go on at the same time.
  package var sequences: Int { decoder.lengths.count / (isGuided ? 2 : 1) }

  /// `true` iff each document has a second sequence, behind all first ones, of its pictures without their texts.
  private var isGuided: Bool { denoising.guidance != 1 }

  /// Goes on with each of `prompts`, of which there are at most as many as the decoder has sequences.
  ///
  /// - Parameters:
  ///   - prompts: tokens, at least one each.
  ///   - latents: the continuous tokens of each prompt, by the name of their modality; none by default.
  ///   - first: the number of the first prompt: equal seeds and numbers draw equal tokens.
  ///   - limit: the most tokens that a document goes on by.
  ///   - takeBlock: takes the number of a prompt and the continuous tokens of the span that it is in.
  ///   - take: takes the number of a prompt and its next token, but for placeholders; returns whether the document goes
  ///     on.
  /// - Throws: `Diagnostic` if a prompt is longer than the context, or logits are not finite.
  package func run(
    _ prompts: [[Int]], latents: [[String: [Float]]] = [], numberedFrom first: Int = 0, limit: Int,
    takeBlock: (_ prompt: Int, _ latents: [Float]) throws(Diagnostic) -> Void = { _, _ in },
    _ take: (_ prompt: Int, _ token: Int) throws(Diagnostic) -> Bool
  ) throws(Diagnostic) {
    decoder.reset()
    var documents = Documents(prompts, latents, self, first)
    for index in prompts.indices { open(index, &documents) }
    for _ in 0..<limit {
      guard documents.next.contains(where: { !$0.isEmpty }) else { return }
      let logits = try decoder.extend(documents.next, latents: documents.latents)
      documents.latents = documents.latents.map { _ in [:] }
      for index in prompts.indices where !documents.next[index].isEmpty {
        if let block = try goOn(behind: logits, in: index, of: first + index, &documents) {
          try takeBlock(first + index, block)
        }
        let goesOn = try take(first + index, documents.next[index].last ?? 0)
        let room = decoder.capacity - decoder.lengths[index]
        if !goesOn || room < documents.next[index].count {
          for sequence in twins(of: index) { documents.next[sequence] = [] }
        }
      }
    }
  }

  /// Lets document `index`, which is that of prompt `number`, go on by a span of continuous tokens, whose numbers it
  /// returns, or by a token.
  private func goOn(
    behind logits: [Float], in index: Int, of number: Int, _ documents: inout Documents
  ) throws(Diagnostic) -> [Float]? {
    guard let modality = documents.grammars[index].block else {
      goOn(by: try draw(logits, for: index, &documents), in: index, &documents)
      return nil
    }
    let block = try denoised(modality, in: index, of: number)
    goOn(by: span(of: modality), block, of: modality, in: index, &documents)
    return block
  }

  /// Documents that grow.
  private struct Documents {
    var samplers: [Sampler]
    var grammars: [DocumentGrammar]
    /// For each sequence of the decoder, what it gets next.
    var next: [[Int]]
    /// The continuous tokens among that, by the name of their modality.
    var latents: [[String: [Float]]]

    init(
      _ prompts: [[Int]], _ latents: [[String: [Float]]], _ generator: Generator, _ first: Int
    ) {
      let others = generator.decoder.lengths.count
      samplers = prompts.indices.map { Sampler(generator.settings, number: first + $0) }
      grammars = prompts.map { prompt in
        var grammar = DocumentGrammar(generator.module, generator.tokenizer)
        for token in prompt { grammar.accept(token) }
        return grammar
      }
      next = prompts + [[Int]](repeating: [], count: others - prompts.count)
      self.latents = latents + [[String: [Float]]](repeating: [:], count: others - latents.count)
    }
  }

  /// Returns the next token of document `index`.
  private func draw(
    _ logits: [Float], for index: Int, _ documents: inout Documents
  ) throws(Diagnostic) -> Int {
    let vocabulary = module.modalities.map(\.vocabulary.upperBound).max() ?? 0
    let allowed = documents.grammars[index].allowed
    guard !allowed.isEmpty else {
      throw Diagnostic("nothing may come next: no modality has tokens that come one by one")
    }
    let row = logits[(index * vocabulary)..<((index + 1) * vocabulary)]
    return try documents.samplers[index].next(row, among: allowed)
  }

  /// Lets document `index` go on by `token`.
  private func goOn(by token: Int, in index: Int, _ documents: inout Documents) {
    documents.grammars[index].accept(token)
    for sequence in twins(of: index) { documents.next[sequence] = [] }
    documents.next[index] = [token]
    open(index, &documents)
  }

  // MARK: Continuous tokens

  /// Returns the sequences of document `index`.
  private func twins(of index: Int) -> [Int] { isGuided ? [index, sequences + index] : [index] }

  /// Begins the span that was opened in document `index` in its second sequence, too, which has nothing before it.
  private func open(_ index: Int, _ documents: inout Documents) {
    let tokens = documents.next[index]
    guard isGuided, documents.grammars[index].block != nil,
      let start = module.unconditionedStarts(of: tokens).last
    else { return }
    decoder.reset(sequences + index)
    documents.next[sequences + index] = Array(tokens[start...])
  }

  /// Lets document `index` go on by `tokens`, a span of modality number `modality` whose numbers are `block`.
  private func goOn(
    by tokens: [Int], _ block: [Float], of modality: Int, in index: Int,
    _ documents: inout Documents
  ) {
    for token in tokens { documents.grammars[index].accept(token) }
    for sequence in twins(of: index) {
      documents.next[sequence] = tokens
      documents.latents[sequence] = [module.modalities[modality].name: block]
    }
  }

  /// Returns the tokens of a whole span of modality number `modality`, behind its first marker.
  private func span(of modality: Int) -> [Int] {
    let count = tokenizer.grid?.tokens ?? 0
    let end = module.modalities[modality].end ?? 0
    return [Int](repeating: Module.placeholder(of: modality), count: count) + [end]
  }

  /// Returns the numbers of a span of modality number `modality` that comes next in document `index`, which is that of
  /// prompt `number`.
  private func denoised(
    _ modality: Int, in index: Int, of number: Int
  ) throws(Diagnostic) -> [Float] {
    let random = CounterRandom(
      seed: settings.seed, name: "noise \(number) at \(decoder.lengths[index])")
    let declaration = module.modalities[modality]
    guard let grid = tokenizer.grid, tokenizer.denoises(declaration),
      let denoising = module.denoisingObjective(of: declaration)?.denoising
    else {
      throw Diagnostic(
        "tokens of modality '\(declaration.name)' cannot be made: it is not known how many, or of what"
      )
    }
    // Levels of pixels are within −1 and 1.
    let denoiser = Denoiser(denoising, self.denoising, within: -1...1)
    return try denoiser.clean(count: grid.tokens * grid.width, random) {
      noisy, time throws(Diagnostic) in
      var blocks = decoder.lengths.map { _ in [Float]() }
      for twin in twins(of: index) { blocks[twin] = noisy }
      let said = try decoder.denoise(blocks, of: modality, at: time)
      return isGuided ? denoiser.guided(said[index], said[sequences + index]) : said[index]
    }
  }
}
