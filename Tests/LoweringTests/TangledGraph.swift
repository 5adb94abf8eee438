// Random losses that are no model: every op reads any of the last rows, so that values fork and meet
// where fusion has to look twice. `RandomGraphs` has what models look like.
// T tokens, D row width, K modalities.

import MoTIR
import TestSupport

/// A generator of random graphs in the naive form: every routed op with a routing of its own.
struct TangledGraph {
  private var numbers: TestRandom
  private var graph = Graph()
  private var parameters: [ParameterDeclaration] = []
  private let modalities: [ModalityDeclaration]
  private let batch = 2
  private let sequence = 4
  private let width = 4
  /// The rows in sequence order that later ops may read, all `width` wide.
  private var rows: [ValueID] = []
  private var inputs: [String: ValueID] = [:]

  /// Prepares the graph of `seed`.
  init(seed: UInt64) throws {
    numbers = TestRandom(seed: seed &+ 77)
    modalities = (0..<(1 + numbers.below(3))).map {
      ModalityDeclaration(name: "m\($0)", vocabulary: $0 * 3..<($0 + 1) * 3)
    }
    for name in ["tokens", "modality", "targets", "positions"] {
      let type = ValueType.rows(.i32, .sequence, count: batch * sequence, width: 1)
      inputs[name] = try graph.add(.input(name), [], type: type)
    }
  }

  /// Returns a module and the graph of its loss.
  mutating func build() throws -> (Module, Graph) {
    let vocabulary = 3 * modalities.count
    let table = try parameter([vocabulary, width], nil)
    rows = [try graph.add(.embed, [input("tokens"), table])]
    for _ in 0..<(6 + numbers.below(12)) { rows.append(try step()) }
    let last = try rows.suffix(3).dropFirst().reduce(rows[rows.count - 3]) {
      try graph.add(.binary(.add), [$0, $1])
    }
    let head = try parameter([vocabulary, width], nil)
    let logits = try graph.add(.linear(nil), [last, head])
    let losses = try graph.add(.crossEntropy, [logits, input("targets")])
    let weights = try graph.add(
      .tokenWeights([0..<vocabulary], hasCount: false), [input("targets")])
    let loss = try graph.add(.sum, [graph.add(.binary(.multiply), [losses, weights])])
    graph.output(loss, as: "loss")
    if numbers.below(4) == 0 { graph.output(last, as: "rows") }
    let module = Module(
      name: "random", batch: batch, sequence: sequence, modalities: modalities,
      parameters: parameters, objectives: [], functions: [Function(name: "loss", graph: graph)])
    return (module, graph)
  }

  /// Appends a random op with what it needs, and returns its rows.
  private mutating func step() throws -> ValueID {
    let (x, y) = (pick(), pick())
    switch numbers.below(10) {
    case 0, 1, 2: return try routed([x], weight: [width, width]) { .linear($0) }
    case 3:
      let norm = Norm(numbers.below(2) == 0 ? .rms : .layer, heads: 1 + numbers.below(2))
      return try routed([x], weight: [width / norm.heads]) { .norm(norm, $0) }
    case 4: return try routed([x], weight: [width]) { .channelMultiply($0) }
    case 5: return try routed([x], weight: [width]) { .channelAdd($0) }
    case 6: return try graph.add(.rotary(Rotary(heads: 2)), [x, input("positions")])
    case 7:
      return try graph.add(.attention(.init(batch: batch, heads: 2, keyValueHeads: 2)), [x, y, x])
    case 8: return try graph.add(.unary(numbers.below(2) == 0 ? .silu : .tanh), [x])
    default:
      return try graph.add(.binary(numbers.below(2) == 0 ? .add : .multiply), [x, y])
    }
  }

  /// Appends a routed or tied op with its weight.
  private mutating func routed(
    _ operands: [ValueID], weight: [Int], _ op: (Groups?) -> Op
  ) throws -> ValueID {
    guard numbers.below(4) > 0 else {
      return try graph.add(op(nil), operands + [parameter(weight, nil)])
    }
    let merged = modalities.count > 1 && numbers.below(3) == 0
    let groups = Groups(modalities.indices.map { merged && $0 > 0 ? 1 : $0 })
    var plan = try graph.add(.route(segments: modalities.count), [input("modality")])
    for segment in modalities.indices { plan = try graph.add(.sync(segment: segment), [plan]) }
    let grouped = try operands.map { try graph.add(.gather, [$0, plan]) }
    let result = try graph.add(op(groups), grouped + [parameter(weight, groups), plan])
    return try graph.add(.scatter, [result, plan])
  }

  private mutating func pick() -> ValueID {
    let near = min(rows.count, 4)
    return rows[rows.count - 1 - numbers.below(near)]
  }

  private func input(_ name: String) throws -> ValueID {
    guard let value = inputs[name] else { throw Diagnostic("no input \(name)") }
    return value
  }

  private mutating func parameter(_ shape: [Int], _ groups: Groups?) throws -> ValueID {
    let names = groups.map { groups in
      (0..<groups.count).map { group in
        modalities.indices.filter { groups.ofSegment[$0] == group }.map { modalities[$0].name }
      }
    }
    let declaration = ParameterDeclaration(
      name: "p\(parameters.count).weight", shape: shape, groups: names, component: "custom",
      initialization: .normal(1), decays: false)
    parameters.append(declaration)
    return try graph.add(.parameter(declaration.name), [], type: declaration.type)
  }
}
