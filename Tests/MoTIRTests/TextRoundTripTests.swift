import MoTIR
import Testing

/// Text → module → text and module → text → module.
@Suite struct TextRoundTripTests {
  @Test(arguments: TextFixtures.all) func textIsReproduced(_ text: String) throws {
    let module = try Module.parse(text, file: "fixture.motir")
    #expect(module.text == text)
    #expect(try Module.parse(module.text, file: "again.motir") == module)
  }

  @Test func everyOpHasAFixture() throws {
    var seen: Set<String> = []
    for text in TextFixtures.all {
      for function in try Module.parse(text, file: "fixture.motir").functions {
        seen.formUnion(function.graph.nodes.map(\.op.mnemonic))
      }
    }
    #expect(Op.samples.map(\.mnemonic).filter { !seen.contains($0) } == [])
    #expect(seen.subtracting(Op.samples.map(\.mnemonic)) == [])
  }

  @Test func aModelSurvives() throws {
    let text = Modality("text", vocabulary: 0..<258)
    let image = Modality("image", vocabulary: 258..<322, begin: 256, end: 257)
    let model = Model(
      "chameleon", modalities: [text, image], width: 32, batch: 2, sequence: 16
    ) {
      Embedding()
      Repeat(2) {
        Residual {
          RMSNorm()
          Attention(heads: 4, normalizeQueryKey: true)
        }
        Residual {
          RMSNorm()
          FeedForward(hidden: 48)
        }
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: text)
      NextToken(on: image)
    }
    let module = try model.module()
    #expect(module.verify() == [])
    let parsed = try Module.parse(module.text, file: "chameleon.motir")
    #expect(parsed.text == module.text)
    // The builder's parameter nodes stand elsewhere; a parsed module is in canonical form.
    let again = try Module.parse(parsed.text, file: "chameleon.motir")
    let same = again == parsed
    #expect(same)
  }

  @Test func namesValuesBlanksAndCommentsAreFree() throws {
    let text = """
      module @m batch 1 sequence 2 { // a comment
        modality "text" 0..<4 func @f { %tokens = input "tokens" : i32[T=2,1]
          %a.b_1 = constant 1:f32[] return %a.b_1 as "one"}}
      """
    let module = try Module.parse(text, file: "m.motir")
    #expect(module.functions[0].graph.text.hasPrefix("%0 = input \"tokens\" : i32[T=2, 1]\n"))
    #expect(module.text.contains("%1 = constant 1.0 : f32[]"))
  }

  @Test func oddNamesAreQuoted() throws {
    let name = "a \"b\"\\\n\t\r\u{1}é\u{301}中.🙂"
    let module = Module(
      name: name, batch: 1, sequence: 1,
      modalities: [ModalityDeclaration(name: name, vocabulary: 0..<1)],
      parameters: [
        ParameterDeclaration(
          name: name, shape: [2], groups: [[name]], component: name, initialization: .zeros,
          decays: true)
      ], objectives: [ObjectiveDeclaration(name: name, modalities: [name], weight: 0.1)],
      functions: [Function(name: name, graph: Graph())])
    #expect(try Module.parse(module.text, file: "odd.motir") == module)
  }

  @Test func parameterNodesMoveToTheirFirstUse() throws {
    var graph = Graph()
    let unused = try graph.add(.parameter("a"), [], type: .tensor(.f32, [2]))
    let late = try graph.add(.parameter("a"), [], type: .tensor(.f32, [2]))
    let one = try graph.add(.constant(1), [], type: .tensor(.f32, [2]))
    graph.output(try graph.add(.binary(.add), [one, late]), as: "sum")
    #expect(unused != late)
    let module = Module(
      name: "m", batch: 1, sequence: 1, modalities: [],
      parameters: [
        ParameterDeclaration(
          name: "a", shape: [2], groups: nil, component: "c", initialization: .ones, decays: false)
      ], objectives: [], functions: [Function(name: "f", graph: graph)])
    let parsed = try Module.parse(module.text, file: "m.motir")
    #expect(parsed.text == module.text)
    #expect(
      parsed.functions[0].graph.nodes.map(\.op) == [
        .constant(1), .parameter("a"), .binary(.add),
      ])
  }
}
