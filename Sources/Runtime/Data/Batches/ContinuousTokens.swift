package import MoTIR

/// The continuous tokens of one modality in a batch, in the order in which they stand there.
///
/// N tokens of C numbers, in spans that have one time each.
package struct ContinuousTokens: Hashable, Sendable {
  /// What they are. [N, C]
  package var latents: [Float]
  /// The noise that the loss puts on them. [N, C]
  package var noise: [Float]?
  /// How much of it, from 0 to 1; by default 0. One a span
  package var timesteps: [Float]?

  /// Creates tokens.
  package init(latents: [Float] = [], noise: [Float]? = nil, timesteps: [Float]? = nil) {
    self.latents = latents
    self.noise = noise
    self.timesteps = timesteps
  }
}

extension Module {
  /// Returns the id by which lists of tokens say that a token is one of the continuous modality number `index`.
  ///
  /// The graph gets 0 in its place: no table has a row for it.
  package static func placeholder(of index: Int) -> Int { -1 - index }

  /// Returns the number of the continuous modality whose placeholder `id` is, or `nil` if it is none.
  package func continuousModality(ofPlaceholder id: Int) -> Int? {
    guard id < 0, id >= -modalities.count else { return nil }
    return modalities[-1 - id].latents == nil ? nil : -1 - id
  }
}

extension BatchBuilder {
  /// The rows of continuous inputs, by the name of the input.
  typealias ContinuousRows = [String: [Float]]

  /// Returns the inputs of continuous tokens: a row a token of the batch, 0 for tokens of other modalities.
  ///
  /// - Throws: `Diagnostics` with every count or number that is wrong.
  func continuousRows(
    _ given: [String: ContinuousTokens], _ modality: [Int], _ documents: [Int]
  ) throws(Diagnostics) -> ContinuousRows {
    var problems: [Diagnostic] = []
    var rows: ContinuousRows = [:]
    for (index, declaration) in module.modalities.enumerated() where declaration.latents != nil {
      let places = Places(
        tokens: modality.indices.filter { modality[$0] == index },
        starts: { !continues($0, documents) || modality[$0 - 1] != index })
      guard let tokens = given[declaration.name] ?? (places.tokens.isEmpty ? .init() : nil) else {
        problems.append(
          .missing(.latents, declaration, "[\(places.tokens.count), \(declaration.latents ?? 0)]"))
        continue
      }
      problems += self.problems(of: tokens, declaration, places)
      if problems.isEmpty { expand(tokens, declaration, places, into: &rows) }
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    return rows
  }

  /// Where the tokens of a modality stand, and which of them begin a span.
  private struct Places {
    let tokens: [Int]
    /// For each token, the number of its span.
    let span: [Int]
    var spans: Int { (span.last ?? -1) + 1 }

    init(tokens: [Int], starts: (Int) -> Bool) {
      self.tokens = tokens
      var last = -1
      span = tokens.map { index in
        if starts(index) { last += 1 }
        return last
      }
    }
  }

  private func problems(
    of tokens: ContinuousTokens, _ modality: ModalityDeclaration, _ places: Places
  ) -> [Diagnostic] {
    let numbers = places.tokens.count * (modality.latents ?? 0)
    func problem(
      _ input: Module.ContinuousInput, _ values: [Float], _ wanted: Int, _ what: String
    ) -> Diagnostic? {
      let name = input.name(of: modality.name)
      guard values.count == wanted else {
        return Diagnostic(
          "\(name) has \(values.count) numbers, but \(what) of modality '\(modality.name)' in the "
            + "batch take \(wanted)")
      }
      guard let index = values.firstIndex(where: { !$0.isFinite }) else { return nil }
      return Diagnostic("\(name): number \(index) is \(values[index]), which is not finite")
    }
    let tokenText = "the \(places.tokens.count) tokens"
    var problems = [problem(.latents, tokens.latents, numbers, tokenText)]
    problems.append(tokens.noise.flatMap { problem(.noise, $0, numbers, tokenText) })
    if let timesteps = tokens.timesteps {
      problems.append(problem(.timesteps, timesteps, places.spans, "the \(places.spans) spans"))
      if let index = timesteps.firstIndex(where: { !(0...1).contains($0) }) {
        problems.append(
          Diagnostic(
            "\(Module.ContinuousInput.timesteps.name(of: modality.name)): \(timesteps[index]) at "
              + "[\(index)] is outside 0...1"))
      }
    } else if tokens.noise != nil {
      problems.append(.missing(.timesteps, modality, "[\(places.spans)]"))
    }
    return problems.compactMap(\.self)
  }

  /// Adds the rows of `tokens`, which are sound; noise that nobody gave is left out.
  private func expand(
    _ tokens: ContinuousTokens, _ modality: ModalityDeclaration, _ places: Places,
    into rows: inout ContinuousRows
  ) {
    let width = modality.latents ?? 0
    func expanded(_ values: [Float]) -> [Float] {
      var result = [Float](repeating: 0, count: module.tokens * width)
      for (number, place) in places.tokens.enumerated() {
        for column in 0..<width { result[place * width + column] = values[number * width + column] }
      }
      return result
    }
    rows[Module.ContinuousInput.latents.name(of: modality.name)] = expanded(tokens.latents)
    if let noise = tokens.noise ?? (places.tokens.isEmpty ? [] : nil) {
      rows[Module.ContinuousInput.noise.name(of: modality.name)] = expanded(noise)
    }
    var times = [Float](repeating: 0, count: module.tokens)
    if let timesteps = tokens.timesteps {
      for (place, span) in zip(places.tokens, places.span) { times[place] = timesteps[span] }
    }
    rows[Module.ContinuousInput.timesteps.name(of: modality.name)] = times
  }

  /// Returns the continuous tokens of the tensors in a file.
  ///
  /// - Throws: `Diagnostics` with every tensor that is not as wide as a token, or of numbers.
  func continuousTokens(in tensors: [Tensor]) throws(Diagnostics) -> [String: ContinuousTokens] {
    var found: [String: ContinuousTokens] = [:]
    var problems: [Diagnostic] = []
    for modality in module.modalities {
      guard let width = modality.latents else { continue }
      for input in Module.ContinuousInput.allCases {
        let name = input.name(of: modality.name)
        guard let tensor = tensors.first(where: { $0.name == name }) else { continue }
        do throws(Diagnostic) {
          let isShaped =
            input == .timesteps
            ? tensor.shape.count == 1 : tensor.shape.count == 2 && tensor.shape[1] == width
          guard isShaped else {
            throw Diagnostic(
              "tensor \(quoted(name)) has shape \(tensor.shape), but the model takes "
                + (input == .timesteps ? "one number a span" : "[tokens, \(width)]"))
          }
          let values = try tensor.floats()
          switch input {
          case .latents: found[modality.name, default: .init()].latents = values
          case .noise: found[modality.name, default: .init()].noise = values
          case .timesteps: found[modality.name, default: .init()].timesteps = values
          }
        } catch {
          problems.append(error)
        }
      }
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    return found
  }
}

extension Diagnostic {
  /// An input of continuous tokens that the batch needs.
  package static func missing(
    _ input: Module.ContinuousInput, _ modality: ModalityDeclaration, _ shape: String
  ) -> Diagnostic {
    Diagnostic(
      "the tensor '\(input.name(of: modality.name))' is missing",
      suggestion: "give it as F32 \(shape)")
  }
}
