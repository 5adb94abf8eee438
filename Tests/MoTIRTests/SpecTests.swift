import MoTIR
import Testing

/// What the spec language builds.
struct SpecTests {
  private static let text = Modality("text", vocabulary: 0..<258)
  private static let image = Modality("image", vocabulary: 258..<300, begin: 256, end: 257)
  private static let speech = Modality("speech", vocabulary: 300..<320)

  /// An ordinary pre-norm layer.
  @LayerBuilder private static func standardLayer() -> [PlacedLayer] {
    Residual {
      RMSNorm()
      Attention(heads: 4, keyValueHeads: 2, normalizeQueryKey: true)
    }
    Residual {
      RMSNorm()
      FeedForward(hidden: 48)
    }
  }

  /// Returns a model of two layers that `untied` unties.
  private static func model(
    _ modalities: [Modality] = [text, image, speech], untied: Untying = .all,
    @LayerBuilder layer: () -> [PlacedLayer] = standardLayer
  ) -> Model {
    let layers = layer()
    return Model("test", modalities: modalities, width: 32, batch: 2, sequence: 8, untied: untied) {
      Embedding()
      Repeat(2) { layers }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: modalities[0])
    }
  }

  @Test func namesAreThoseOfCheckpoints() throws {
    let module = try Self.model([Self.text, Self.image]).module()
    let layer = { (n: Int) in
      [
        "attention_norm.weight", "attention.q.weight", "attention.k.weight", "attention.v.weight",
        "attention.q_norm.weight", "attention.k_norm.weight", "attention.o.weight",
        "feed_forward_norm.weight", "feed_forward.gate.weight", "feed_forward.up.weight",
        "feed_forward.down.weight",
      ].map { "layers.\(n).\($0)" }
    }
    #expect(
      module.parameters.map(\.name)
        == ["embedding.weight"] + layer(0) + layer(1) + ["norm.weight", "head.weight"])
    #expect(
      module.parameter("layers.1.attention.q.weight")?.tensorNames
        == ["layers.1.attention.q.text.weight", "layers.1.attention.q.image.weight"])
    #expect(module.parameter("layers.0.attention.k.weight")?.shape == [16, 32])
    #expect(module.parameter("embedding.weight")?.groups == nil)
    #expect(module.parameter("norm.weight")?.decays == false)
    #expect(module.parameter("head.weight")?.decays == true)
    #expect(module.parameter("layers.0.attention.o.weight")?.initialization == .normal(0.01))
  }

  @Test func textOfASpecRoundTrips() throws {
    for untied in [Untying.all, .none, .components(.feedForward)] {
      let module = try Self.model(untied: untied).module()
      #expect(try Module.parse(module.text, file: "test.motir") == module)
    }
  }

  @Test func everyRoutedOpHasItsOwnRouting() throws {
    let graph = try #require(Self.model().module().function("loss")).graph
    let routed = graph.nodes.filter { $0.op.groups != nil }
    let routes = graph.nodes.filter { if case .route = $0.op { true } else { false } }
    let syncs = graph.nodes.filter { if case .sync = $0.op { true } else { false } }
    // Two norms, seven linear maps and two norms of queries and keys a layer, and the last norm.
    #expect(routed.count == 2 * 11 + 1)
    #expect(routes.count == routed.count)
    #expect(syncs.count == 3 * routed.count)
  }

  @Test func aTiedModelHasNoPlan() throws {
    for model in [Self.model(untied: .none), Self.model([Self.text])] {
      let module = try model.module()
      #expect(module.parameters.allSatisfy { $0.groups == nil })
      for function in module.functions {
        #expect(!function.graph.nodes.contains { $0.op.mnemonic == "route" })
        #expect(!function.graph.nodes.contains { $0.op == .input("modality") })
      }
    }
  }

  @Test func componentsAreUntiedOneByOne() throws {
    func untiedParts(_ untied: Untying) throws -> [String] {
      try Self.model(untied: untied).module().parameters.filter {
        $0.groups != nil && $0.name.hasPrefix("layers.0")
      }.map { String($0.name.dropFirst("layers.0.".count).dropLast(".weight".count)) }
    }
    let network = ["feed_forward.gate", "feed_forward.up", "feed_forward.down"]
    let inputs = ["attention.q", "attention.k", "attention.v"]
    #expect(try untiedParts(.components(.feedForward)) == network)
    #expect(
      try untiedParts(.components(.feedForward, .attention(.query, .key, .value)))
        == inputs + network)
    #expect(
      try untiedParts(.components(.feedForward, .attention)) == inputs + ["attention.o"] + network)
    #expect(
      try untiedParts(.components(.feedForward, .attention, .norms)) == untiedParts(.all))
  }

  @Test func modalitiesMerge() throws {
    let merged = [Self.image, Self.speech]
    let module = try Self.model(untied: .all.merging(merged)).module()
    let name = "layers.0.attention.q.weight"
    #expect(module.parameter(name)?.groups == [["text"], ["image", "speech"]])
    #expect(
      module.parameter(name)?.tensorNames.last == "layers.0.attention.q.image+speech.weight")
    let partly = try Self.model(untied: .all.merging(merged, in: .attention)).module()
    #expect(partly.parameter(name)?.groups?.count == 2)
    #expect(partly.parameter("layers.0.feed_forward.up.weight")?.groups?.count == 3)
    let all = try Self.model(untied: .all.merging([Self.text, Self.image, Self.speech])).module()
    #expect(all.parameter(name)?.groups == nil)
  }

  @Test func normsStandBeforeAfterAndBoth() throws {
    func norms(@LayerBuilder _ layer: () -> [PlacedLayer]) throws -> [String] {
      try Self.model(layer: layer).module().parameters.map(\.name).filter {
        $0.hasPrefix("layers.0") && $0.contains("_norm")
      }
    }
    let before = try norms {
      Residual {
        RMSNorm()
        Attention(heads: 4)
      }
    }
    #expect(before == ["layers.0.attention_norm.weight"])
    let after = try norms {
      Residual {
        Attention(heads: 4)
        LayerNorm()
      }
    }
    #expect(after == ["layers.0.attention_norm.weight", "layers.0.attention_norm.bias"])
    let both = try norms {
      Residual {
        RMSNorm()
        FeedForward(hidden: 8, activation: .gelu, bias: true)
        RMSNorm()
      }
    }
    #expect(
      both == ["layers.0.feed_forward_norm.weight", "layers.0.feed_forward_post_norm.weight"])
  }

  /// Only a layer that stands beside a norm lends it its name.
  @Test func normsOfTheOutermostLayers() throws {
    func norms(@LayerBuilder _ layers: () -> [PlacedLayer]) throws -> [String] {
      let layers = layers()
      let model = Model("test", modalities: [Self.text], width: 32) {
        Embedding()
        layers
        Head()
      } objectives: {
        NextToken(on: Self.text)
      }
      return try model.module().parameters.map(\.name).filter { $0.contains("norm") }
    }
    let block = Repeat(1) { Residual { FeedForward(hidden: 8) } }
    #expect(
      try norms {
        Adapter(width: 4)
        block
        RMSNorm()
      } == ["norm.weight"])
    #expect(
      try norms {
        block
        Adapter(width: 4)
        RMSNorm()
      } == ["norm.weight"])
    #expect(
      try norms {
        RMSNorm()
        Adapter(width: 4)
        block
      } == ["adapter_norm.weight"])
    #expect(
      try norms {
        Residual {
          RMSNorm()
          Adapter(width: 4)
          RMSNorm()
        }
        RMSNorm()
      } == ["adapter_norm.weight", "adapter_post_norm.weight", "norm.weight"])
  }

  /// A custom layer: two narrow linear maps with a learnt gate for each token.
  private struct Adapter: Layer {
    let width: Int
    func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
      let low = try context.apply(.gelu, try context.linear(x, to: width, name: "down"))
      let up = try context.linear(low, to: x.width, name: "up", bias: true)
      let scores = try context.rowSum(try context.scale(x, name: "gate"))
      return try context.product(up, try context.apply(.sigmoid, scores))
    }
  }

  @Test func specsDefineTheirOwnLayers() throws {
    let module = try Self.model(untied: .components(.custom("adapter"))) {
      Residual {
        RMSNorm()
        Adapter(width: 4)
      }
    }.module()
    let own = module.parameters.filter { $0.name.hasPrefix("layers.1.adapter") }
    #expect(
      own.map(\.name) == [
        "layers.1.adapter_norm.weight", "layers.1.adapter.down.weight",
        "layers.1.adapter.up.weight", "layers.1.adapter.up.bias", "layers.1.adapter.gate",
      ])
    #expect(own.map { $0.groups?.count } == [nil, 3, 3, 3, 3])
    #expect(try Module.parse(module.text, file: "custom.motir") == module)
  }

  @Test func inputsAreThoseThatAModelWants() throws {
    func inputs(_ model: Model) throws -> [String] {
      try #require(model.module().function("loss")).graph.nodes.compactMap {
        if case .input(let name) = $0.op { name } else { nil }
      }
    }
    #expect(try inputs(Self.model()) == ["tokens", "modality", "positions", "targets"])
    let spans = Modality("image", vocabulary: 258..<300, attends: .withinSpan)
    let model = Self.model([Self.text, spans], untied: .none) {
      Residual { Attention(heads: 4, positions: .none, documents: true) }
    }
    #expect(try inputs(model) == ["tokens", "documents", "segments", "targets"])
  }

  @Test func objectivesAddUp() throws {
    let (text, image) = (Self.text, Self.image)
    let model = Model("two", modalities: [text, image], width: 8) {
      Embedding()
      Head(tied: true)
    } objectives: {
      NextToken(on: text)
      NextToken(on: text, image, weight: 2)
    }
    let module = try model.module(batch: 3, sequence: 5)
    #expect(module.objectives.map(\.name) == ["text", "text+image"])
    #expect(module.parameters.map(\.name) == ["embedding.weight"])
    let graph = try #require(module.function("loss")).graph
    #expect(graph.outputs.map(\.name) == ["loss", "loss.text", "loss.text+image"])
    #expect(graph.outputs.allSatisfy { graph.type(of: $0.value) == .scalar })
    let logits = try #require(module.function("logits")).graph
    let type = try #require(logits.output("logits").map(logits.type))
    #expect(type == .rows(.f32, .sequence, count: 15, width: 300))
  }

  @Test(
    arguments: zip(
      ModelSize.chameleon + ModelSize.transfusion,
      [37.0, 94.4, 442.5, 880.8, 1502, 7013, 162, 778, 1364, 6738]))
  func sizesOfThePaper(_ size: ModelSize, millions: Double) throws {
    let text = Modality("text", vocabulary: 0..<size.vocabulary)
    let model = Model("paper", modalities: [text], width: size.width) {
      Embedding()
      Repeat(size.layers) {
        Residual {
          Attention(heads: size.heads)
          RMSNorm()
        }
        Residual {
          FeedForward(hidden: size.hidden)
          RMSNorm()
        }
      }
      Head()
    } objectives: {
      NextToken(on: text)
    }
    let count = try model.module().parameters.reduce(0) { $0 + $1.type.elementCount }
    #expect(abs(Double(count) / 1e6 - millions) < millions * 1e-3 + 0.45)
  }
}
