// The invariants of a module, beyond those of each graph (GraphVerifier.swift):
// 1. batch, sequence and context are at least 1, and batch times the longer of the two is at most 2^31 − 1.
// 2. There are at most 8 modalities, with names of their own; a vocabulary is not empty, starts at 0
//    or above, and shares no token with another one; a continuous token has at least one number; markers are token ids.
// 3. Parameters have names of their own and legal types. The groups of an untied parameter hold no modality twice and
//    nothing else; it is of no use to modalities in none. The deviation of a normal start is finite and not negative.
// 4. Objectives have names of their own, name existing modalities, each once, and have a finite weight. Those that
//    denoise name one modality, which is continuous, the others none that is.
// 5. Functions have names of their own.
// 6. A parameter node names a parameter of the header and has its type.
// 7. An input is one of `Module.inputs`, i32[T=tokens, 1] (or by plan i32[R=tokens, 1]), or `plan`, or a cache
//    `cache.…`, f32[batch, context, width], of the same width in all functions, or a number of targets `count.…`,
//    i32[], or `latents.NAME`, `noise.NAME`, f32[T=tokens, latents], or `timesteps.NAME`, f32[T=tokens, 1], of a
//    continuous modality (all three also by plan).
// 8. All values with rows have one row a token of the batch, in `@decode` one a sequence, or as many as a plan of
//    experts. A plan has all tokens, and if it is not of experts a segment for each modality.
// 9. A routed op that reads a parameter maps segments to groups as the parameter declares. Where that has experts,
//    so does the plan, which sorts by the same groups and as many experts; the map is 0, 1, ….
// 10. An attention's batch is the module's batch.
// 11. The parameters have at most 2^50 elements together, and so have the values of a function.

extension Module {
  /// The inputs with one number a token.
  package static let inputs = [
    "tokens", "modality", "targets", "positions", "documents", "segments", "slots", "visible",
  ]
  /// The inputs of the tokens of a continuous modality; its name follows.
  package enum ContinuousInput: String, Hashable, Sendable, CaseIterable {
    /// What they are.
    case latents
    /// The noise that is put on them.
    case noise
    /// How much of it, from 0 to 1; one number a token.
    case timesteps

    /// Returns the name of this input of `modality`.
    package func name(of modality: String) -> String { "\(rawValue).\(modality)" }
  }

  /// The numbers that a token has in each input of continuous tokens, by its name.
  package var continuousInputs: [String: Int] {
    var widths: [String: Int] = [:]
    for modality in modalities {
      guard let latents = modality.latents else { continue }
      for input in ContinuousInput.allCases {
        widths[input.name(of: modality.name)] = input == .timesteps ? 1 : latents
      }
    }
    return widths
  }

  /// What the names of outputs on continuous tokens begin with; the modality's name follows.
  package static let predictionPrefix = "prediction."
  /// What the names of caches begin with.
  package static let cachePrefix = "cache."
  /// What the names of numbers of targets begin with.
  package static let countPrefix = "count."

  /// Returns what is wrong with the module; nothing if it is sound.
  package func verify() -> [Diagnostic] { verify(places: nil) }

  /// Returns what is wrong with the module, at its places in the text.
  func verify(places: SourcePlaces?) -> [Diagnostic] {
    var verifier = ModuleVerifier(self, places)
    verifier.run()
    return verifier.diagnostics
  }
}

/// Checks the invariants of one module.
struct ModuleVerifier {
  var diagnostics: [Diagnostic] = []

  let module: Module
  private let places: SourcePlaces?
  var groupMaps: [String: [Int]] = [:]
  var types: [String: ValueType] = [:]
  var caches: [String: ValueType] = [:]
  /// The rows of the plans of experts in the function that is checked.
  var expertRows: Set<Int> = []

  init(_ module: Module, _ places: SourcePlaces?) {
    self.module = module
    self.places = places
  }

  mutating func report(_ message: String, at place: Location?, help: String? = nil) {
    guard diagnostics.count < IRLimits.errors else { return }
    diagnostics.append(Diagnostic(message, at: place, suggestion: help))
  }

  private mutating func checkName(_ name: String, _ what: String, at place: Location?) {
    if let violation = nameViolation(name) { report("\(what): \(violation)", at: place) }
  }

  /// Checks all invariants; the header's first, since the functions' rest on them.
  mutating func run() {
    checkSizes()
    checkModalities()
    guard diagnostics.isEmpty else { return }
    checkParameters()
    checkTotal(of: module.parameters.map(\.type), "the parameters", at: places?.module)
    checkObjectives()
    guard diagnostics.isEmpty else { return }
    var names: Set<String> = []
    for (index, function) in module.functions.enumerated() {
      let place = places?.functions[index].function
      checkName(function.name, "a function", at: place)
      if !names.insert(function.name).inserted {
        report("a second function called `@\(function.name)`", at: place)
      }
      check(function, places?.functions[index])
      let types = function.graph.nodes.flatMap { $0.results.map(function.graph.type(of:)) }
      checkTotal(of: types, "the values of `@\(function.name)`", at: place)
    }
  }

  // MARK: Header

  private mutating func checkSizes() {
    checkName(module.name, "the module", at: places?.module)
    for length in [module.sequence, module.context ?? 1] {
      let (tokens, overflow) = module.batch.multipliedReportingOverflow(by: length)
      guard module.batch >= 1, length >= 1, !overflow, tokens <= IRLimits.tokens else {
        return report(
          "a batch of \(module.batch) sequences of \(length) tokens, and 1 to "
            + "\(IRLimits.tokens) tokens are allowed", at: places?.module)
      }
    }
  }

  private mutating func checkModalities() {
    let modalities = module.modalities
    guard modalities.count <= IRLimits.modalities else {
      return report(
        "\(modalities.count) modalities, and at most \(IRLimits.modalities) are allowed",
        at: places?.modalities[IRLimits.modalities])
    }
    for (index, modality) in modalities.enumerated() {
      let place = places?.modalities[index]
      let ids = modality.vocabulary
      checkName(modality.name, "a modality", at: place)
      if let latents = modality.latents {
        if !(1...IRLimits.tokens).contains(latents) {
          report("a token of modality \(quoted(modality.name)) has \(latents) numbers", at: place)
        }
      } else if ids.isEmpty || ids.lowerBound < 0 || ids.upperBound > IRLimits.tokens {
        report(
          "modality \(quoted(modality.name)) has the vocabulary \(rangeText(ids)), which "
            + (ids.isEmpty ? "holds no token" : "is not within 0..<\(IRLimits.tokens)"), at: place,
          help: "give it a range of token ids such as 0..<258")
      }
      for marker in [modality.begin, modality.end] {
        if let marker, !(0..<IRLimits.tokens).contains(marker) {
          report("modality \(quoted(modality.name)) has the marker \(marker)", at: place)
        }
      }
      for other in modalities[..<index] { check(modality, against: other, at: place) }
    }
  }

  private mutating func check(
    _ modality: ModalityDeclaration, against other: ModalityDeclaration, at place: Location?
  ) {
    let (ids, others) = (modality.vocabulary, other.vocabulary)
    if modality.name == other.name {
      report("a second modality called \(quoted(modality.name))", at: place)
    } else if ids.overlaps(others) {
      let both = ids.clamped(to: others)
      report(
        "the vocabularies of \(quoted(other.name)) (\(rangeText(others))) and "
          + "\(quoted(modality.name)) (\(rangeText(ids))) share the tokens \(rangeText(both)); "
          + "a token belongs to one modality", at: place,
        help: ids.lowerBound >= others.lowerBound
          ? "start the vocabulary of \(quoted(modality.name)) at \(others.upperBound)"
          : "end the vocabulary of \(quoted(modality.name)) at \(others.lowerBound)")
    }
  }

  private mutating func checkParameters() {
    for (index, parameter) in module.parameters.enumerated() {
      let place = places?.parameters[index]
      checkName(parameter.name, "a parameter", at: place)
      checkName(parameter.component, "the component of `@\(parameter.name)`", at: place)
      if let violation = parameter.type.violation {
        report("parameter `@\(parameter.name)` is \(violation)", at: place)
      }
      if types.updateValue(parameter.type, forKey: parameter.name) != nil {
        report("a second parameter called `@\(parameter.name)`", at: place)
      }
      if case .normal(let deviation) = parameter.initialization,
        !(deviation.isFinite && deviation >= 0)
      {
        report("`@\(parameter.name)` starts with the deviation \(deviation)", at: place)
      }
      if let groups = parameter.groups { check(groups, of: parameter, at: place) }
      checkExperts(of: parameter, at: place)
    }
  }

  /// Checks that memory for values of these types can be added up.
  private mutating func checkTotal(of types: [ValueType], _ what: String, at place: Location?) {
    var total = 0
    for type in types where type.violation == nil {
      total += type.elementCount
      guard total <= IRLimits.allElements else {
        return report(
          "\(what) have more than \(IRLimits.allElements) elements together", at: place)
      }
    }
  }

  private mutating func check(
    _ groups: [[String]], of parameter: ParameterDeclaration, at place: Location?
  ) {
    let named = groups.flatMap { $0 }
    for name in named where !module.modalities.contains(where: { $0.name == name }) {
      report(
        "`@\(parameter.name)` has a group of modality \(quoted(name)), which is not declared",
        at: place, help: suggestion(for: name, among: module.modalities.map(\.name)))
    }
    let map = module.modalities.map { modality in
      groups.firstIndex { $0.contains(modality.name) } ?? Groups.none
    }
    guard named.count == Set(named).count, !groups.isEmpty, groups.allSatisfy({ !$0.isEmpty })
    else {
      return report(
        "the groups of `@\(parameter.name)` hold a modality twice, or none", at: place)
    }
    groupMaps[parameter.name] = map
  }

  private mutating func checkExperts(of parameter: ParameterDeclaration, at place: Location?) {
    guard let experts = parameter.experts else { return }
    if experts < 1 || experts > IRLimits.segments || parameter.tensorCount > IRLimits.segments {
      report("`@\(parameter.name)` has \(experts) experts", at: place)
    }
    if !parameter.name.split(separator: ".").contains(ParameterDeclaration.expertPart) {
      report(
        "`@\(parameter.name)` has experts, and no part of its name is `expert`", at: place,
        help: "the number of an expert follows that part")
    }
  }

  private mutating func checkObjectives() {
    var names: Set<String> = []
    for (index, objective) in module.objectives.enumerated() {
      let place = places?.objectives[index]
      checkName(objective.name, "an objective", at: place)
      if !names.insert(objective.name).inserted {
        report("a second objective called \(quoted(objective.name))", at: place)
      }
      if !objective.weight.isFinite {
        report(
          "objective \(quoted(objective.name)) has the weight \(objective.weight)", at: place)
      }
      if objective.modalities.isEmpty
        || Set(objective.modalities).count != objective.modalities.count
      {
        report("objective \(quoted(objective.name)) wants modalities, each once", at: place)
      }
      if let problem = kindViolation(of: objective) { report(problem, at: place) }
      for name in objective.modalities
      where !module.modalities.contains(where: { $0.name == name }) {
        report(
          "objective \(quoted(objective.name)) is on modality \(quoted(name)), which is not declared",
          at: place, help: suggestion(for: name, among: module.modalities.map(\.name)))
      }
    }
  }

  /// Returns what is wrong with what `objective` wants of the tokens of its modalities, or `nil`.
  private func kindViolation(of objective: ObjectiveDeclaration) -> String? {
    let members = module.modalities.filter { objective.modalities.contains($0.name) }
    let name = quoted(objective.name)
    if objective.denoising == nil {
      return members.first { $0.latents != nil }.map {
        "objective \(name) is next tokens, and those of modality \(quoted($0.name)) are "
          + "continuous"
      }
    }
    if objective.modalities.count > 1 { return "objective \(name) denoises several modalities" }
    return members.first { $0.latents == nil }.map {
      "objective \(name) denoises modality \(quoted($0.name)), whose tokens are ids"
    }
  }
}
