import MoTIR
import Testing

/// What the spec language refuses, and how it says so.
struct SpecErrorTests {
  private static let text = Modality("text", vocabulary: 0..<258)

  /// The usual objective.
  @ObjectiveBuilder private static func onText() -> [PlacedObjective] { NextToken(on: text) }

  /// Returns the errors of a model; every one has a place in this file.
  private func errors(
    _ modalities: [Modality] = [text], width: Int = 32, batch: Int = 1, sequence: Int = 8,
    untied: Untying = .all, @LayerBuilder layers: () -> [PlacedLayer] = { [] },
    @ObjectiveBuilder objectives: () -> [PlacedObjective] = Self.onText
  ) -> [String] {
    let layers = layers()
    let model = Model(
      "test", modalities: modalities, width: width, batch: batch, sequence: sequence,
      untied: untied
    ) {
      Embedding()
      layers
      Head()
    } objectives: {
      objectives()
    }
    do throws(Diagnostics) {
      _ = try model.module()
      return []
    } catch {
      #expect(error.all.allSatisfy { $0.location?.file == #filePath })
      return error.all.map(\.message)
    }
  }

  @Test func sizesOfLayers() {
    let found = errors {
      Repeat(2) {
        Residual { Attention(heads: 5) }
        Residual { Attention(heads: 4, keyValueHeads: 3) }
        Residual { Attention(heads: 4, headWidth: 7) }
        Residual { FeedForward(hidden: 0) }
      }
    }
    // Every layer is looked at; what is wrong in each turn of the repetition is said once.
    #expect(
      found == [
        "5 heads do not divide width 32", "4 heads are no multiple of 3 key/value heads",
        "rotary positions turn pairs of elements, but a head is 7 wide",
        "FeedForward must have at least 1 and at most 16777216 hidden channels, and has 0",
      ])
  }

  @Test(arguments: [Int.min, -1, 0, Int.max])
  func hostileSizes(_ size: Int) {
    #expect(!errors(width: size).isEmpty)
    #expect(!errors(batch: size).isEmpty)
    #expect(!errors(sequence: size).isEmpty)
    #expect(!errors { FeedForward(hidden: size) }.isEmpty)
    #expect(!errors { Attention(heads: size) }.isEmpty)
    #expect(!errors { Attention(heads: 2, keyValueHeads: size) }.isEmpty)
    #expect(!errors { Attention(heads: 2, headWidth: size) }.isEmpty)
    #expect(!errors { Repeat(size) { RMSNorm() } }.isEmpty)
    #expect(!errors { Repeat(size) { Residual { Repeat(size) { RMSNorm() } } } }.isEmpty)
  }

  @Test func numbersOfLayers() {
    #expect(!errors { RMSNorm(epsilon: -1) }.isEmpty)
    #expect(!errors { RMSNorm(epsilon: .nan) }.isEmpty)
    #expect(!errors { Attention(heads: 2, positions: .rotary(base: 0)) }.isEmpty)
    #expect(!errors(width: 1 << 24, batch: 1 << 10, sequence: 1 << 18).isEmpty)
  }

  @Test func orderOfLayers() {
    #expect(
      errors { Residual { Head() } } == [
        "Head stands only once in a model: last, outside Repeat and Residual"
      ])
    #expect(errors { Repeat(1) { Embedding() } }.count == 1)
    let model = Model("test", modalities: [Self.text], width: 32) {
      RMSNorm()
    } objectives: {
      NextToken(on: Self.text)
    }
    let diagnostics = #expect(throws: Diagnostics.self) { try model.module() }
    #expect(
      diagnostics?.all.map(\.message) == [
        "the first layer must be Embedding", "the last layer must be Head",
      ])
  }

  @Test func modalities() {
    let image = Modality("image", vocabulary: 200..<300, begin: 256, end: 256)
    #expect(
      errors([Self.text, image]) == [
        "the vocabularies of 'text' (0..<258) and 'image' (200..<300) overlap",
        "begin and end of 'image' are the same token 256",
      ])
    #expect(errors([Self.text, Modality("a", vocabulary: 258..<258)]).count == 1)
    #expect(errors([Self.text, Modality("a", vocabulary: 258..<Int.max)]).count == 1)
    #expect(errors([Self.text, Modality("text", vocabulary: 258..<260)]).count == 1)
    #expect(errors([Self.text, Modality("a.b", vocabulary: 258..<260)]).count == 1)
    #expect(errors([Self.text, Modality("a", vocabulary: 258..<260, begin: 3)]).count == 1)
    #expect(
      errors([Self.text, Modality("a", vocabulary: 258..<260, begin: 3, end: 260)]).count == 1)
    let many = (0..<8).map { Modality("m\($0)", vocabulary: (258 + $0)..<(259 + $0)) }
    #expect(errors([Self.text] + many.dropLast()).isEmpty)
    #expect(errors([Self.text] + many) == ["the number of modalities must be at most 8, and is 9"])
    #expect(errors([]).count >= 1)
  }

  @Test func untying() {
    let other = Modality("other", vocabulary: 258..<260)
    #expect(
      errors(untied: .all.merging([Self.text, other])) == [
        "untied names the modality 'other', which the model does not have"
      ])
    #expect(
      errors(untied: .components(.custom("adaptor"))) == [
        "untied names the component 'adaptor', but no layer has parameters of it"
      ])
    for untied in [
      Untying.components(.embedding, .attention), .all.merging([Self.text], in: .embedding),
    ] {
      #expect(
        errors(untied: untied) == [
          "untied names the component 'embedding', which all modalities share"
        ])
    }
    #expect(errors(untied: .components(.head, .head)).count == 1)
  }

  @Test func objectives() {
    let other = Modality("other", vocabulary: 258..<260)
    #expect(errors(objectives: {}) == ["the model has no objective"])
    #expect(errors(objectives: { NextToken(on: other) }).count == 1)
    #expect(errors(objectives: { NextToken(on: Self.text, weight: -1) }).count == 1)
    #expect(errors(objectives: { NextToken(on: Self.text, weight: .infinity) }).count == 1)
    #expect(errors(objectives: { NextToken(on: Self.text, name: "a b") }).count == 1)
    let twice = errors(objectives: {
      NextToken(on: Self.text)
      NextToken(on: Self.text)
    })
    #expect(twice == ["there are two objectives called 'text'"])
  }

  @Test func continuousTokens() {
    let image = Modality("image", latents: 12)
    let both = [Self.text, image]
    #expect(
      errors(both) == [
        "the continuous modality 'image' wants one objective that says what noise it gets, and has none"
      ])
    #expect(
      errors(objectives: { Denoise(on: Self.text) }) == [
        "Denoise is for continuous tokens, and those of 'text' are ids"
      ])
    let next = errors(both) {
    } objectives: {
      NextToken(on: image)
      Denoise(on: image, name: "a")
    }
    #expect(next == ["NextToken is for token ids, and the tokens of 'image' are continuous"])
    let twice = errors(both) {
    } objectives: {
      Denoise(on: image, name: "a")
      Denoise(on: image, name: "b")
    }
    #expect(twice.count == 1 && twice[0].hasSuffix("and has 2"))
    #expect(
      errors([image], objectives: { Denoise(on: image) }) == [
        "no modality has a vocabulary: continuous tokens alone make no document"
      ])
    for latents in [Int.min, 0, Int.max] {
      let odd = Modality("image", latents: latents)
      #expect(errors([Self.text, odd], objectives: { Denoise(on: odd) }).count == 1)
    }
  }

  @Test func layersInPlaceOfThePatchEmbedding() throws {
    let image = Modality("image", latents: 12)
    func module(_ kind: Int) throws -> Module {
      let model = Model("test", modalities: [Self.text, image], width: 32) {
        Embedding(patches: Patches(width: kind))
        Head()
      } objectives: {
        Denoise(on: image)
      }
      return try model.module()
    }
    let names = try module(32).parameters.map(\.name)
    #expect(names.contains("embedding.own.image.weight"))
    #expect(!names.contains("embedding.patch.image.weight"))
    let error = #expect(throws: Diagnostics.self) { try module(31) }
    #expect(
      error?.all.first?.message
        == "the layer that embeds patches returns rows 31 wide, and the model's are 32")
  }

  /// A layer for `Embedding`.
  private struct Patches: Layer {
    let width: Int
    func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
      try context.linear(x, to: width, name: "own")
    }
  }

  @Test func placesAreThoseOfTheLayers() throws {
    let line = #line + 4
    let model = Model("test", modalities: [Self.text], width: 32) {
      Embedding()
      Residual {
        FeedForward(hidden: 0)
      }
      Head()
    } objectives: {
      NextToken(on: Self.text)
    }
    let diagnostics = #expect(throws: Diagnostics.self) { try model.module() }
    #expect(
      diagnostics?.all.map(\.location) == [Location(file: #filePath, line: line, column: 9)])
  }

  /// A layer that asks for what cannot be.
  private struct Broken: Layer {
    let kind: Int
    func apply(_ x: Rows, in context: inout LayerContext) throws -> Rows {
      switch kind {
      case 0: return try context.sum(x, try context.linear(x, to: 3, name: "a"))
      case 1: return try context.linear(x, to: -1, name: "a")
      case 2: return try context.norm(.rms, x, heads: 0)
      case 3: return try context.normalize(.rms, x, heads: 5)
      case 4: return try context.attend(x, x, x, heads: 0)
      case 5: return try context.rotate(x, heads: 0)
      case 6: return try context.linear(try context.linear(x, to: 32, name: "a"), to: 3, name: "a")
      default: throw CancellationError()
      }
    }
  }

  @Test(arguments: 0..<8)
  func customLayers(_ kind: Int) {
    #expect(errors { Residual { Broken(kind: kind) } }.count == 1)
  }

  @Test func answersRoundTrip() {
    let errors = [
      Diagnostic("a\tb\\n\nc", at: Location(file: "x:y", line: 3, column: 4), suggestion: "d"),
      Diagnostic("e"),
    ]
    #expect(SpecAnswer(SpecAnswer.errors(errors).text) == .errors(errors))
    #expect(SpecAnswer(SpecAnswer.module("text\n").text) == .module("text\n"))
    for text in ["", "end\n", "motc-spec 1 module\n", "motc-spec 1 errors\nend\n", "x\nend\n"] {
      #expect(SpecAnswer(text) == nil)
    }
  }
}
