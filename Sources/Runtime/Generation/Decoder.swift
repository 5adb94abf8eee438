package import MoTIR

/// Sequences that grow: a compiled model with the keys and values of all tokens so far.
///
/// B sequences, S tokens of a chunk of `prefill`, C slots a sequence, V vocabulary.
package final class Decoder {
  private let model: CompiledModel
  private let module: Module
  /// Slots of a sequence.
  package let capacity: Int
  /// Tokens of each sequence so far. [B]
  package private(set) var lengths: [Int]

  /// The functions that a model must be compiled with, and `denoise` for one that has it.
  package static let functions = ["prefill", "decode"]

  /// Returns the functions that a model of `module` must be compiled with.
  package static func functions(of module: Module) -> [String] {
    functions + ["denoise"].filter { module.function($0) != nil }
  }

  /// Creates empty sequences.
  ///
  /// - Requires: `module` can generate, as `requireGeneration` checks; `model` was compiled from its
  ///   functions `prefill` and `decode`.
  package init(_ model: CompiledModel, _ module: Module) {
    guard let context = module.context, model.plan.entry("decode") != nil else {
      preconditionFailure("the model was not compiled for generation")
    }
    self.model = model
    self.module = module
    capacity = context
    lengths = [Int](repeating: 0, count: module.batch)
  }

  /// Makes all sequences empty.
  package func reset() { lengths = lengths.map { _ in 0 } }

  /// Makes sequence `index` empty.
  package func reset(_ index: Int) { lengths[index] = 0 }

  /// Appends tokens to each sequence; those of a sequence that gets none stay as they are.
  ///
  /// - Parameters:
  ///   - tokens: for each sequence, ids of the vocabulary and placeholders of continuous tokens; not all empty.
  ///   - latents: for each sequence, its continuous tokens, by the name of their modality.
  /// - Returns: what may follow the last token of each sequence: logits, row after row, of no meaning for a sequence
  ///   that got none. [B, V]
  /// - Throws: `Diagnostic` if a sequence outgrows its slots, or a span whose tokens see each other is longer than a
  ///   chunk or the end of what is given.
  package func extend(
    _ tokens: [[Int]], latents: [[String: [Float]]] = []
  ) throws(Diagnostic) -> [Float] {
    precondition(tokens.count == lengths.count, "tokens for \(tokens.count) sequences")
    for (length, new) in zip(lengths, tokens) { try module.requireRoom(for: length + new.count) }
    var parts: [Part] = []
    for (index, new) in tokens.enumerated() {
      parts.append(
        try Part(new, latents: index < latents.count ? latents[index] : [:], in: module))
    }
    // All but the last token of each sequence: what follows these is known.
    while parts.contains(where: { $0.count > 1 }) {
      let counts = try parts.map { part throws(Diagnostic) in
        part.count > 1 ? try part.chunk(atMost: min(module.sequence, part.count - 1)) : 0
      }
      run("prefill", &parts, counts, sequence: module.sequence)
    }
    run("decode", &parts, parts.map(\.count), sequence: 1)
    return model.output("logits", of: "decode") ?? []
  }

  /// Returns what the model says of noisy tokens of the continuous modality number `modality`, which come next in some
  /// sequences. These stay as they are.
  ///
  /// - Parameters:
  ///   - blocks: for each sequence, the numbers of its noisy tokens, as many as in others; or none.
  ///   - time: how much noise there is.
  /// - Returns: for each sequence with tokens as many numbers, and none for others.
  /// - Throws: `Diagnostic` if a sequence outgrows its slots, or the tokens a chunk.
  package func denoise(
    _ blocks: [[Float]], of modality: Int, at time: Float
  ) throws(Diagnostic) -> [[Float]] {
    let declaration = module.modalities[modality]
    let width = declaration.latents ?? 1
    let counts = blocks.map { $0.count / width }
    for (length, count) in zip(lengths, counts) {
      try module.requireRoom(for: length + count)
      guard count <= module.sequence else { throw .longSpan(count) }
    }
    let before = lengths
    var parts = blocks.map { Part(span: $0, of: modality, declaration) }
    run("denoise", &parts, counts, sequence: module.sequence, time: time)
    lengths = before
    let said = model.output(Module.predictionPrefix + declaration.name, of: "denoise") ?? []
    return counts.enumerated().map { number, count in
      let start = number * module.sequence * width
      return Array(said[start..<(start + count * width)])
    }
  }

  /// Runs entry `name` on the first tokens of each part, `counts` of them.
  ///
  /// - Parameter time: how much noise there is on continuous tokens.
  private func run(
    _ name: String, _ parts: inout [Part], _ counts: [Int], sequence: Int, time: Float = 0
  ) {
    let total = parts.count * sequence
    // Rows of no token are in no segment, have no slot and see nothing.
    var tokens = [Int32](repeating: 0, count: total)
    var (modality, slots) = (tokens.map { _ in Int32(-1) }, tokens.map { _ in Int32(-1) })
    var (positions, visible) = (tokens, tokens)
    var continuous = module.continuousInputs.mapValues { width in
      [Float](repeating: 0, count: total * width)
    }
    for (number, count) in counts.enumerated() {
      let part = parts[number]
      for offset in 0..<count {
        let (row, slot, index) = (
          number * sequence + offset, lengths[number] + offset, part.next + offset
        )
        // No table has a row for a placeholder.
        tokens[row] = Int32(max(0, part.tokens[index]))
        part.write(index, to: row, time: time, of: module, &continuous)
        modality[row] = Int32(part.modality[index])
        positions[row] = Int32(slot)
        slots[row] = Int32(slot)
        visible[row] = Int32(lengths[number] - part.next + part.visible[index])
      }
      lengths[number] += count
      parts[number].next += count
    }
    let rows = [
      "tokens": tokens, "modality": modality, "positions": positions, "slots": slots,
      "visible": visible,
    ]
    let plan = RoutingPlan(modality: modality, segments: module.modalities.count)
    model.setInputs(rows, continuous: continuous, plan: plan, of: name)
    model.run(name)
  }
}

/// The tokens that a sequence gets in one go, and how far it is.
private struct Part {
  /// The tokens.
  let tokens: [Int]
  /// Their modalities, -1 for none.
  let modality: [Int]
  /// The continuous tokens, by the name of their modality.
  let latents: [String: [Float]]
  /// How many continuous tokens of its modality stand before each one.
  let ordinals: [Int]
  /// How many of the tokens each one sees: up to itself, or to the end of the span that it is in.
  let visible: [Int]
  /// The tokens that the sequence has.
  var next = 0

  /// Tokens that it has not.
  var count: Int { tokens.count - next }

  /// Creates the tokens of one span, whose numbers are `latents`, of modality number `index`; each sees all.
  init(span latents: [Float], of index: Int, _ modality: ModalityDeclaration) {
    let count = latents.count / (modality.latents ?? 1)
    tokens = [Int](repeating: Module.placeholder(of: index), count: count)
    self.modality = [Int](repeating: index, count: count)
    self.latents = [modality.name: latents]
    ordinals = Array(0..<count)
    visible = (0..<count).map { modality.attendsWithinSpan ? count : $0 + 1 }
  }

  /// - Throws: `Diagnostic` if the last token is in a span whose tokens see each other, or numbers are missing.
  init(
    _ tokens: [Int], latents: [String: [Float]], in module: Module
  ) throws(Diagnostic) {
    let owners = tokens.map(BatchBuilder(module: module).owner)
    func seesBack(_ index: Int) -> Bool {
      owners[index] >= 0 && module.modalities[owners[index]].attendsWithinSpan
    }
    var visible = tokens.indices.map { $0 + 1 }
    for index in tokens.indices.dropLast().reversed() where seesBack(index) {
      let isOneSpan =
        owners[index + 1] == owners[index]
        && tokens[index + 1] != module.modalities[owners[index]].begin
      if isOneSpan { visible[index] = visible[index + 1] }
    }
    if let last = tokens.indices.last, seesBack(last) {
      throw Diagnostic(
        "tokens of modality '\(module.modalities[owners[last]].name)' see those behind them, and "
          + "cannot come one by one",
        suggestion: "end the prompt behind such a span")
    }
    self.tokens = tokens
    self.visible = visible
    modality = owners
    self.latents = latents
    var counts = module.modalities.map { _ in 0 }
    ordinals = owners.map { owner in
      guard owner >= 0 else { return 0 }
      defer { counts[owner] += 1 }
      return counts[owner]
    }
    for (count, modality) in zip(counts, module.modalities) {
      guard let width = modality.latents else { continue }
      let numbers = latents[modality.name]?.count ?? 0
      guard numbers == count * width else {
        throw Diagnostic(
          "\(count) tokens of modality '\(modality.name)' are \(count * width) numbers, not \(numbers)"
        )
      }
    }
  }

  /// Writes the numbers of token `index`, if it is continuous, to row `row` of the inputs in `rows`.
  func write(
    _ index: Int, to row: Int, time: Float, of module: Module, _ rows: inout [String: [Float]]
  ) {
    guard modality[index] >= 0 else { return }
    let declaration = module.modalities[modality[index]]
    guard let width = declaration.latents, let numbers = latents[declaration.name] else { return }
    let name = Module.ContinuousInput.latents.name(of: declaration.name)
    for column in 0..<width {
      rows[name]?[row * width + column] = numbers[ordinals[index] * width + column]
    }
    rows[Module.ContinuousInput.timesteps.name(of: declaration.name)]?[row] = time
  }

  /// Returns how many tokens come next without cutting a span, `most` at most.
  func chunk(atMost most: Int) throws(Diagnostic) -> Int {
    for count in stride(from: most, through: 1, by: -1)
    where visible[next + count - 1] <= next + count { return count }
    throw .longSpan(visible[next] - next)
  }
}

extension Diagnostic {
  /// A span that does not fit in a chunk.
  fileprivate static func longSpan(_ count: Int) -> Diagnostic {
    Diagnostic(
      "a span of \(count) tokens that see each other is longer than a chunk",
      suggestion: "give --sequence \(count)")
  }
}
