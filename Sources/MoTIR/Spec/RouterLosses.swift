/// A loss that layers add to what the objectives say: one for all layers.
struct LayerLoss: Sendable {
  /// The name, as in the output `loss.NAME`.
  let name: String
  /// The sum over the layers.
  var sum: ValueID
  /// The sum over the layers of each one's weight times its loss.
  var weighted: ValueID
}

extension LayerContext {
  /// Adds the sum of the elements of `terms`, times `weight`, to the loss; without its weight to the output
  /// `loss.NAME`.
  mutating func addLoss(
    _ name: String, of terms: ValueID, weight: Double
  ) throws(Diagnostic) {
    guard weight > 0 else { return }
    let sum = try add(.sum, [terms])
    let weighted = try weighted(sum, by: weight)
    guard let index = losses.firstIndex(where: { $0.name == name }) else {
      losses.append(LayerLoss(name: name, sum: sum, weighted: weighted))
      return
    }
    losses[index].sum = try add(.binary(.add), [losses[index].sum, sum])
    losses[index].weighted = try add(.binary(.add), [losses[index].weighted, weighted])
  }

  /// Returns the plan of the tokens' modalities, of which a host knows the sizes.
  mutating func modalityPlan() throws(Diagnostic) -> ValueID {
    var plan = try add(.route(segments: model.modalities.count), [try input("modality")])
    for segment in model.modalities.indices { plan = try add(.sync(segment: segment), [plan]) }
    return plan
  }

  /// Returns the parameter `name` of a layer of experts, with a tensor for each of so many if it is theirs.
  ///
  /// - Throws: `Diagnostic` where it is frozen for some modalities only: one plan serves all of it.
  mutating func expertParameter(
    _ name: String, shape: [Int], initialization: Initialization = .normal(0.02),
    experts: Int? = nil
  ) throws(Diagnostic) -> Parameter.Piece {
    let parameter = try parameter(
      name, shape: shape, initialization: initialization, component: .feedForward,
      experts: experts)
    guard parameter.pieces.count == 1 else { throw .partlyFrozenExperts(at: location) }
    return parameter.pieces[0]
  }

  /// Returns x Wᵀ for rows `x` that are grouped by `plan`.
  mutating func linear(
    _ x: Rows, _ weight: Parameter.Piece, by plan: ValueID
  ) throws(Diagnostic) -> Rows {
    let operands = [x.value, try value(of: weight)] + (weight.groups == nil ? [] : [plan])
    return try addRows(.linear(weight.groups), operands)
  }

  /// Returns x Wᵀ for the rows of experts, with one matrix an expert and group.
  mutating func expertLinear(
    _ x: Rows, to width: Int, name: String, initialization: Initialization, experts: Int,
    by plan: ValueID
  ) throws(Diagnostic) -> Rows {
    let weight = try expertParameter(
      name, shape: [width, x.width], initialization: initialization, experts: experts)
    let segments = (weight.groups?.count ?? 1) * experts
    let groups = Groups(Array(0..<segments))
    return try addRows(.linear(groups), [x.value, try value(of: weight), plan])
  }
}
