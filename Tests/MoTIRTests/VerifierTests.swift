import MoTIR
import Testing

/// The verifier on modules that were built in memory.
@Suite struct VerifierTests {
  /// Returns a module around `graph` with these parts.
  private func module(
    _ graph: Graph = Graph(), batch: Int = 1, modalities: [ModalityDeclaration] = [],
    parameters: [ParameterDeclaration] = [], objectives: [ObjectiveDeclaration] = []
  ) -> Module {
    Module(
      name: "m", batch: batch, sequence: 2, modalities: modalities, parameters: parameters,
      objectives: objectives, functions: [Function(name: "f", graph: graph)])
  }

  private func parameter(
    _ name: String, _ shape: [Int], _ initialization: Initialization = .ones
  ) -> ParameterDeclaration {
    ParameterDeclaration(
      name: name, shape: shape, groups: nil, component: "c", initialization: initialization,
      decays: false)
  }

  /// Returns a chain of elementwise nodes in these clusters.
  private func chain(_ clusters: [Int?]) throws -> Graph {
    var graph = Graph()
    var value = try graph.add(.constant(1), [], type: .scalar)
    for cluster in clusters {
      value = try graph.add(.unary(.exponential), [value], cluster: cluster)
    }
    graph.output(value, as: "out")
    return graph
  }

  // MARK: Graphs

  @Test func soundGraphsPass() throws {
    #expect(try chain([nil, 0, 0, nil, 1, 1]).verify() == [])
    #expect(Graph().verify() == [])
  }

  @Test func clustersThatAreReenteredFail() throws {
    let direct = try chain([0, nil, 0]).verify()
    #expect(direct.count == 1)
    #expect(direct.first?.message.contains("cluster #0 reads, through nodes outside") == true)
    #expect(try chain([7, 3, 3, 7]).verify().count == 1)
    #expect(try chain([nil, 1, 2, 1, 2, nil]).verify().count == 1)
  }

  @Test func clustersThatAreReenteredThroughOthersFail() throws {
    // 0 → 1, 1 → 2 and 2 → 0 by three separate edges: each cluster alone is convex.
    var graph = Graph()
    let one = try graph.add(.constant(1), [], type: .scalar)
    let heads = try (0..<3).map { try graph.add(.unary(.tanh), [one], cluster: $0) }
    for cluster in 0..<3 {
      _ = try graph.add(.unary(.exponential), [heads[cluster]], cluster: (cluster + 1) % 3)
    }
    #expect(graph.verify().count == 1)
  }

  @Test func outputsAreCheckedAndPrintable() throws {
    var graph = try chain([])
    graph.output(ValueID(99), as: "none")
    graph.output(ValueID(0), as: "out")
    graph.output(ValueID(0), as: "")
    #expect(
      graph.verify().map(\.message) == [
        "output \"none\" is no value of the graph", "a second output called \"out\"",
        "a name is empty",
      ])
    #expect(graph.text.contains("%none as \"none\""))
  }

  @Test func attributesAreChecked() throws {
    let rows = ValueType.rows(.f32, .sequence, count: 2, width: 4)
    func verify(_ op: Op, _ type: ValueType = rows) throws -> String {
      var graph = Graph()
      if op.needsDeclaredType {
        _ = try graph.add(op, [], type: type)
      } else {
        _ = try graph.add(op, [try graph.add(.constant(1), [], type: type)])
      }
      return graph.verify().map(\.message).joined()
    }
    #expect(try verify(.constant(.infinity)).contains("inf is not finite"))
    #expect(try verify(.constant(.nan)).contains("nan is not finite"))
    #expect(try verify(.norm(Norm(.rms, epsilon: .infinity, hasGain: false), nil)).contains("inf"))
    #expect(try verify(.input(""), rows).contains("a name is empty"))
    #expect(try verify(.constant(1), .tensor(.f32, [0])).contains("a dimension of 0"))
    #expect(
      try verify(.constant(1), .tensor(.f32, [Int.max, Int.max])).contains("a value of more"))
    #expect(try verify(.input("plan"), .plan(tokens: 2, segments: 65)).contains("65 segments"))
    #expect(try verify(.constant(1), .rows(.f32, .sequence, count: Int.max, width: 1)) != "")
  }

  // MARK: Modules

  @Test func headersAreChecked() {
    let text = ModalityDeclaration(name: "text", vocabulary: 0..<4)
    let messages: [(Module, String)] = [
      (module(batch: Int.max), "1 to 2147483647 tokens are allowed"),
      (module(batch: 0), "1 to 2147483647 tokens are allowed"),
      (module(modalities: [text, text]), "a second modality called \"text\""),
      (
        module(modalities: [ModalityDeclaration(name: "a", vocabulary: -1..<4)]), "is not within 0"
      ),
      (
        module(modalities: [ModalityDeclaration(name: "a", vocabulary: 0..<4, begin: -1)]),
        "has the marker -1"
      ),
      (module(parameters: [parameter("p", [1]), parameter("p", [1])]), "a second parameter"),
      (module(parameters: [parameter("", [1])]), "a name is empty"),
      (module(parameters: [parameter("p", [1], .normal(.nan))]), "the deviation nan"),
      (module(parameters: [parameter("p", [Int.max, 3])]), "a value of more than"),
      (
        module(
          modalities: [text],
          objectives: [ObjectiveDeclaration(name: "o", modalities: [], weight: 1)]),
        "wants modalities, each once"
      ),
      (
        module(
          modalities: [text],
          objectives: [ObjectiveDeclaration(name: "o", modalities: ["text"], weight: .infinity)]),
        "has the weight inf"
      ),
    ]
    for (module, message) in messages {
      #expect(module.verify().first?.message.contains(message) == true)
    }
  }

  @Test func parameterNodesAreThoseOfTheHeader() throws {
    var graph = Graph()
    graph.output(try graph.add(.parameter("p"), [], type: .tensor(.f32, [3])), as: "p")
    #expect(module(graph).verify().first?.message.contains("declares no parameter `@p`") == true)
    #expect(module(graph, parameters: [parameter("p", [3])]).verify() == [])
    let other = module(graph, parameters: [parameter("p", [4])])
    #expect(other.verify().first?.message.contains("`@p` is f32[3], and the module") == true)
  }

  @Test func gradientsOfAModelAreSound() throws {
    let text = Modality("text", vocabulary: 0..<12)
    let image = Modality("image", vocabulary: 12..<20)
    let model = Model("m", modalities: [text, image], width: 8, batch: 2, sequence: 4) {
      Embedding()
      Residual {
        RMSNorm()
        Attention(heads: 2, normalizeQueryKey: true)
      }
      Residual {
        RMSNorm()
        FeedForward(hidden: 12)
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: text)
      NextToken(on: image)
    }
    var module = try model.module()
    let loss = try #require(module.function("loss"))
    module.functions.append(try differentiate(loss, in: module))
    #expect(module.verify() == [])
    let parsed = try Module.parse(module.text, file: "m.motir")
    let same = parsed.text == module.text
    #expect(same)
  }
}
