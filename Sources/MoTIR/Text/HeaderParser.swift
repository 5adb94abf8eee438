// module, modality, parameter, objective: the lines before the functions.

extension Parser {
  /// The parts of the module that were read so far.
  struct Header {
    var modalities: [ModalityDeclaration] = []
    var parameters: [ParameterDeclaration] = []
    var objectives: [ObjectiveDeclaration] = []
    var functions: [Function] = []
    /// The positions of the parameters, by name.
    var parameterIndex: [String: Int] = [:]
    /// Parameters whose declarations have errors: reading them is no error of its own.
    var brokenParameters: Set<String> = []
  }

  /// Reads the whole text and returns its module, or `nil` if it has errors, which are reported.
  mutating func module() -> Module? {
    do throws(Diagnostic) {
      try advance()
      places.module = place(of: token)
      try expect("module")
      let name = try expect(.symbol, "the model's name, such as `@model`").text
      try expect("batch")
      let batch = try integer("the number of sequences", in: 1...IRLimits.tokens)
      try expect("sequence")
      let sequence = try integer("the tokens of a sequence", in: 1...IRLimits.tokens / batch)
      let lengths = 1...IRLimits.tokens / batch
      let context = try take("context") ? try integer("the slots of a cache", in: lengths) : nil
      try expect("{")
      while !isNext("}"), token.kind != .end, !gaveUp { declaration() }
      try expect("}")
      guard token.kind == .end else { throw expected("the end of the text") }
      return Module(
        name: name, batch: batch, sequence: sequence, context: context,
        modalities: header.modalities, parameters: header.parameters,
        objectives: header.objectives, functions: header.functions)
    } catch {
      // What follows an error that was recovered from says nothing new.
      if diagnostics.isEmpty { report(error) }
      return nil
    }
  }

  /// The words that start a declaration: reading goes on there after an error.
  static let declarations = ["modality", "parameter", "objective", "func"]

  /// Reads one declaration; if it has an error, reports that and moves to the next declaration.
  private mutating func declaration() {
    let first = token
    do throws(Diagnostic) {
      if try take("modality") {
        header.modalities.append(try modality())
        places.modalities.append(place(of: first))
      } else if try take("parameter") {
        try parameter()
        places.parameters.append(place(of: first))
      } else if try take("objective") {
        header.objectives.append(try objective())
        places.objectives.append(place(of: first))
      } else if try take("func") {
        try function(at: first)
      } else {
        let words = Self.declarations
        try advance()
        throw error(
          "expected a declaration, and found \(first.shown)", at: first,
          help: suggestion(for: first.text, among: words)
            ?? "a module holds \(words.joined(separator: ", "))")
      }
    } catch {
      report(error)
      skip { token in (Self.declarations + ["}"]).contains { token.isWord($0) } }
    }
  }

  /// Reads what follows `modality`.
  private mutating func modality() throws(Diagnostic) -> ModalityDeclaration {
    let name = try name("the modality's name, a string")
    let latents =
      try take("latents") ? try integer("the numbers of a token", in: 1...IRLimits.tokens) : nil
    let vocabulary = latents == nil ? try range("the vocabulary") : 0..<0
    let ids = 0...IRLimits.tokens
    let begin = try take("begin") ? try integer("the token that opens a span", in: ids) : nil
    let end = try take("end") ? try integer("the token that closes a span", in: ids) : nil
    var attends = ModalityDeclaration.Attending.causal
    for kind in ModalityDeclaration.Attending.allCases where try take("attends_\(kind.rawValue)") {
      attends = kind
    }
    var counts = ModalityDeclaration.Counting.each
    for kind in ModalityDeclaration.Counting.allCases where try take("counts_\(kind.rawValue)") {
      counts = kind
    }
    return ModalityDeclaration(
      name: name, vocabulary: vocabulary, latents: latents, begin: begin, end: end,
      attends: attends, counts: counts)
  }

  /// Reads what follows `parameter`.
  private mutating func parameter() throws(Diagnostic) {
    let symbol = try expect(.symbol, "the parameter's name, such as `@norm.weight`")
    let name = symbol.text
    // Until the declaration proves sound.
    header.brokenParameters.insert(name)
    guard header.parameterIndex[name] == nil else {
      throw error("a second parameter called \(symbol.shown)", at: symbol)
    }
    try expect(":")
    let typeToken = token
    guard case .tensor(.f32, let shape) = try type() else {
      throw error("a parameter is of type f32[…]", at: typeToken)
    }
    let groups = try take("by") ? try groupNames() : nil
    let most = IRLimits.segments / max(1, groups?.count ?? 1)
    let experts = try take("experts") ? try integer("the number of experts", in: 1...most) : nil
    try expect("component")
    let component = try self.name("the component's name, a string")
    try expect("init")
    let initialization = try initialization()
    let parameter = ParameterDeclaration(
      name: name, shape: shape, groups: groups, experts: experts, component: component,
      initialization: initialization, decays: try take("decay"), isFrozen: try take("frozen"))
    if let violation = parameter.type.violation {
      throw error("all groups together are \(violation)", at: typeToken)
    }
    header.parameterIndex[name] = header.parameters.count
    header.parameters.append(parameter)
    header.brokenParameters.remove(name)
  }

  /// Reads `"text", "image" + "speech"`: groups of modalities.
  private mutating func groupNames() throws(Diagnostic) -> [[String]] {
    var groups: [[String]] = []
    repeat {
      groups.append(try modalityNames(separator: "+"))
      guard groups.count <= IRLimits.segments else {
        throw error("more than \(IRLimits.segments) groups")
      }
    } while try take(",")
    return groups
  }

  private mutating func modalityNames(separator: String) throws(Diagnostic) -> [String] {
    var names: [String] = []
    repeat {
      names.append(try name("a modality's name, a string"))
      guard names.count <= IRLimits.segments else {
        throw error("more than \(IRLimits.segments) modalities")
      }
    } while try take(separator)
    return names
  }

  private mutating func initialization() throws(Diagnostic) -> Initialization {
    if try take("ones") { return .ones }
    if try take("zeros") { return .zeros }
    guard try take("normal") else {
      throw expected(
        "`normal(…)`, `ones` or `zeros`",
        help: suggestion(for: token.text, among: ["normal", "ones", "zeros"]))
    }
    try expect("(")
    let deviation = try number("the standard deviation")
    try expect(")")
    return .normal(deviation)
  }

  /// Reads what follows `objective`.
  private mutating func objective() throws(Diagnostic) -> ObjectiveDeclaration {
    let name = try name("the objective's name, a string")
    try expect("on")
    let modalities = try modalityNames(separator: ",")
    try expect("weight")
    return ObjectiveDeclaration(
      name: name, modalities: modalities, weight: try number("the objective's weight"),
      denoising: try take("denoise") ? try denoising() : nil)
  }

  /// Reads what follows `denoise`.
  private mutating func denoising() throws(Diagnostic) -> Denoising {
    let prediction: Denoising.Prediction = try oneOf("what is predicted")
    try expect("schedule")
    return Denoising(prediction, try oneOf("the schedule"))
  }

  /// Reads a word that is one of `Choice`.
  private mutating func oneOf<Choice: RawRepresentable & CaseIterable>(
    _ what: String
  ) throws(Diagnostic) -> Choice where Choice.RawValue == String {
    for choice in Choice.allCases where try take(choice.rawValue) { return choice }
    let words = Choice.allCases.map(\.rawValue)
    throw expected(
      "\(what): \(words.joined(separator: ", "))", help: suggestion(for: token.text, among: words))
  }
}
