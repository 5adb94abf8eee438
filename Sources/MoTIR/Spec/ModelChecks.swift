// What must hold of a model before a graph is built.

/// The largest sizes that are accepted, so that no product of sizes overflows.
enum Limits {
  /// Modalities of a model.
  static let modalities = IRLimits.modalities
  /// Any dimension of a parameter, and token ids.
  static let width = 1 << 24
  /// Attention heads.
  static let heads = 1 << 16
  /// Repeated layers.
  static let layers = 4096
  /// Tokens of a sequence.
  static let sequence = 1 << 24
  /// Tokens of a batch.
  static let tokens = 1 << 28
}

extension Model {
  /// Returns everything that is wrong with the model apart from its layers' sizes.
  func problems(batch: Int, sequence: Int, context: Int?) -> [Diagnostic] {
    sizeProblems(batch, sequence) + contextProblems(batch, context) + widthProblems()
      + freezingProblems() + modalityProblems()
      + markerProblems() + untyingProblems()
      + layerProblems() + objectiveProblems()
  }

  /// `true` iff a batch of these sizes can be built.
  static func sizesAreSound(_ batch: Int, _ sequence: Int) -> Bool {
    (1...Limits.tokens).contains(batch) && (1...Limits.sequence).contains(sequence)
      && batch * sequence <= Limits.tokens
  }

  /// `true` iff the layers can be tried to find more errors.
  var isBuildable: Bool {
    (1...Limits.width).contains(width) && widthProblems().isEmpty && layerProblems().isEmpty
      && modalities.allSatisfy { modality in
        modality.latents.map((1...Limits.width).contains)
          ?? (modality.vocabulary.upperBound <= Limits.width && !modality.vocabulary.isEmpty)
      } && modalities.contains { $0.latents == nil }
  }

  /// What is wrong with name, width, batch and sequence.
  private func sizeProblems(_ batch: Int, _ sequence: Int) -> [Diagnostic] {
    var errors: [Diagnostic] = []
    if !Self.isIdentifier(name) { errors.append(.badName(name, of: "model", at: location)) }
    if !(1...Limits.width).contains(width) {
      errors.append(.outside("width", width, 1...Limits.width, at: location))
    }
    if !(1...Limits.tokens).contains(batch) {
      errors.append(.outside("batch", batch, 1...Limits.tokens, at: location))
    } else if !(1...Limits.sequence).contains(sequence) {
      errors.append(.outside("sequence", sequence, 1...Limits.sequence, at: location))
    } else if batch * sequence > Limits.tokens {
      errors.append(
        .outside("batch times sequence", batch * sequence, 1...Limits.tokens, at: location))
    }
    return errors
  }

  /// What is wrong with the widths of modalities.
  private func widthProblems() -> [Diagnostic] {
    var errors: [Diagnostic] = []
    for (index, (modality, width)) in widths.enumerated() {
      if !contains(modality) {
        errors.append(
          .unknownModality(
            modality.name, in: "widths", known: modalities.map(\.name), at: location))
      }
      if widths[..<index].contains(where: { $0.modality.name == modality.name }) {
        errors.append(.widthTwice(modality.name, at: location))
      }
      if !(1...Limits.width).contains(width) {
        errors.append(
          .outside("the width of '\(modality.name)'", width, 1...Limits.width, at: location))
      }
    }
    return errors
  }

  /// What is wrong with the slots of caches; the batch is checked elsewhere.
  private func contextProblems(_ batch: Int, _ context: Int?) -> [Diagnostic] {
    guard let context, (1...Limits.tokens).contains(batch) else { return [] }
    let range = 1...min(Limits.sequence, Limits.tokens / batch)
    return range.contains(context) ? [] : [.outside("context", context, range, at: location)]
  }

  /// What is wrong with names and vocabularies of modalities.
  private func modalityProblems() -> [Diagnostic] {
    var errors: [Diagnostic] = []
    if modalities.isEmpty || modalities.count > Limits.modalities {
      errors.append(
        .outside("the number of modalities", modalities.count, 1...Limits.modalities, at: location))
    } else if modalities.allSatisfy({ $0.latents != nil }) {
      errors.append(.noVocabulary(at: location))
    }
    for (index, modality) in modalities.enumerated() {
      let (range, place) = (modality.vocabulary, modality.location)
      if !Self.isIdentifier(modality.name) {
        errors.append(.badName(modality.name, of: "modality", at: place))
      }
      if let latents = modality.latents {
        if !(1...Limits.width).contains(latents) {
          errors.append(
            .outside("latents of '\(modality.name)'", latents, 1...Limits.width, at: place))
        }
      } else if range.isEmpty || range.lowerBound < 0 || range.upperBound > Limits.width {
        errors.append(.badVocabulary(modality.name, range, at: place))
      }
      for other in modalities[..<index] {
        if other.name == modality.name {
          errors.append(.nameTwice(modality.name, of: "modality", at: place))
        }
        if other.vocabulary.overlaps(range) {
          errors.append(.overlap(other.name, other.vocabulary, modality.name, range, at: place))
        }
      }
    }
    return errors
  }

  /// What is wrong with the markers of spans.
  private func markerProblems() -> [Diagnostic] {
    var errors: [Diagnostic] = []
    for modality in modalities {
      for (word, marker) in [("begin", modality.begin), ("end", modality.end)] {
        guard let marker else { continue }
        if !modalities.contains(where: { $0.vocabulary.contains(marker) }) {
          errors.append(.strayMarker(word, marker, of: modality.name, at: modality.location))
        }
      }
      if (modality.begin == nil) != (modality.end == nil) {
        errors.append(.loneMarker(of: modality.name, at: modality.location))
      } else if let begin = modality.begin, begin == modality.end {
        errors.append(.equalMarkers(begin, of: modality.name, at: modality.location))
      }
    }
    return errors
  }

  /// What is wrong with merged modalities, and with what is to be untied.
  private func untyingProblems() -> [Diagnostic] {
    untied.merges.flatMap(\.modalities).filter { !contains($0) }.map {
      .unknownModality($0.name, in: "untied", known: modalities.map(\.name), at: location)
    } + untied.named.filter(\.isShared).map { .neverUntied($0.name, at: location) }
  }

  /// What is wrong with the order of layers.
  private func layerProblems() -> [Diagnostic] {
    var errors: [Diagnostic] = []
    if !(layers.first?.layer is Embedding) {
      errors.append(.noEmbedding(at: layers.first?.location ?? location))
    }
    if !(layers.last?.layer is Head) {
      errors.append(.noHead(at: layers.last?.location ?? location))
    }
    for (index, placed) in layers.enumerated() {
      if index > 0, placed.layer is Embedding {
        errors.append(.misplaced("Embedding", "first", at: placed.location))
      }
      if index < layers.count - 1, placed.layer is Head {
        errors.append(.misplaced("Head", "last", at: placed.location))
      }
      errors += (placed.layer as? any ContainerLayer)?.misplacedLayers ?? []
    }
    return errors
  }

  /// What is wrong with objectives.
  private func objectiveProblems() -> [Diagnostic] {
    var errors: [Diagnostic] = []
    if objectives.isEmpty { errors.append(.noObjective(at: location)) }
    for (index, placed) in objectives.enumerated() {
      let (objective, place) = (placed.objective, placed.location)
      if !objective.name.split(separator: "+", omittingEmptySubsequences: false)
        .allSatisfy({ Self.isIdentifier(String($0)) })
      {
        errors.append(.badName(objective.name, of: "objective", at: place))
      }
      if objectives[..<index].contains(where: { $0.objective.name == objective.name }) {
        errors.append(.nameTwice(objective.name, of: "objective", at: place))
      }
      if !(objective.weight >= 0 && objective.weight.isFinite) {
        errors.append(.badWeight(objective.weight, of: objective.name, at: place))
      }
      if objective.modalities.isEmpty { errors.append(.emptyObjective(at: place)) }
      errors += objective.modalities.filter { !contains($0) }.map {
        .unknownModality($0.name, in: objective.word, known: modalities.map(\.name), at: place)
      }
      errors += kindProblems(of: objective, at: place)
    }
    return errors + denoisingProblems()
  }

  /// What is wrong with `objective` for the tokens of its modalities.
  private func kindProblems(of objective: Objective, at place: Location) -> [Diagnostic] {
    objective.modalities.filter { ($0.latents != nil) != (objective.denoising != nil) }.map {
      objective.denoising == nil
        ? .nextTokenOfContinuous($0.name, at: place) : .denoisedIds($0.name, at: place)
    }
  }

  /// An error for each continuous modality that not exactly one objective denoises.
  private func denoisingProblems() -> [Diagnostic] {
    modalities.filter { $0.latents != nil }.compactMap { modality in
      let count = objectives.count { placed in
        placed.objective.denoising != nil
          && placed.objective.modalities.contains { $0.name == modality.name }
      }
      return count == 1 ? nil : .denoisedTimes(count, modality.name, at: modality.location)
    }
  }

  /// Returns an error for each custom component that is to be untied or frozen but that no layer has.
  func unknownComponents(_ parameters: [ParameterDeclaration]) -> [Diagnostic] {
    let known = ["attention", "feed_forward", "norm"] + parameters.map(\.component)
    func unknown(_ components: [Component], in what: String) -> [Diagnostic] {
      components.filter { !$0.isShared && !known.contains($0.name) }.map {
        .unknownComponent($0.name, in: what, at: location)
      }
    }
    return unknown(untied.named, in: "untied") + unknown(frozenComponents, in: "frozen")
  }

  /// `true` iff `modality` is one of the model's.
  private func contains(_ modality: Modality) -> Bool {
    modalities.contains { $0.name == modality.name }
  }

  /// `true` iff `name` can stand in names of parameters and files.
  private static func isIdentifier(_ name: String) -> Bool {
    guard let first = name.utf8.first, first != UInt8(ascii: "-") else { return false }
    return name.utf8.count <= 64
      && name.unicodeScalars.allSatisfy { scalar in
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
        default: false
        }
      }
  }
}
