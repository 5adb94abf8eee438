import MoTIR
import TestSupport

/// One op with random operands: its results, weighted at random and summed, are the loss.
///
/// 14 tokens in 2 sequences over 4 segments: the second is empty, the third holds one token, and two
/// tokens are in none. Segments 1 and 3 share a group.
struct GradientFixture {
  /// What is checked.
  struct Case: Sendable, CustomStringConvertible {
    let description: String
    let build: @Sendable (inout GradientFixture) throws(TypingError) -> [ValueID]

    init(
      _ description: String,
      _ build: @escaping @Sendable (inout GradientFixture) throws(TypingError) -> [ValueID]
    ) {
      self.description = description
      self.build = build
    }
  }

  static let tokens = 14
  static let groups = Groups([0, 1, 0, 2])
  /// Blocks that see nothing else, that nothing else sees, and both.
  private static let isolated = 2 + Segment.isolated
  private static let hidden = 3 + Segment.hidden
  private static let alone = 4 + Segment.flags
  static let integers: [String: [Int32]] = [
    "index": (0..<14).map { Int32($0) },
    "modality": [0, 0, 3, -1, 0, 2, 3, 3, 0, 3, 9, 0, 0, 3],
    "tokens": [4, 0, 4, 2, 2, 0, 1, 4, 4, 0, 0, 2, 1, 4],
    "targets": [0, 3, -100, 4, 2, 2, 1, 0, -1, 4, 3, 3, 1, 0],
    "positions": [0, 1, 2, 3, 4, 5, 6, 0, 0, 1, 2, 9, 100, 7],
    "documents": [0, 0, 0, 1, 1, 1, 2, 5, 5, 5, 5, 5, 5, 5],
    "segments": [0, 1, 1, 1, 0, isolated, isolated, hidden, hidden, hidden, 0, 0, alone, alone],
  ]

  var b = GraphBuilder(
    tokens: tokens, modalities: ["m0", "m1", "m2", "m3"], routing: .sharedPlan)
  private var count = 0

  /// Returns the module of `test` with its inputs and random parameters.
  static func make(_ test: Case) throws -> (Module, RandomInputs) {
    var fixture = GradientFixture()
    let results = try test.build(&fixture)
    try fixture.finish(results)
    let module = Module(
      name: "fixture", batch: 2, sequence: 7, modalities: [], parameters: fixture.b.parameters,
      objectives: [], functions: [Function(name: "loss", graph: fixture.b.graph)])
    var random = TestRandom(seed: 7)
    var parameters: [String: [Double]] = [:]
    for declaration in module.parameters {
      parameters[declaration.name] = random.normals(declaration.type.elementCount)
    }
    return (
      module,
      RandomInputs(
        inputs: integers.mapValues { ReferenceValue(tokens: $0) }, parameters: parameters)
    )
  }

  private mutating func next(_ name: String) -> String {
    count += 1
    return "\(name)\(count - 1)"
  }

  /// Returns random rows in sequence order; they are a parameter, so that they are differentiated.
  mutating func rows(_ width: Int) throws(TypingError) -> ValueID {
    let table = try b.parameter(next("rows"), [Self.tokens, width])
    return try b.add(.embed, [b.input("index"), table])
  }

  /// Returns random rows: in grouped order if `groups` is given.
  mutating func rows(_ width: Int, _ groups: Groups?) throws(TypingError) -> ValueID {
    guard groups != nil else { return try rows(width) }
    return try b.add(.gather, [rows(width), b.nextPlan()])
  }

  /// Returns a random weight.
  mutating func weight(_ shape: [Int], _ groups: Groups? = nil) throws(TypingError) -> ValueID {
    try b.parameter(next("weight"), shape, groups)
  }

  /// Returns the results of `op` on rows and weights, by plan if the op is routed.
  mutating func apply(_ op: Op, _ operands: [ValueID]) throws(TypingError) -> [ValueID] {
    let plan = op.groups == nil ? [] : [try b.nextPlan()]
    return try b.append(op, operands + plan)
  }

  /// Returns the plan of random scores of `experts` experts a group.
  mutating func expertPlan(_ rule: ExpertRouting.Rule, experts: Int) throws(TypingError) -> ValueID
  {
    let routing = ExpertRouting(experts: experts, rule: rule)
    return try b.add(
      .routeExperts(routing, Self.groups), [rows(experts, Self.groups), b.nextPlan()])
  }

  /// Returns x² + 1/2, which is positive.
  mutating func positive(_ x: ValueID) throws(TypingError) -> ValueID {
    try b.binary(.add, b.binary(.multiply, x, x), 0.5)
  }

  /// Makes the weighted sum of `results` the loss.
  private mutating func finish(_ results: [ValueID]) throws(TypingError) {
    var loss: ValueID?
    for result in results {
      let factors: ValueID
      switch b.type(of: result) {
      case .tensor(_, let shape): factors = try weight(shape)
      case .rows(_, .sequence, _, let width): factors = try rows(width)
      case .rows(_, .grouped, _, let width): factors = try rows(width, Self.groups)
      case .rows(_, .dispatched, _, _), .plan: continue
      }
      let sum = try b.add(.sum, [b.binary(.multiply, result, factors)])
      loss = if let old = loss { try b.binary(.add, old, sum) } else { sum }
    }
    if let loss { b.output(loss, as: "loss") }
  }
}
