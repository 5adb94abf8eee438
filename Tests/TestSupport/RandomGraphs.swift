package import MoTIR

/// Random small models: plausible compositions of nearly all ops, at sizes that divide nothing.
package enum RandomGraphs {
  /// Returns a module whose function `loss` ends in the scalar outputs `loss` and `loss.NAME`; the same
  /// for the same seed.
  ///
  /// - Parameter hasExperts: whether a block of experts comes behind the others.
  /// - Throws: `TypingError` never, unless this file is wrong.
  package static func make(seed: UInt64, hasExperts: Bool = false) throws -> Module {
    var maker = RandomGraphMaker(seed: seed)
    return try maker.module("random.\(seed)", hasExperts: hasExperts)
  }
}

/// The state of one random graph.
struct RandomGraphMaker {
  var random: TestRandom
  var b: GraphBuilder
  let batch: Int
  let sequence: Int
  let width: Int
  let vocabulary: [Range<Int>]
  private var names = 0

  /// Draws the sizes.
  init(seed: UInt64) {
    var random = TestRandom(seed: seed)
    batch = random.integer(in: 1...3)
    sequence = random.integer(in: 1...13)
    width = random.pick([4, 5, 6, 7, 9, 10, 12, 15, 16, 20, 24])
    var first = 0
    var vocabulary: [Range<Int>] = []
    for _ in 0..<random.integer(in: 1...4) {
      let next = first + random.integer(in: 1...9)
      vocabulary.append(first..<next)
      first = next
    }
    self.vocabulary = vocabulary
    b = GraphBuilder(
      tokens: batch * sequence, modalities: vocabulary.indices.map { "m\($0)" },
      routing: random.pick([.naive, .naive, .naive, .sharedPlan, .planInput]))
    self.random = random
  }

  /// Builds the model.
  mutating func module(_ name: String, hasExperts: Bool) throws(TypingError) -> Module {
    let table = try b.parameter(
      "embedding.weight", [vocabularySize, width], component: "embedding",
      initialization: .normal(0.7))
    var x = try b.add(.embed, [b.input("tokens"), table])
    for _ in 0..<random.integer(in: 1...4) { x = try block(x) }
    if hasExperts { x = try experts(x) }
    if random.chance(0.7) {
      x = try b.norm(x, next("norm"), groups(), kind: random.pick([.rms, .layer]))
    }
    let objectives = try losses(x)
    return Module(
      name: name, batch: batch, sequence: sequence,
      modalities: zip(b.modalities, vocabulary).map {
        ModalityDeclaration(name: $0.0, vocabulary: $0.1)
      },
      parameters: b.parameters, objectives: objectives,
      functions: [Function(name: "loss", graph: b.graph)])
  }

  /// V
  var vocabularySize: Int { vocabulary.last?.upperBound ?? 1 }

  /// Returns a new name for a parameter.
  mutating func next(_ name: String) -> String {
    names += 1
    return "layers.\(names - 1).\(name)"
  }

  /// Returns a map from segments to groups, or `nil` for a tied op.
  mutating func groups() -> Groups? {
    let count = vocabulary.count
    if random.chance(0.3) { return nil }
    if random.chance(0.6) { return Groups(Array(0..<count)) }
    // Each segment takes a group that is there already, or the next one, or, but for the first, none.
    var map = [0]
    for _ in 1..<count {
      map.append(random.chance(0.2) ? Groups.none : random.integer(in: 0...((map.max() ?? 0) + 1)))
    }
    return Groups(map)
  }

  /// Returns a divisor of `number`.
  mutating func divisor(of number: Int) -> Int {
    random.pick((1...number).filter { number.isMultiple(of: $0) })
  }

  /// Returns the losses' declarations, after adding them to the graph.
  private mutating func losses(_ x: ValueID) throws(TypingError) -> [ObjectiveDeclaration] {
    let (losses, targets) = try tokenLosses(x)
    var objectives: [ObjectiveDeclaration] = []
    var total: ValueID?
    for (name, range) in zip(b.modalities, vocabulary) where total == nil || random.chance(0.5) {
      let weight = random.pick([1, 0.5, 5])
      // One objective may span all modalities.
      let all = random.chance(0.2)
      let mean = try b.mean(losses, targets, over: all ? vocabulary : [range])
      b.output(mean, as: "loss.\(name)")
      let part = weight == 1 ? mean : try b.binary(.multiply, mean, weight)
      if let sum = total { total = try b.binary(.add, sum, part) } else { total = part }
      objectives.append(
        ObjectiveDeclaration(
          name: name, modalities: all ? b.modalities : [name], weight: weight))
    }
    if let total { b.output(total, as: "loss") }
    return objectives
  }

  /// Returns the loss of each row, and the targets in the same order.
  private mutating func tokenLosses(
    _ x: ValueID
  ) throws(TypingError) -> (losses: ValueID, targets: ValueID) {
    var (x, targets) = (x, try b.input("targets"))
    if random.chance(0.3) {
      let plan = try b.nextPlan()
      x = try b.add(.gather, [x, plan])
      targets = try b.input("targets", by: plan)
    }
    let head = try b.parameter("head.weight", [vocabularySize, width], component: "head")
    if random.chance(0.4) { return (try b.add(.headLoss, [x, head, targets]), targets) }
    let logits = try b.add(.linear(nil), [x, head])
    return (try b.add(.crossEntropy, [logits, targets]), targets)
  }
}
