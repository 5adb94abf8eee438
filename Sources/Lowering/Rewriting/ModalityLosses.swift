package import MoTIR

extension Module {
  /// What the name of a modality's mean loss begins with.
  package static let modalityLossPrefix = "modality."

  /// Returns the function `loss` with an output more for each modality: the mean loss over its targets, or over its
  /// continuous tokens, `modality.NAME`.
  ///
  /// - Throws: `Diagnostics` if there is no loss, or none of targets.
  package func lossByModality() throws -> Function {
    guard let loss = function("loss"),
      let node = loss.graph.nodes.first(where: { $0.op == .crossEntropy || $0.op == .headLoss }),
      let targets = node.operands.last
    else { throw Diagnostics([Diagnostic("'\(name)' has no @loss of targets")]) }
    var graph = loss.graph
    for modality in modalities {
      if let denoised = loss.graph.output("loss.\(denoisingObjective(of: modality)?.name ?? "")") {
        graph.output(denoised, as: Self.modalityLossPrefix + modality.name)
        continue
      }
      let weights = try graph.add(
        .tokenWeights([modality.vocabulary], hasCount: false), [targets], at: node.location)
      let terms = try graph.add(
        .binary(.multiply), [node.results[0], weights], at: node.location)
      let mean = try graph.add(.sum, [terms], at: node.location)
      graph.output(mean, as: Self.modalityLossPrefix + modality.name)
    }
    return Function(name: loss.name, graph: graph)
  }

  /// Returns the rows over which `lossByModality` has a mean for `modality`.
  package func lossRows(of modality: ModalityDeclaration) -> CountedRows {
    denoisingObjective(of: modality).map(countedRows)
      ?? CountedRows("targets", in: [modality.vocabulary])
  }
}
