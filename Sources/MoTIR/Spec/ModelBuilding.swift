// From a model to graphs. T tokens of a batch, D width, V vocabulary.

extension Model {
  /// Returns the model at concrete sizes, with the functions `loss` and `logits`.
  ///
  /// - Parameters:
  ///   - batch: sequences in a batch; the model's own number by default.
  ///   - sequence: tokens in a sequence; the model's own number by default.
  /// - Throws: `Diagnostics` with everything that is wrong with the model.
  public func module(batch: Int? = nil, sequence: Int? = nil) throws(Diagnostics) -> Module {
    let (batch, sequence) = (batch ?? self.batch, sequence ?? self.sequence)
    var errors = problems(batch: batch, sequence: sequence)
    // Without modalities or tokens nothing can be built; anything else may have more to tell.
    guard Self.sizesAreSound(batch, sequence), !modalities.isEmpty,
      modalities.count <= Limits.modalities,
      errors.isEmpty || isBuildable
    else { throw Diagnostics(errors) }
    var context = LayerContext(model: self, batch: batch, sequence: sequence)
    let loss = function("loss", in: &context) { try addLosses($0, to: &$1) }
    errors += context.diagnostics + unknownComponents(context.parameters)
    guard errors.isEmpty else { throw Diagnostics(errors) }
    let parameters = context.parameters
    context = LayerContext(model: self, batch: batch, sequence: sequence)
    let logits = function("logits", in: &context) { $1.graph.output($0.value, as: "logits") }
    guard context.diagnostics.isEmpty else { throw Diagnostics(context.diagnostics) }
    return Module(
      name: name, batch: batch, sequence: sequence, modalities: modalities.map(\.declaration),
      parameters: parameters, objectives: objectives.map(\.objective.declaration),
      functions: [loss, logits])
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
      let weights = try context.add(.tokenWeights(ranges), [targets])
      let mean = try context.add(
        .sum, [try context.add(.binary(.multiply), [losses, weights])])
      named.append(("loss.\(objective.name)", mean))
      let term = try context.weighted(mean, by: objective.weight)
      total =
        try total.map { total throws(Diagnostic) in
          try context.add(.binary(.add), [total, term])
        } ?? term
    }
    guard let total else { return }
    context.graph.output(total, as: "loss")
    for (name, value) in named { context.graph.output(value, as: name) }
  }
}

extension LayerContext {
  /// Returns the scalar `value` times `weight`.
  fileprivate mutating func weighted(
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
