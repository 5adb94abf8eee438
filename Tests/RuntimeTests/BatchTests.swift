import MoTIR
import Runtime
import Testing

@Suite struct BatchTests {
  private let builder = BatchBuilder(module: .sample())
  private let tokens: [Int32] = [1, 8, 12, 13, 9, 2, 14, 15, 3, 16, 20, 17]

  private func tensor(_ name: String, _ rows: [Int32]) throws -> Tensor {
    try Tensor(name: name, shape: [2, 6], integers: rows)
  }

  @Test func everythingIsDerivedFromTokens() throws {
    let batch = try builder.build([try tensor("tokens", tokens)])
    #expect(batch.tokens == tokens)
    #expect(batch.modality == [0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 2, 1])
    #expect(batch.targets == [8, 12, 13, 9, 2, -100, 15, 3, 16, 20, 17, -100])
    #expect(batch.positions == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
    #expect(batch.documents == [Int32](repeating: 0, count: 12))
    #expect(batch.segments == [0, 0, 1, 1, 0, 0, 1, 1, 0, 2, 0, 3])
    #expect(batch.plan == RoutingPlan(modality: batch.modality, segments: 3))
    #expect(batch.warnings.isEmpty)
    #expect(try builder.build(batch.tensors()) == batch, "what is written is what is read")
  }

  @Test func documentsEndTargetsPositionsAndSegments() throws {
    let documents: [Int32] = [0, 0, 0, 1, 1, 1, 5, 5, 5, 5, 7, 7]
    let batch = try builder.build([
      try tensor("tokens", tokens), try tensor("documents", documents),
    ])
    #expect(batch.targets == [8, 12, -100, 9, 2, -100, 15, 3, 16, -100, 17, -100])
    #expect(batch.positions == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 0, 1])
    #expect(batch.segments == [0, 0, 1, 2, 0, 0, 1, 1, 0, 2, 0, 3])
    #expect(batch.documents == documents)
  }

  /// Modalities a (0..<10) and b (10..<20, which 9 begins) where b attends and counts like this; two documents.
  private func derived(
    _ attends: ModalityDeclaration.Attending, _ counts: ModalityDeclaration.Counting,
    textAttends: ModalityDeclaration.Attending = .causal
  ) throws -> Batch {
    let module = Module(
      name: "two", batch: 1, sequence: 10,
      modalities: [
        ModalityDeclaration(name: "a", vocabulary: 0..<10, attends: textAttends),
        ModalityDeclaration(
          name: "b", vocabulary: 10..<20, begin: 9, end: 8, attends: attends, counts: counts),
      ], parameters: [], objectives: [], functions: [])
    var rows = BatchBuilder.Rows(tokens: [11, 12, 1, 9, 13, 14, 8, 15, 3, 16])
    rows.documents = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    return try BatchBuilder(module: module).build(rows)
  }

  @Test(arguments: ModalityDeclaration.Attending.allCases)
  func segmentsFollowWhatModalitiesAttend(_ attends: ModalityDeclaration.Attending) throws {
    let flags = attends.flags
    let spans: [Int32] = [1, 1, 0, 0, 2, 2, 0, 3, 0, 4].map { $0 == 0 ? 0 : $0 + flags }
    let expected: [Int32] =
      switch attends {
      case .causal: [Int32](repeating: 0, count: 10)
      case .withinSpan, .isolated, .hidden, .alone: spans
      case .prefix: [1, 1, 0, 0, 0, 0, 0, 2, 0, 0]
      }
    #expect(try derived(attends, .each).segments == expected)
    #expect([0, Segment.isolated, Segment.hidden, Segment.flags].contains(flags))
  }

  @Test func aPrefixIsAllThatADocumentBeginsWith() throws {
    let whole = try derived(.prefix, .each, textAttends: .prefix).segments
    #expect(whole == [1, 1, 1, 1, 1, 1, 1, 2, 2, 2])
    let text = try derived(.withinSpan, .each, textAttends: .prefix).segments
    #expect(text == [1, 1, 0, 0, 2, 2, 0, 3, 0, 4])
  }

  @Test(
    arguments: [
      (.each, [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]),
      (.perSpan, [0, 0, 1, 2, 3, 3, 4, 0, 1, 2]),
      (.perModality, [0, 1, 0, 1, 2, 3, 2, 0, 0, 1]),
    ] as [(ModalityDeclaration.Counting, [Int32])])
  func positionsFollowWhatModalitiesCount(
    _ counts: ModalityDeclaration.Counting, _ expected: [Int32]
  ) throws {
    #expect(try derived(.causal, counts).positions == expected)
  }

  @Test(
    arguments: [
      ([0, 1, 1, 2, 1, 0], "segments 1 and 2 overlap: 2 is at [1, 3], and 1 ends at [1, 4]"),
      ([2, 1, 1, 2, 0, 0], "segments 2 and 1 overlap: 1 is at [1, 1], and 2 ends at [1, 3]"),
      ([0, 0, Segment.hidden, 0, 0, 0], "segments: 536870912 at [1, 2] has no number"),
      ([1 << 30, 0, 0, 0, 0, 0], "segments: 1073741824 at [1, 0] is outside what is allowed"),
    ] as [([Int32], String)])
  func segmentsThatOverlapAreErrors(_ segments: [Int32], says: String) throws {
    let tensors = [
      try tensor("tokens", tokens), try tensor("segments", [3, 3, 0, 3, 0, 4] + segments),
    ]
    do {
      _ = try builder.build(tensors)
      Issue.record("\(segments) were taken")
    } catch {
      #expect(error.description.contains(says), "\(error)")
    }
  }

  @Test func paddingIsNoTarget() throws {
    let modality: [Int32] = [0, 0, 1, 1, 0, -1, -1, 1, 0, 1, 2, 1]
    let batch = try builder.build([
      try tensor("tokens", tokens), try tensor("modality", modality),
    ])
    #expect(batch.targets == [8, 12, 13, 9, -100, -100, -100, 3, 16, 20, 17, -100])
    #expect(batch.plan.offsets == [0, 4, 9, 10])
  }

  @Test func masksMayOverlapWithAWarning() throws {
    var mask = [UInt8](repeating: 0, count: 36)
    for index in 0..<12 where index != 4 { mask[12 + index] = 1 }
    mask[0] = 1
    mask[24 + 1] = 1
    let batch = try builder.build([
      try tensor("tokens", tokens),
      try Tensor(name: "modality_mask", format: .u8, shape: [3, 2, 6], bytes: mask),
    ])
    #expect(batch.modality == [0, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1])
    #expect(batch.warnings.count == 1)
    #expect(batch.warnings[0].severity == .warning)
    #expect(
      batch.warnings[0].message.contains("2 tokens in several modalities, the first at [0, 0]"))
  }

  @Test(arguments: [
    ("tokens", 24, "tokens: 24 at [1, 1] is outside what is allowed (0...23)"),
    ("tokens", -1, "tokens: -1 at [1, 1]"),
    ("tokens", 10, "tokens: 10 at [1, 1] is in no modality's vocabulary"),
    ("modality", 3, "modality: 3 at [1, 1] is outside what is allowed (-1...2; -1 is padding)"),
    ("modality", -2, "modality: -2 at [1, 1]"),
    ("targets", 24, "targets: 24 at [1, 1] is outside what is allowed (0...23; -100 is ignored)"),
    ("targets", -1, "targets: -1 at [1, 1]"),
    ("positions", -1, "positions: -1 at [1, 1]"),
    ("positions", 4096, "positions: 4096 at [1, 1]"),
    ("segments", -1, "segments: -1 at [1, 1]"),
  ])
  func valuesOutsideTheirRangeAreErrors(name: String, value: Int32, says: String) throws {
    var rows = name == "tokens" ? tokens : [Int32](repeating: 0, count: 12)
    rows[7] = value
    var tensors = [try tensor(name, rows)]
    if name != "tokens" { tensors.append(try tensor("tokens", tokens)) }
    do {
      _ = try builder.build(tensors)
      Issue.record("\(value) was taken as one of \(name)")
    } catch {
      #expect(error.description.contains(says), "\(error)")
    }
  }

  @Test func wrongTensorsAreListedTogether() throws {
    let tensors = [
      try Tensor(name: "tokens", shape: [6, 2], integers: tokens),
      try Tensor(name: "targets", shape: [2, 6], floats: [Float](repeating: 0, count: 12)),
      try tensor("latents.image", tokens), try tensor("modality", tokens),
      try tensor("modality", tokens),
    ]
    do {
      _ = try builder.build(tensors)
      Issue.record("nothing was thrown")
    } catch {
      #expect(error.all.count == 4)
      #expect(error.description.contains("'tokens' has shape [6, 2], but the model takes [2, 6]"))
      #expect(error.description.contains("'targets' holds F32"))
      #expect(error.description.contains("no input 'latents.image'"))
      #expect(error.description.contains("'modality' is there twice"))
    }
    #expect(throws: Diagnostics.self) { try builder.build([Tensor]()) }
    var rows = BatchBuilder.Rows(tokens: [1, 2])
    #expect(throws: Diagnostics.self) { try builder.build(rows) }
    rows = BatchBuilder.Rows(tokens: tokens.map(Int.init))
    rows.mask = [1]
    #expect(throws: Diagnostics.self) { try builder.build(rows) }
    rows.mask = [Int](repeating: 2, count: 36)
    #expect(throws: Diagnostics.self) { try builder.build(rows) }
    rows.modality = [Int](repeating: 0, count: 12)
    #expect(throws: Diagnostics.self) { try builder.build(rows) }
  }

  @Test func wideIntegersAreTaken() throws {
    let bytes = tokens.flatMap { [UInt8($0)] + [UInt8](repeating: 0, count: 7) }
    let wide = try Tensor(name: "tokens", format: .i64, shape: [2, 6], bytes: bytes)
    #expect(try builder.build([wide]).tokens == tokens)
    var huge = bytes
    huge[7] = 0x7F
    let bad = try Tensor(name: "tokens", format: .i64, shape: [2, 6], bytes: huge)
    #expect(throws: Diagnostics.self) { try builder.build([bad]) }
  }
}
