import MoTIR

extension Module {
  /// A module of 2 sequences of 6 tokens: text 0..<10, pictures 12..<20 that attend within their spans
  /// (markers 8 and 9), speech 20..<24. Ids 10 and 11 belong to no modality.
  static func sample(parameters: [ParameterDeclaration] = []) -> Module {
    Module(
      name: "sample", batch: 2, sequence: 6,
      modalities: [
        ModalityDeclaration(name: "text", vocabulary: 0..<10),
        ModalityDeclaration(
          name: "image", vocabulary: 12..<20, begin: 8, end: 9, attends: .withinSpan),
        ModalityDeclaration(name: "speech", vocabulary: 20..<24),
      ], parameters: parameters, objectives: [], functions: [])
  }

  /// A module with room for bytes, a palette and 500 speech units.
  static func bytes(batch: Int, sequence: Int, modalities: [String]) -> Module {
    let all = [
      ModalityDeclaration(name: "text", vocabulary: 0..<260),
      ModalityDeclaration(
        name: "image", vocabulary: 260..<324, begin: 256, end: 257, attends: .withinSpan),
      ModalityDeclaration(name: "speech", vocabulary: 324..<824, begin: 258, end: 259),
    ]
    return Module(
      name: "bytes", batch: batch, sequence: sequence,
      modalities: all.filter { modalities.contains($0.name) }, parameters: [], objectives: [],
      functions: [])
  }
}
