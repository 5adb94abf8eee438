package import MoTIR

/// Small models that are built op by op.
package enum TestModels {
  /// The sizes of a model.
  package struct Sizes: Sendable {
    /// Sequences in a batch.
    package var batch = 2
    /// Tokens in a sequence.
    package var sequence = 9
    /// K
    package var modalities = 2
    /// Blocks.
    package var layers = 2
    /// D
    package var width = 16
    /// Query heads.
    package var heads = 4
    /// Key and value heads.
    package var keyValueHeads = 2
    /// The inner width of the feed-forward.
    package var hidden = 24
    /// Token ids of each modality.
    package var vocabulary = 11

    /// Creates the sizes of a model that differentiates in a moment.
    package init() {}
  }

  /// Returns a pre-norm mixture of transformers: everything but embedding and head untied, QK-norm, rotary
  /// positions, causal attention, SwiGLU, one next-token objective a modality.
  package static func mixture(
    _ sizes: Sizes = Sizes(), routing: GraphBuilder.Routing = .naive
  ) throws -> Module {
    let names = (0..<sizes.modalities).map { "m\($0)" }
    let untied = Groups(Array(0..<sizes.modalities))
    var b = GraphBuilder(
      tokens: sizes.batch * sizes.sequence, modalities: names, routing: routing)
    let vocabulary = sizes.modalities * sizes.vocabulary
    let table = try b.parameter("embedding.weight", [vocabulary, sizes.width])
    var x = try b.add(.embed, [b.input("tokens"), table])
    for layer in 0..<sizes.layers { x = try block(layer, x, sizes, untied, &b) }
    x = try b.norm(x, "norm", untied)
    let logits = try b.linear(x, "head", width: vocabulary, nil)
    let targets = try b.input("targets")
    let losses = try b.add(.crossEntropy, [logits, targets])
    var parts: [ValueID] = []
    for index in names.indices {
      let first = index * sizes.vocabulary
      parts.append(try b.mean(losses, targets, over: [first..<(first + sizes.vocabulary)]))
    }
    var total = parts[0]
    for part in parts.dropFirst() { total = try b.binary(.add, total, part) }
    b.output(total, as: "loss")
    for (name, part) in zip(names, parts) { b.output(part, as: "loss.\(name)") }
    return module("mixture", sizes, names, b)
  }

  private static func block(
    _ layer: Int, _ input: ValueID, _ sizes: Sizes, _ untied: Groups, _ b: inout GraphBuilder
  ) throws(TypingError) -> ValueID {
    let attention = Op.Attention(
      batch: sizes.batch, heads: sizes.heads, keyValueHeads: sizes.keyValueHeads)
    var parts = GraphBuilder.AttentionLayer(attention, headWidth: sizes.width / sizes.heads)
    parts.queryKeyNorm = .rms
    parts.rotary = .interleaved
    let first = try b.norm(input, "layers.\(layer).attention_norm", untied)
    let attended = try b.attention(first, "layers.\(layer).attention", parts, untied)
    let x = try b.binary(.add, input, attended)
    let second = try b.norm(x, "layers.\(layer).feed_forward_norm", untied)
    let update = try b.feedForward(
      second, "layers.\(layer).feed_forward", hidden: sizes.hidden, untied)
    return try b.binary(.add, x, update)
  }

  private static func module(
    _ name: String, _ sizes: Sizes, _ names: [String], _ b: GraphBuilder
  ) -> Module {
    Module(
      name: name, batch: sizes.batch, sequence: sizes.sequence,
      modalities: names.enumerated().map { index, name in
        let first = index * sizes.vocabulary
        return ModalityDeclaration(name: name, vocabulary: first..<(first + sizes.vocabulary))
      },
      parameters: b.parameters,
      objectives: names.map { ObjectiveDeclaration(name: $0, modalities: [$0], weight: 1) },
      functions: [Function(name: "loss", graph: b.graph)])
  }
}
