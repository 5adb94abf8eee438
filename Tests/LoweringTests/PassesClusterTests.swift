import Lowering
import MoTIR
import TestSupport
import Testing

/// The rules of clusters, one by one.
@Suite struct PassesClusterTests {
  /// Nodes in the order of their values: 0 plan, 1 tokens, 2 table, 3 embed, …
  private static let text = """
    module @example batch 1 sequence 8 {
      modality "text" 0..<10
      modality "image" 10..<20
      parameter @table.weight : f32[20, 4] component "embedding" init zeros
      parameter @q.weight : f32[4, 4] by "text", "image" component "attention" init zeros
      func @f {
        %plan = input "plan" : plan[8, 2]
        %tokens = input "tokens" by %plan : i32[R=8, 1]
        %x = embed %tokens, @table.weight : f32[R=8, 4]
        %q = linear %x, @q.weight by %plan groups [0, 1] : f32[R=8, 4]
        %a = silu %q : f32[R=8, 4]
        %k = linear %a, @q.weight by %plan groups [0, 1] : f32[R=8, 4]
        %sum = column_sum %a by %plan groups [0, 1] : f32[2, 4]
        %c = channel_add %a, %sum by %plan groups [0, 1] : f32[R=8, 4]
        %s = scatter %c by %plan : f32[T=8, 4]
        %t = tanh %s : f32[T=8, 4]
        %g = gather %t by %plan : f32[R=8, 4]
        %all = sum %g : f32[]
        return %all as "loss", %k as "k"
      }
    }
    """

  /// Returns the graph and its node of each kind.
  private func graph() throws -> (Graph, (String) throws -> NodeID) {
    let module = try Module.parse(Self.text, file: "example.motir")
    let graph = try #require(module.function("f")).graph
    return (
      graph,
      { name in try #require(graph.nodeIDs.first { graph[$0].op.mnemonic == name }) }
    )
  }

  @Test func membersGoTogetherByTheRules() throws {
    let (graph, node) = try graph()
    let legality = ClusterLegality(graph)
    let linears = graph.nodeIDs.filter { graph[$0].op.mnemonic == "linear" }
    let legal = [
      ["embed", "silu"], ["silu", "column_sum"], ["channel_add", "scatter"], ["gather"],
    ]
    for names in legal { #expect(legality.objection(to: try names.map(node)) == nil, "\(names)") }
    #expect(legality.objection(to: linears) == nil)
    let illegal = [
      ["sum"]: "sum does not work row by row",
      ["parameter"]: "parameter does not work row by row",
      ["column_sum", "channel_add"]: "channel_add reads a column_sum of the cluster",
      ["silu", "tanh"]: "f32[T=8, 1] and f32[R=8, 1] are not the same rows",
      ["scatter", "tanh"]: "f32[T=8, 1] and f32[R=8, 1] are not the same rows",
      ["tanh", "gather"]: "f32[R=8, 1] and f32[T=8, 1] are not the same rows",
    ]
    for (names, reason) in illegal {
      #expect(legality.objection(to: try names.map(node)) == reason, "\(names)")
    }
  }

  @Test func valuesDoNotLeaveAndComeBack() throws {
    var (graph, node) = try graph()
    var units = try Condensation(graph)
    // From silu to channel_add there is a way through the sum.
    #expect(
      units.merge([units.unit(of: try node("silu")), units.unit(of: try node("channel_add"))])
        == nil)
    #expect(
      units.merge([units.unit(of: try node("silu")), units.unit(of: try node("column_sum"))]) != nil
    )
    for name in ["silu", "channel_add"] { graph.setCluster(7, of: try node(name)) }
    #expect(throws: Diagnostic.self) { try Condensation(graph) }
    #expect(ClusterLegality(graph).violations().count == 1)
  }

  @Test(arguments: 0..<20)
  func unitsAreAlwaysInOrder(_ seed: Int) throws {
    var random = try TangledGraph(seed: UInt64(seed))
    let (module, loss) = try random.build()
    let graph = try differentiate(Function(name: "loss", graph: loss), in: module).graph
    var units = try Condensation(graph)
    var numbers = TestRandom(seed: UInt64(seed))
    var merged = 0
    for _ in 0..<200 {
      let picked = (0..<(2 + numbers.below(2))).map { _ in
        units.unit(of: NodeID(numbers.below(graph.nodes.count)))
      }
      if units.merge(picked) != nil { merged += 1 }
    }
    #expect(merged > 10)
    var place: [Int: Int] = [:]
    for (position, unit) in units.order.enumerated() { place[unit] = position }
    #expect(units.order.flatMap { units.members(of: $0) }.sorted() == graph.nodeIDs)
    for id in graph.nodeIDs {
      for operand in graph[id].operands {
        let source = graph.values[operand.index].definition
        let (from, to) = (place[units.unit(of: source)], place[units.unit(of: id)])
        #expect(try #require(from) <= #require(to))
      }
    }
  }
}
