import MoTIR
import Testing

/// Parameters that do not train.
struct FrozenTests {
  private static let text = Modality("text", vocabulary: 0..<12)
  private static let image = Modality("image", vocabulary: 12..<20)

  private static func model(_ frozen: [Frozen], untied: Untying = .all) -> Model {
    Model(
      "frozen", modalities: [text, image], width: 16, batch: 1, sequence: 6, untied: untied,
      frozen: frozen
    ) {
      Embedding()
      Residual {
        RMSNorm()
        Attention(heads: 2)
      }
      Residual {
        RMSNorm()
        FeedForward(hidden: 8)
      }
      Head()
    } objectives: {
      NextToken(on: text, image)
    }
  }

  /// Returns the names of the tensors that train.
  private static func trained(_ module: Module) -> [String] {
    module.parameters.filter { !$0.isFrozen }.flatMap(\.tensorNames)
  }

  @Test func aModalityIsFrozenWhereNoOtherSharesItsTensor() throws {
    let module = try Self.model([.modality(Self.text)]).module()
    #expect(module.verify().isEmpty)
    #expect(try Module.parse(module.text, file: "frozen.motir") == module)
    let trained = Self.trained(module)
    #expect(trained.contains("attention.q.image.weight") && trained.contains("head.weight"))
    #expect(!trained.contains { $0.contains(".text.") })
    let frozen = module.parameters.filter(\.isFrozen).flatMap(\.tensorNames)
    #expect(frozen.contains("feed_forward.down.text.weight"))
    let tied = try Self.model([.modality(Self.text)], untied: .components(.feedForward)).module()
    #expect(Self.trained(tied).contains("attention.q.weight"))
    #expect(!Self.trained(tied).contains("feed_forward.up.text.weight"))
  }

  @Test func componentsAreFrozen() throws {
    let module = try Self.model([.component(.attention), .component(.embedding)]).module()
    let frozen = module.parameters.filter(\.isFrozen).map(\.name)
    #expect(
      frozen == [
        "embedding.weight", "attention.q.weight", "attention.k.weight", "attention.v.weight",
        "attention.o.weight",
      ])
  }

  /// What an embedding and a head have for continuous tokens and for other widths belongs to them.
  @Test func embeddingAndHeadAreFrozenAsAWhole() throws {
    let patch = Modality("patch", latents: 3)
    func trained(_ frozen: [Frozen]) throws -> [String] {
      let model = Model(
        "frozen", modalities: [Self.text, patch], width: 16, widths: [patch: 8], frozen: frozen
      ) {
        Embedding()
        Residual { FeedForward(hidden: 8) }
        Head()
      } objectives: {
        NextToken(on: Self.text)
        Denoise(on: patch)
      }
      return Self.trained(try model.module())
    }
    let all = try trained([])
    let names = ["embedding.projection.patch.weight", "head.projection.patch.weight"]
    #expect(names.allSatisfy(all.contains) && all.contains("head.patch.patch.bias"))
    for (component, prefix) in [(Component.embedding, "embedding."), (.head, "head.")] {
      #expect(try trained([.component(component)]) == all.filter { !$0.hasPrefix(prefix) })
    }
  }

  @Test func whatIsFrozenHasNoGradientAndTheRestTheSame() throws {
    let inputs: [String: ReferenceValue] = [
      "tokens": ReferenceValue(tokens: [1, 10, 12, 13, 19, 2]),
      "modality": ReferenceValue(tokens: [0, 0, 1, 1, 1, 0]),
      "targets": ReferenceValue(tokens: [10, 12, 13, 19, 2, -100]),
      "positions": ReferenceValue(tokens: [0, 1, 2, 3, 4, 5]),
    ]
    func gradients(_ frozen: [Frozen]) throws -> [String: [Double]] {
      let module = try Self.model(frozen).module()
      var parameters: [String: [Double]] = [:]
      for parameter in module.parameters {
        parameters[parameter.name] = parameter.tensorNames.flatMap { name in
          let start = name.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) % 65_521 }
          return (0..<parameter.shape.reduce(1, *)).map { Double((start + $0 * 577) % 1009) / 999 }
        }
      }
      let function = try differentiate(try #require(module.function("loss")), in: module)
      let outputs = try Interpreter.run(function.graph, inputs: inputs, parameters: parameters)
      var found: [String: [Double]] = [:]
      for parameter in module.parameters {
        guard let gradient = outputs["grad.\(parameter.name)"]?.numbers else { continue }
        let count = gradient.count / parameter.tensorNames.count
        for (index, name) in parameter.tensorNames.enumerated() {
          found[name] = Array(gradient[(index * count)..<((index + 1) * count)])
        }
      }
      return found
    }
    let all = try gradients([])
    let some = try gradients([.modality(Self.text), .component(.embedding)])
    #expect(!some.keys.contains { $0.contains(".text.") } && some["embedding.weight"] == nil)
    #expect(some["feed_forward.up.image.weight"] != nil)
    for (name, gradient) in some {
      let expected = try #require(all[name])
      #expect(zip(gradient, expected).allSatisfy { abs($0 - $1) < 1e-12 }, "\(name)")
    }
  }

  @Test func impossibleFreezing() {
    func message(_ frozen: [Frozen]) -> String? {
      do throws(Diagnostics) {
        _ = try Self.model(frozen).module()
        return nil
      } catch {
        return error.all.first?.message
      }
    }
    #expect(
      message([.modality(Modality("stray", vocabulary: 40..<41))])
        == "frozen names the modality 'stray', which the model does not have")
    #expect(
      message([.component(.custom("adaptor"))])
        == "frozen names the component 'adaptor', but no layer has parameters of it")
    #expect(
      message([.modality(Self.text), .modality(Self.image)])
        == "every parameter is frozen, so nothing trains")
  }
}
