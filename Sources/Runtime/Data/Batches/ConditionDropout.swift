package import MoTIR

// What a span of continuous tokens is without what stands before it: the same in training as in generation.

extension Module {
  /// Returns the places in `tokens`, a document or the beginning of one, from each of which a span of continuous tokens
  /// stands without what is before it: those of its first marker, or of its first token where it has no marker.
  ///
  /// What stands from there on is a document of its own, that sees nothing before and whose positions count from 0:
  /// training begins one there (`ConditionDropout`), and generation with guidance a second sequence.
  package func unconditionedStarts(of tokens: [Int]) -> [Int] {
    tokens.indices.filter { index in
      let token = tokens[index]
      if modalities.contains(where: { $0.latents != nil && $0.begin == token }) { return true }
      guard let modality = continuousModality(ofPlaceholder: token) else { return false }
      return index == 0
        || (tokens[index - 1] != token && tokens[index - 1] != modalities[modality].begin)
    }
  }
}

/// Which spans of continuous tokens are learned without what stands before them.
///
/// Classifier-free guidance asks what a model would say without the text, which it has to have learned: Ho and Salimans
/// (arXiv 2207.12598), section 3.2.
package struct ConditionDropout: Hashable, Sendable {
  /// How likely that is for each span.
  let probability: Double

  /// All spans see what stands before them.
  package static let none = ConditionDropout(probability: 0)

  private init(probability: Double) { self.probability = probability }

  /// Creates the dropout of a training of `module`.
  ///
  /// - Parameter probability: from 0 to 1.
  /// - Throws: `Diagnostic` if it is above 0 and the module has no continuous tokens, or attention that sees other
  ///   documents.
  package init(_ probability: Double, of module: Module) throws(Diagnostic) {
    self.init(probability: probability)
    guard probability > 0 else { return }
    guard module.modalities.contains(where: { $0.latents != nil }) else {
      throw Diagnostic(
        "condition_dropout is \(probability), and '\(module.name)' has no modality of continuous "
          + "tokens, which could be learned without what stands before them",
        suggestion: "leave it at 0, or declare a modality with latents:")
    }
    for node in module.function("loss")?.graph.nodes ?? [] {
      guard case .attention(let attention) = node.op, !attention.hasDocuments else { continue }
      throw Diagnostic(
        "condition_dropout is \(probability), and this attention sees what stands before, of which "
          + "a picture without it would be another document",
        at: node.location, suggestion: "write Attention(documents: true)")
    }
  }

  /// Returns those of `starts` at which a document is cut.
  ///
  /// - Parameters:
  ///   - starts: places in the tokens from `first` on of document number `document`.
  ///   - epoch: the epoch: a document has other cuts in each.
  func cuts(
    _ starts: [Int], seed: UInt64, epoch: Int, document: Int, from first: Int
  ) -> [Int] {
    let random = CounterRandom(seed: seed, name: "condition, epoch \(epoch) document \(document)")
    return starts.filter { random.uniform(first + $0) <= probability }
  }
}
