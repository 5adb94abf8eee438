import MoTIR
import Testing

/// Towers that differ: in width, or by layers that replace others.
struct SpecTowerTests {
  private static let text = Modality("text", vocabulary: 0..<12)
  private static let image = Modality("image", vocabulary: 12..<20)
  private static let action = Modality("action", vocabulary: 20..<24)

  /// Returns a model of one layer of these parts.
  private static func model(
    widths: KeyValuePairs<Modality, Int> = [:], untied: Untying = .all,
    @LayerBuilder layers: () -> [PlacedLayer]
  ) -> Model {
    let layers = layers()
    return Model(
      "towers", modalities: [text, image, action], width: 16, widths: widths, batch: 2, sequence: 6,
      untied: untied
    ) {
      Embedding()
      Repeat(1) { layers }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: text, image, action)
    }
  }

  @LayerBuilder private static func standardLayer() -> [PlacedLayer] {
    Residual {
      RMSNorm()
      Attention(heads: 2, headWidth: 4)
    }
    Residual {
      RMSNorm()
      FeedForward(hidden: 20)
    }
  }

  @Test func eachWidthHasParametersOfItsOwn() throws {
    let module = try Self.model(widths: [Self.action: 6], layers: Self.standardLayer).module()
    func shapes(_ prefix: String) -> [String: [Int]] {
      var shapes: [String: [Int]] = [:]
      for parameter in module.parameters {
        for name in parameter.tensorNames where name.hasPrefix(prefix) {
          shapes[name] = parameter.shape
        }
      }
      return shapes
    }
    #expect(
      shapes("layers.0.attention.q") == [
        "layers.0.attention.q.text.weight": [8, 16], "layers.0.attention.q.image.weight": [8, 16],
        "layers.0.attention.q.action.weight": [8, 6],
      ])
    #expect(shapes("layers.0.attention.o")["layers.0.attention.o.action.weight"] == [6, 8])
    #expect(shapes("norm")["norm.action.weight"] == [6])
    #expect(
      shapes("embedding") == [
        "embedding.weight": [24, 16], "embedding.projection.action.weight": [6, 16],
      ])
    #expect(
      shapes("head") == ["head.weight": [24, 16], "head.projection.action.weight": [16, 6]])
    #expect(try Module.parse(module.text, file: "towers.motir") == module)
    #expect(module.verify().isEmpty)
  }

  /// Returns numbers for each tensor that its name determines.
  private static func parameters(_ module: Module) -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for parameter in module.parameters {
      result[parameter.name] = parameter.tensorNames.flatMap { name in
        let start = name.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) % 65_521 }
        return (0..<parameter.shape.reduce(1, *)).map { Double((start + $0 * 577) % 1009) / 2000 }
      }
    }
    return result
  }

  private static func loss(_ model: Model) throws -> Double {
    let module = try model.module()
    let inputs: [String: ReferenceValue] = [
      "tokens": ReferenceValue(tokens: [1, 10, 12, 13, 20, 2, 20, 21, 3, 10, 14, 15]),
      "modality": ReferenceValue(tokens: [0, 0, 1, 1, 2, 0, 2, 2, 0, 0, 1, 1]),
      "targets": ReferenceValue(tokens: [10, 12, 13, 20, 2, -100, 21, 3, 10, 14, 15, -100]),
      "positions": ReferenceValue(tokens: [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]),
    ]
    let graph = try #require(module.function("loss")).graph
    let found = try Interpreter.run(graph, inputs: inputs, parameters: parameters(module))
    return try #require(found["loss"]).numbers[0]
  }

  @Test func aLayerReplacedByItsLikeIsAsItWas() throws {
    let plain = try Self.loss(Self.model(layers: Self.standardLayer))
    let replaced = try Self.loss(
      Self.model {
        Residual {
          RMSNorm().replaced(on: Self.text, by: RMSNorm())
          Attention(heads: 2, headWidth: 4)
            .replaced(on: Self.image, by: Attention(heads: 2, headWidth: 4))
        }
        Residual {
          RMSNorm()
          FeedForward(hidden: 20)
            .replaced(on: Self.text, by: FeedForward(hidden: 20))
            .replaced(on: Self.action, by: FeedForward(hidden: 20))
        }
      })
    #expect(abs(plain - replaced) < 1e-12)
    let other = try Self.loss(
      Self.model {
        Residual {
          RMSNorm()
          Attention(heads: 2, headWidth: 4)
        }
        Residual {
          RMSNorm()
          FeedForward(hidden: 20).replaced(
            on: Self.text, by: FeedForward(hidden: 20, activation: .geGLU))
        }
      })
    #expect(abs(plain - other) > 1e-6)
  }

  @Test func everyParameterHasAGradient() throws {
    let module = try Self.model(
      widths: [Self.text: 10, Self.action: 6], layers: Self.standardLayer
    ).module()
    let loss = try #require(module.function("loss"))
    let gradients = try differentiate(loss, in: module).graph
    for parameter in module.parameters {
      let gradient = try #require(gradients.output("grad.\(parameter.name)"))
      #expect(gradients.definition(of: gradient).op != .constant(0), "\(parameter.name)")
    }
  }

  /// A custom layer whose function is not 0 at 0: what it makes of other modalities' rows must not leak.
  private struct Exponential: Layer {
    func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
      try context.apply(.exponential, x)
    }
  }

  @Test func rowsOfOtherModalitiesDoNotLeak() throws {
    func loss(@LayerBuilder _ layers: () -> [PlacedLayer]) throws -> Double {
      try Self.loss(Self.model(layers: layers))
    }
    let all = try loss { Exponential() }
    let parts = try loss { Exponential().replaced(on: Self.image, by: Exponential()) }
    #expect(abs(all - parts) < 1e-12)
  }

  // MARK: Errors

  private func errors(_ model: Model) -> [String] {
    do throws(Diagnostics) {
      _ = try model.module()
      return []
    } catch {
      return error.all.map(\.message)
    }
  }

  @Test func headsAreCommon() {
    let found = errors(
      Self.model {
        Attention(heads: 4).replaced(on: Self.action, by: Attention(heads: 2, causal: false))
      })
    #expect(
      found.prefix(3) == [
        "unequal head counts between towers: 2 for action, 4 for others",
        "unequal key/value head counts between towers: 2 for action, 4 for others",
        "attention for action is causal or bound to documents otherwise than for others",
      ])
  }

  @Test func oneTensorHasOneWidth() {
    let found = errors(
      Self.model(
        widths: [Self.action: 6], untied: .components(.attention), layers: Self.standardLayer))
    let pair = "serves 'text', which is 16 wide, and 'action', which is 6 wide"
    #expect(
      found == [
        "one norm \(pair)", "one norm \(pair)", "one feed_forward \(pair)", "one norm \(pair)",
      ])
  }

  @Test func impossibleWidths() {
    let stray = Modality("stray", vocabulary: 40..<41)
    let found = errors(
      Self.model(
        widths: [stray: 6, Self.text: 0, Self.image: 4, Self.image: 5],
        layers: Self.standardLayer))
    #expect(
      found == [
        "widths names the modality 'stray', which the model does not have",
        "the width of 'text' must be at least 1, and is 0", "widths names 'image' twice",
      ])
  }

  @Test func whatCannotBeReplaced() {
    let stray = Modality("stray", vocabulary: 40..<41)
    let lost = Modality("lost", vocabulary: 41..<42)
    let inner = Attention(heads: 2).replaced(on: lost, by: Attention(heads: 2))
    #expect(
      errors(
        Self.model {
          Residual { RMSNorm() }.replaced(on: Self.text, by: RMSNorm())
          RMSNorm().replaced(on: stray, by: RMSNorm())
          Attention(heads: 2).replaced(on: Self.text, by: inner)
          FeedForward(hidden: 3).replaced(on: Self.text, by: Attention(heads: 2))
        }) == [
          "Residual cannot replace a layer or be replaced for some modalities",
          "replaced names the modality 'stray', which the model does not have",
          "replaced names the modality 'lost', which the model does not have",
          "attention is over the tokens of all modalities, and this layer is given those of 1",
        ])
  }
}
