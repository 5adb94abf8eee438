package import MoTIR

// What must hold of a module before its documents may grow: IR text is anyone's.

extension Module {
  /// The inputs that a decoder fills in, besides caches.
  private static let decoderInputs = [
    "tokens", "modality", "positions", "slots", "visible", "plan",
  ]

  /// Checks that `prefill` and `decode`, if they are there, take what a decoder gives, and that `decode` says what may
  /// follow.
  ///
  /// - Requires: the module is sound.
  /// - Throws: `Diagnostic` if it cannot generate.
  package func requireGeneration() throws(Diagnostic) {
    guard context != nil else { throw Diagnostic("'\(name)' has no context to generate in") }
    if let modality = modalities.first(where: { !$0.canGrow }) {
      throw Diagnostic(
        "documents with modality '\(modality.name)' cannot be generated: its tokens do not see all that stands "
          + "before them, or share positions")
    }
    for function in Decoder.functions(of: self).compactMap(function) {
      try requireInputs(of: function)
    }
    if let decode = function("decode") { try requireLogits(of: decode.graph) }
    try requireMarkers()
  }

  /// Checks that sequences of `count` tokens fit in the context.
  ///
  /// - Throws: `Diagnostic` with the way out.
  package func requireRoom(for count: Int) throws(Diagnostic) {
    guard let context, count > context else { return }
    throw Diagnostic(
      "\(count) tokens are more than the context of \(context)",
      suggestion: "give --context a larger number, or a shorter prompt")
  }

  private func requireInputs(of function: Function) throws(Diagnostic) {
    for node in function.graph.nodes {
      guard case .input(let name) = node.op, !name.hasPrefix(Module.cachePrefix),
        !Self.decoderInputs.contains(name), continuousInputs[name] == nil
      else { continue }
      throw Diagnostic(
        "@\(function.name) takes the input '\(name)', which documents that grow do not have",
        at: node.location)
    }
  }

  private func requireLogits(of graph: Graph) throws(Diagnostic) {
    let width = BatchBuilder(module: self).vocabulary
    let wanted = ValueType.rows(.f32, .sequence, count: batch, width: width)
    let found = graph.output("logits").map(graph.type)
    guard found != wanted else { return }
    throw Diagnostic(
      "@decode must return \"logits\" as \(wanted), and "
        + (found.map { "returns \($0)" } ?? "returns none"))
  }

  private func requireMarkers() throws(Diagnostic) {
    let vocabulary = BatchBuilder(module: self).vocabulary
    for modality in modalities {
      for marker in [modality.begin, modality.end] {
        guard let marker, marker >= vocabulary else { continue }
        throw Diagnostic(
          "modality '\(modality.name)' has the marker \(marker), and token ids are below "
            + "\(vocabulary)")
      }
    }
  }
}
