package import MoTIR

/// Makes batches for a module: checks what is given and derives the rest.
///
/// B sequences of S tokens, T = B · S, K modalities.
package struct BatchBuilder: Sendable {
  let module: Module
  /// Ids of the embedding and of the logits: all below the last modality's end.
  let vocabulary: Int

  /// Creates a builder of batches of `module`'s sizes.
  package init(module: Module) {
    self.module = module
    vocabulary = module.modalities.map(\.vocabulary.upperBound).max() ?? 0
  }

  /// The rows that a caller has; `nil` for those to be derived.
  package struct Rows: Sendable {
    /// Token ids, and placeholders of continuous tokens (`Module.placeholder`). [T]
    package var tokens: [Int]
    /// Modality ids; by default those whose vocabulary holds the token. [T]
    package var modality: [Int]?
    /// Targets; by default the next token, and -100 where a document or sequence ends. [T]
    package var targets: [Int]?
    /// Positions; by default they count from 0 in each document, as its modalities say. [T]
    package var positions: [Int]?
    /// Document numbers; by default all 0. [T]
    package var documents: [Int]?
    /// Segment numbers; by default each span whose tokens attend each other has one. [T]
    package var segments: [Int]?
    /// Membership in modalities, in place of `modality`; the lowest wins. [K, T]
    package var mask: [Int]?
    /// Continuous tokens, by the name of their modality.
    package var continuous: [String: ContinuousTokens] = [:]

    /// Creates rows of these tokens, with nothing else given.
    package init(tokens: [Int]) { self.tokens = tokens }
  }

  /// Returns the batch of the tensors in a file: `tokens` and, where they are there, `modality` or
  /// `modality_mask`, `targets`, `positions`, `documents`, `segments`, and `latents.NAME`, `noise.NAME` and
  /// `timesteps.NAME` of continuous tokens.
  ///
  /// - Throws: `Diagnostics` with everything that is wrong.
  package func build(_ tensors: [Tensor]) throws(Diagnostics) -> Batch {
    try build(try rows(of: tensors))
  }

  /// Returns the batch of `rows`.
  ///
  /// - Throws: `Diagnostics` with everything that is wrong.
  package func build(_ rows: Rows) throws(Diagnostics) -> Batch {
    let problems = problems(of: rows)
    guard problems.isEmpty else { throw Diagnostics(problems) }
    let (modality, warnings) = modality(of: rows)
    let strays = strays(tokens: rows.tokens, modality: modality, given: rows)
    guard strays.isEmpty else { throw Diagnostics(strays) }
    let documents = rows.documents ?? [Int](repeating: 0, count: module.tokens)
    let narrow = modality.map(Int32.init)
    let continuous = try continuousRows(rows.continuous, modality, documents)
    return Batch(
      batch: module.batch, sequence: module.sequence,
      tokens: zip(rows.tokens, modality).map { isContinuous($1) ? 0 : Int32($0) },
      modality: narrow,
      targets: (rows.targets ?? targets(rows.tokens, modality, documents)).map(Int32.init),
      positions: (rows.positions ?? positions(rows.tokens, modality, documents)).map(Int32.init),
      documents: documents.map(Int32.init),
      segments: (rows.segments ?? segments(rows.tokens, modality, documents)).map(Int32.init),
      continuous: continuous,
      continuousTokens: rows.continuous.filter { !$0.value.latents.isEmpty },
      plan: RoutingPlan(modality: narrow, segments: module.modalities.count), warnings: warnings)
  }

  /// Returns the modality of each token, -1 for none.
  private func modality(of rows: Rows) -> ([Int], [Diagnostic]) {
    if let modality = rows.modality { return (modality, []) }
    guard let mask = rows.mask else { return (rows.tokens.map(owner), []) }
    var modality = [Int](repeating: -1, count: module.tokens)
    var overlaps: [Int] = []
    for index in modality.indices {
      let members = module.modalities.indices.filter { mask[$0 * module.tokens + index] != 0 }
      modality[index] = members.first ?? -1
      if members.count > 1 { overlaps.append(index) }
    }
    guard let first = overlaps.first else { return (modality, []) }
    let warning = Diagnostic(
      "modality_mask puts \(overlaps.count) tokens in several modalities, the first at "
        + "\(place(first)); the lowest modality is taken", severity: .warning)
    return (modality, [warning])
  }

  /// Returns the modality whose vocabulary holds `token`, or whose placeholder it is, or -1.
  func owner(of token: Int) -> Int {
    module.modalities.firstIndex { $0.vocabulary.contains(token) }
      ?? module.continuousModality(ofPlaceholder: token) ?? -1
  }

  /// `true` iff `modality` is a number of one whose tokens are continuous.
  private func isContinuous(_ modality: Int) -> Bool {
    modality >= 0 && module.modalities[modality].latents != nil
  }

  /// Returns the errors of tokens that no vocabulary holds, where modalities are derived from it.
  private func strays(tokens: [Int], modality: [Int], given rows: Rows) -> [Diagnostic] {
    if let index = tokens.indices.first(where: {
      tokens[$0] < 0 && modality[$0] != owner(of: tokens[$0])
    }) {
      return [
        Diagnostic(
          "tokens: \(tokens[index]) at \(place(index)) stands for a token of modality "
            + "\(owner(of: tokens[index])), but its modality is \(modality[index])")
      ]
    }
    guard rows.modality == nil, rows.mask == nil,
      let index = modality.firstIndex(of: -1)
    else { return [] }
    let ranges = module.modalities.map { "\($0.name) \($0.vocabulary)" }.joined(separator: ", ")
    return [
      Diagnostic(
        "tokens: \(tokens[index]) at \(place(index)) is in no modality's vocabulary (\(ranges))",
        suggestion: "give `modality`, with -1 for padding")
    ]
  }

  /// Returns the next token of the same sequence and document, -100 where there is none.
  private func targets(_ tokens: [Int], _ modality: [Int], _ documents: [Int]) -> [Int] {
    tokens.indices.map { index in
      let next = index + 1
      guard !next.isMultiple(of: module.sequence), documents[next] == documents[index],
        modality[index] >= 0, modality[next] >= 0,
        // What stands behind continuous tokens is known: the marker of their end.
        !isContinuous(modality[index]), !isContinuous(modality[next])
      else { return Int(Batch.ignored) }
      return tokens[next]
    }
  }

  /// Returns positions that count from 0 in each sequence and document: each token, or as its modality says.
  private func positions(_ tokens: [Int], _ modality: [Int], _ documents: [Int]) -> [Int] {
    var next = 0
    var ofModality = [Int](repeating: 0, count: module.modalities.count)
    return tokens.indices.map { index in
      if !continues(index, documents) {
        next = 0
        ofModality = ofModality.map { _ in 0 }
      }
      let owner = modality[index]
      switch owner < 0 ? .each : module.modalities[owner].counts {
      case .perModality:
        ofModality[owner] += 1
        return ofModality[owner] - 1
      case .perSpan where continuesSpan(index, tokens, modality, documents): break
      case .each, .perSpan: next += 1
      }
      return next - 1
    }
  }

  /// Returns a number above 0 for each span whose tokens attend each other, with what its modality adds (`Segment`),
  /// and 0 for all other tokens.
  private func segments(_ tokens: [Int], _ modality: [Int], _ documents: [Int]) -> [Int] {
    var last = 0
    var isPrefix = false
    return tokens.indices.map { index in
      if index.isMultiple(of: module.sequence) { last = 0 }
      let attends = modality[index] < 0 ? .causal : module.modalities[modality[index]].attends
      let isFirst = !continues(index, documents)
      isPrefix = attends == .prefix && (isFirst || isPrefix)
      guard attends != .causal, attends != .prefix || isPrefix else { return 0 }
      let isInside =
        attends == .prefix ? !isFirst : continuesSpan(index, tokens, modality, documents)
      if !isInside { last += 1 }
      return last + Int(attends.flags)
    }
  }

  /// `true` iff token `index` is in the same run of its modality as the one before. A begin marker starts a new run
  /// even if the modality holds it.
  private func continuesSpan(
    _ index: Int, _ tokens: [Int], _ modality: [Int], _ documents: [Int]
  ) -> Bool {
    continues(index, documents) && modality[index - 1] == modality[index]
      && tokens[index] != module.modalities[modality[index]].begin
  }

  /// `true` iff the token before `index` is in the same sequence and document.
  func continues(_ index: Int, _ documents: [Int]) -> Bool {
    !index.isMultiple(of: module.sequence) && documents[index - 1] == documents[index]
  }

  /// Returns the place of row `index` as text: `[sequence, position]`.
  func place(_ index: Int) -> String { "[\(index / module.sequence), \(index % module.sequence)]" }
}
