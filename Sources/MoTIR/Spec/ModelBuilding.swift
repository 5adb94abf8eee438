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
      model: self, batch: batch, sequence: sequence, collectsLosses: true)
    let loss = function("loss", in: &training) { try addLosses($0, to: &$1) }
    errors += training.diagnostics + unknownComponents(training.parameters)
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

  /// Returns `logits`: what may follow each token.
  private func logits(batch: Int, sequence: Int) throws(Diagnostics) -> Function {
    var context = LayerContext(model: self, batch: batch, sequence: sequence)
    let logits = function("logits", in: &context) { $1.graph.output($0.value, as: "logits") }
    guard context.diagnostics.isEmpty else { throw Diagnostics(context.diagnostics) }
    return logits
  }

  /// Returns `prefill`, which keeps the keys and values of a chunk of tokens a sequence, and `decode`, which keeps
  /// those of one token and says what may follow it.
  private func generation(
    batch: Int, chunk: Int, slots: Int
  ) throws(Diagnostics) -> [Function] {
    var context = LayerContext(model: self, batch: batch, sequence: chunk, slots: slots)
    let prefill = function("prefill", in: &context) { _, _ in }
    guard context.diagnostics.isEmpty else { throw Diagnostics(context.diagnostics) }
    context = LayerContext(model: self, batch: batch, sequence: 1, slots: slots)
    let decode = function("decode", in: &context) { $1.graph.output($0.value, as: "logits") }
    return [prefill, decode]
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
    let targets = try context.input("targets")
    let losses = try context.add(.crossEntropy, [logits.value, targets])
    var total: ValueID?
    var named: [(String, ValueID)] = []
    for placed in objectives {
      context.move(to: placed.location)
      let objective = placed.objective
      let ranges = objective.modalities.map(\.vocabulary)
      let weights = try context.add(.tokenWeights(ranges, hasCount: false), [targets])
      let mean = try context.add(
        .sum, [try context.add(.binary(.multiply), [losses, weights])])
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

extension LayerContext {
  /// Returns the scalar `value` times `weight`.
  mutating func weighted(
    _ value: ValueID, by weight: Double
  ) throws(Diagnostic) -> ValueID {
    guard weight != 1 else { return value }
    let factor = try add(.constant(weight), [], type: .scalar)
    return try add(.binary(.multiply), [value, factor])
  }
}

extension NextToken {
  /// What the module's header says of it.
  fileprivate var declaration: ObjectiveDeclaration {
    ObjectiveDeclaration(name: name, modalities: modalities.map(\.name), weight: weight)
  }
}
