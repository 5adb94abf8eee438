package import MoTIR

/// The inputs of one step, as flat rows: sequence after sequence, T = B · S.
package struct Batch: Hashable, Sendable {
  /// B
  package let batch: Int
  /// S
  package let sequence: Int
  /// Token ids. [T]
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

  /// The batch as tensors [B, S], as files hold it.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func tensors() throws -> [Tensor] {
    try inputs.map { try Tensor(name: $0.name, shape: [batch, sequence], integers: $0.rows) }
  }
}
