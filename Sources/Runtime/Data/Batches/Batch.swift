package import MoTIR

/// The inputs of one step, as flat rows: sequence after sequence, T = B · S.
package struct Batch: Hashable, Sendable {
  /// B
  package let batch: Int
  /// S
  package let sequence: Int
  /// Token ids; 0 for continuous tokens and padding. [T]
  package let tokens: [Int32]
  /// Modality ids; -1 is padding. [T]
  package let modality: [Int32]
  /// The ids to predict; -100 is ignored. [T]
  package let targets: [Int32]
  /// Positions for rotary embeddings. [T]
  package let positions: [Int32]
  /// Document numbers: tokens of one sequence attend each other only inside a document. [T]
  package let documents: [Int32]
  /// Segment numbers: 0 is causal, tokens of one above 0 attend each other both ways. [T]
  package let segments: [Int32]
  /// The inputs of continuous tokens by their names: a row a token, 0 for tokens of other modalities. [T, C], [T]
  package let continuous: [String: [Float]]
  /// The continuous tokens themselves, by the name of their modality; none without tokens.
  package let continuousTokens: [String: ContinuousTokens]
  /// Where each token goes, by its modality.
  package let plan: RoutingPlan
  /// What is odd about the data without being wrong.
  package let warnings: [Diagnostic]

  /// The target that is not learned.
  package static let ignored: Int32 = -100

  /// The rows by the name of the graph's input.
  package var inputs: [(name: String, rows: [Int32])] {
    [
      ("tokens", tokens), ("modality", modality), ("targets", targets), ("positions", positions),
      ("documents", documents), ("segments", segments),
    ]
  }

  /// Returns how many rows there are of those that a loss is a mean over.
  package func count(of rows: CountedRows) -> Int {
    let values = rows.input == "modality" ? modality : targets
    return values.count { id in rows.ranges.contains { $0.contains(Int(id)) } }
  }

  /// The batch as tensors [B, S], and those of continuous tokens, as files hold them.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func tensors() throws -> [Tensor] {
    let rows = try inputs.map {
      try Tensor(name: $0.name, shape: [batch, sequence], integers: $0.rows)
    }
    return try continuousTokens.sorted { $0.key < $1.key }.reduce(rows) { tensors, tokens in
      let name = { (input: Module.ContinuousInput) in input.name(of: tokens.key) }
      let width = (continuous[name(.latents)]?.count ?? 0) / (batch * sequence)
      func numbers(_ input: Module.ContinuousInput, _ values: [Float]) throws -> Tensor {
        try Tensor(
          name: name(input),
          shape: input == .timesteps ? [values.count] : [values.count / width, width],
          floats: values)
      }
      return try tensors + [numbers(.latents, tokens.value.latents)]
        + [tokens.value.noise.map { try numbers(.noise, $0) }].compactMap(\.self)
        + [tokens.value.timesteps.map { try numbers(.timesteps, $0) }].compactMap(\.self)
    }
  }
}
