// From a model to graphs. T tokens of a batch, D width, V vocabulary.

extension Model {
  /// Tokens of a sequence that generation keeps keys and values of.
  public enum Context: Hashable, Sendable {
    /// There is no generation: neither `prefill` nor `decode`.
    case none
    /// As many as the model says.
    case ofModel
    /// So many.
    case slots(Int)
  }

  /// Returns the model at concrete sizes, with the functions `loss` and `logits`, and `prefill` and `decode` if it is
  /// to generate.
  ///
  /// - Parameters:
  ///   - batch: sequences in a batch; the model's own number by default.
  ///   - sequence: tokens in a sequence, and in a chunk of `prefill`; the model's own number by default.
  ///   - context: the slots of the caches.
  /// - Throws: `Diagnostics` with everything that is wrong with the model.
  public func module(
    batch: Int? = nil, sequence: Int? = nil, context: Context = .none
  ) throws(Diagnostics) -> Module {
    let (batch, sequence) = (batch ?? self.batch, sequence ?? self.sequence)
    let slots = slots(context)
    var errors = problems(batch: batch, sequence: sequence, context: slots)
    // Without modalities or tokens nothing can be built; anything else may have more to tell.
    guard Self.sizesAreSound(batch, sequence), !modalities.isEmpty,
      modalities.count <= Limits.modalities,
      errors.isEmpty || isBuildable
    else { throw Diagnostics(errors) }
    var training = LayerContext(
      model: self, batch: batch, sequence: sequence, continuousTokens: .clean,
      collectsLosses: true)
    let loss = function("loss", in: &training) { try addLosses($0, to: &$1) }
    errors += training.diagnostics + unknownComponents(training.parameters)
    if errors.isEmpty, training.parameters.allSatisfy(\.isFrozen) {
      errors.append(.allFrozen(at: location))
    }
    guard errors.isEmpty else { throw Diagnostics(errors) }
    var functions = [loss, try logits(batch: batch, sequence: sequence)]
    if let slots { functions += try generation(batch: batch, chunk: sequence, slots: slots) }
    return Module(
      name: name, batch: batch, sequence: sequence, context: slots,
      modalities: modalities.map(\.declaration), parameters: training.parameters,
      objectives: objectives.map(\.objective.declaration), functions: functions)
  }

  /// Returns how many slots `context` asks for; `nil` for no generation.
  private func slots(_ context: Context) -> Int? {
    switch context {
    case .none: nil
    case .ofModel: self.context ?? self.sequence
    case .slots(let count): count
    }
  }

  /// Returns `logits`: what may follow each token, and what is said of continuous ones as they are.
  private func logits(batch: Int, sequence: Int) throws(Diagnostics) -> Function {
    var context = LayerContext(model: self, batch: batch, sequence: sequence)
    let logits = function("logits", in: &context) { logits, context in
      context.graph.output(logits.value, as: "logits")
      context.outputPredictions()
    }
    guard context.diagnostics.isEmpty else { throw Diagnostics(context.diagnostics) }
    return logits
  }

  /// Returns `prefill`, which keeps the keys and values of a chunk of tokens a sequence, `decode`, which keeps
  /// those of one token and says what may follow it, and with continuous tokens `denoise`, which is `prefill` and says
  /// what it makes of them.
  private func generation(
    batch: Int, chunk: Int, slots: Int
  ) throws(Diagnostics) -> [Function] {
    var context = LayerContext(model: self, batch: batch, sequence: chunk, slots: slots)
    let prefill = function("prefill", in: &context) { _, _ in }
    guard context.diagnostics.isEmpty else { throw Diagnostics(context.diagnostics) }
    context = LayerContext(
      model: self, batch: batch, sequence: 1, slots: slots, continuousTokens: .absent)
    let decode = function("decode", in: &context) { $1.graph.output($0.value, as: "logits") }
    guard !continuousModalities.isEmpty else { return [prefill, decode] }
    context = LayerContext(model: self, batch: batch, sequence: chunk, slots: slots)
    let denoise = function("denoise", in: &context) { $1.outputPredictions() }
    return [prefill, decode, denoise]
  }

  /// Returns the function `name`: all layers, and what `end` makes of the logits.
  private func function(
    _ name: String, in context: inout LayerContext,
    end: (Rows, inout LayerContext) throws -> Void
  ) -> Function {
    context.attempt { context in
      let tokens = context.rows(of: try context.input("tokens"))
      try end(context.apply(layers, to: tokens), &context)
    }
    return Function(name: name, graph: context.graph)
  }

  /// Adds the mean loss of each objective and their weighted sum.
  private func addLosses(
    _ logits: Rows, to context: inout LayerContext
  ) throws(Diagnostic) {
    guard context.diagnostics.isEmpty else { return }
    var losses: ValueID?
    var total: ValueID?
    var named: [(String, ValueID)] = []
    for placed in objectives {
      context.move(to: placed.location)
      let objective = placed.objective
      let mean: ValueID
      if let denoising = objective.denoising, let index = number(of: objective.modalities.first),
        modalities[index].latents != nil
      {
        mean = try context.denoisingLoss(denoising, index)
      } else {
        if losses == nil { losses = try context.nextTokenLosses(logits) }
        guard let losses else { continue }
        mean = try context.mean(losses, over: objective.modalities.map(\.vocabulary))
      }
      named.append(("loss.\(objective.name)", mean))
      let term = try context.weighted(mean, by: objective.weight)
      total =
        try total.map { total throws(Diagnostic) in
          try context.add(.binary(.add), [total, term])
        } ?? term
    }
    for loss in context.losses {
      if let placed = objectives.first(where: { $0.objective.name == loss.name }) {
        throw .nameOfRouterLoss(loss.name, at: placed.location)
      }
      named.append(("loss.\(loss.name)", loss.sum))
      total =
        try total.map { total throws(Diagnostic) in
          try context.add(.binary(.add), [total, loss.weighted])
        } ?? loss.weighted
    }
    guard let total else { return }
    context.graph.output(total, as: "loss")
    for (name, value) in named { context.graph.output(value, as: name) }
  }
}

extension Model {
  /// Returns the number of `modality`, if it is the model's.
  private func number(of modality: Modality?) -> Int? {
    modalities.firstIndex { $0.name == modality?.name }
  }
}

extension LayerContext {
  /// Makes what is said of continuous tokens outputs of the function.
  fileprivate mutating func outputPredictions() {
    for index in model.continuousModalities {
      guard let prediction = predictions[index] else { continue }
      graph.output(
        prediction.value, as: Module.predictionPrefix + model.modalities[index].name)
    }
  }

  /// Returns the loss of each token's target.
  fileprivate mutating func nextTokenLosses(_ logits: Rows) throws(Diagnostic) -> ValueID {
    try add(.crossEntropy, [logits.value, try input("targets")])
  }

  /// Returns the mean of `losses` over the targets in `ranges`.
  fileprivate mutating func mean(
    _ losses: ValueID, over ranges: [Range<Int>]
  ) throws(Diagnostic) -> ValueID {
    let weights = try add(.tokenWeights(ranges, hasCount: false), [try input("targets")])
    return try add(.sum, [try add(.binary(.multiply), [losses, weights])])
  }

  /// Returns the scalar `value` times `weight`.
  mutating func weighted(
    _ value: ValueID, by weight: Double
  ) throws(Diagnostic) -> ValueID {
    guard weight != 1 else { return value }
    let factor = try add(.constant(weight), [], type: .scalar)
    return try add(.binary(.multiply), [value, factor])
  }
}
