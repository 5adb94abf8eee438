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

  /// The functions that a model must be compiled with.
  package static let functions = ["prefill", "decode"]

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

  /// Appends tokens to each sequence; those of a sequence that gets none stay as they are.
  ///
  /// - Parameter tokens: for each sequence, ids of the vocabulary; not all empty.
  /// - Returns: what may follow the last token of each sequence: logits, row after row, of no meaning for a sequence
  ///   that got none. [B, V]
  /// - Throws: `Diagnostic` if a sequence outgrows its slots, or a span whose tokens see each other is longer than a
  ///   chunk or the end of what is given.
  package func extend(_ tokens: [[Int]]) throws(Diagnostic) -> [Float] {
    precondition(tokens.count == lengths.count, "tokens for \(tokens.count) sequences")
    for (length, new) in zip(lengths, tokens) where length + new.count > capacity {
      throw Diagnostic(
        "\(length + new.count) tokens are more than the context of \(capacity)",
        suggestion: "give --context a larger number, or a shorter prompt")
    }
    var parts = try tokens.map { new throws(Diagnostic) in try Part(new, in: module) }
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

  /// Runs entry `name` on the first tokens of each part, `counts` of them.
  private func run(_ name: String, _ parts: inout [Part], _ counts: [Int], sequence: Int) {
    let total = parts.count * sequence
    // Rows of no token are in no segment, have no slot and see nothing.
    var tokens = [Int32](repeating: 0, count: total)
    var (modality, slots) = (tokens.map { _ in Int32(-1) }, tokens.map { _ in Int32(-1) })
    var (positions, visible) = (tokens, tokens)
    for (number, count) in counts.enumerated() {
      let part = parts[number]
      for offset in 0..<count {
        let (row, slot, index) = (
          number * sequence + offset, lengths[number] + offset, part.next + offset
        )
        tokens[row] = Int32(part.tokens[index])
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
    model.setInputs(rows, plan: plan, of: name)
    model.run(name)
  }
}

/// The tokens that a sequence gets in one go, and how far it is.
private struct Part {
  /// The tokens.
  let tokens: [Int]
  /// Their modalities, -1 for none.
  let modality: [Int]
  /// How many of the tokens each one sees: up to itself, or to the end of the span that it is in.
  let visible: [Int]
  /// The tokens that the sequence has.
  var next = 0

  /// Tokens that it has not.
  var count: Int { tokens.count - next }

  /// - Throws: `Diagnostic` if the last token is in a span whose tokens see each other.
  init(_ tokens: [Int], in module: Module) throws(Diagnostic) {
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
  }

  /// Returns how many tokens come next without cutting a span, `most` at most.
  func chunk(atMost most: Int) throws(Diagnostic) -> Int {
    for count in stride(from: most, through: 1, by: -1)
    where visible[next + count - 1] <= next + count { return count }
    throw Diagnostic(
      "a span of \(visible[next] - next) tokens that see each other is longer than a chunk",
      suggestion: "give --sequence \(visible[next] - next)")
  }
}
