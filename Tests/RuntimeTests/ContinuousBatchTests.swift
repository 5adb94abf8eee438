import Foundation
import MoTIR
import Runtime
import Testing

/// Continuous tokens in files, in shards and in batches.
@Suite struct ContinuousBatchTests {
  /// Text 0..<10 and pictures of tokens of two numbers: 2 sequences of 6 tokens.
  private static func module(batch: Int = 2, sequence: Int = 6) -> Module {
    Module(
      name: "patches", batch: batch, sequence: sequence,
      modalities: [
        ModalityDeclaration(name: "text", vocabulary: 0..<10),
        ModalityDeclaration(
          name: "image", latents: 2, begin: 8, end: 9, attends: .withinSpan),
      ], parameters: [], objectives: [], functions: [])
  }

  private let builder = BatchBuilder(module: module())
  /// A picture of two patches, one of one, and a sequence that is all picture.
  private let tokens: [Int32] = [1, 8, -2, -2, 9, -2, -2, -2, -2, -2, -2, -2]

  private func tensors(
    latents: Int = 9, timesteps: [Float] = [0, 0.5, 1], noise: Int? = 9
  ) throws -> [Tensor] {
    func numbers(_ count: Int) -> [Float] { (0..<(2 * count)).map { Float($0) + 1 } }
    return try [
      Tensor(name: "tokens", shape: [2, 6], integers: tokens),
      Tensor(name: "latents.image", shape: [latents, 2], floats: numbers(latents)),
      Tensor(name: "timesteps.image", shape: [timesteps.count], floats: timesteps),
    ]
      + (noise.map { [try Tensor(name: "noise.image", shape: [$0, 2], floats: numbers($0))] } ?? [])
  }

  @Test func compactFormsAreExpanded() throws {
    let batch = try builder.build(try tensors())
    #expect(batch.tokens == [1, 8, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
    #expect(batch.modality == [0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    // Neither the first patch nor what stands behind the last one is to be guessed.
    #expect(batch.targets == [8] + [Int32](repeating: -100, count: 11))
    #expect(batch.segments == [0, 0, 1, 1, 0, 2, 1, 1, 1, 1, 1, 1])
    let rows: [Float] = [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 5, 6] + (7...18).map { Float($0) }
    #expect(batch.continuous["latents.image"] == rows)
    #expect(batch.continuous["noise.image"] == rows)
    #expect(
      batch.continuous["timesteps.image"] == [0, 0, 0, 0, 0, 0.5] + [Float](repeating: 1, count: 6))
    #expect(try builder.build(batch.tensors()) == batch, "what is written is what is read")
  }

  @Test func whatIsNotGivenIsClean() throws {
    let batch = try builder.build(try Array(tensors(noise: nil)[..<2]))
    #expect(batch.continuous["timesteps.image"]?.allSatisfy { $0 == 0 } == true)
    #expect(batch.continuous["noise.image"] == nil)
    let text = try builder.build([
      try Tensor(name: "tokens", shape: [2, 6], integers: [Int32](repeating: 3, count: 12))
    ])
    #expect(text.continuous["noise.image"] == [Float](repeating: 0, count: 24))
  }

  private func message(_ tensors: [Tensor]) -> String {
    do throws(Diagnostics) {
      _ = try builder.build(tensors)
      return ""
    } catch {
      return error.all.map(\.message).joined(separator: "; ")
    }
  }

  @Test func wrongCountsAndNumbersAreSaid() throws {
    #expect(
      message(try tensors(latents: 8)).contains(
        "latents.image has 16 numbers, but the 9 tokens of modality 'image' in the batch take 18"))
    #expect(message(try tensors(noise: 10)).contains("noise.image has 20 numbers"))
    #expect(
      message(try tensors(timesteps: [0, 1])).contains(
        "timesteps.image has 2 numbers, but the 3 spans"))
    #expect(message(try tensors(timesteps: [0, 1, 1.5])).contains("1.5 at [2] is outside 0...1"))
    #expect(message(try tensors(timesteps: [0, 1, .nan])).contains("not finite"))
    #expect(
      message(try Array(tensors()[..<1])).contains("the tensor 'latents.image' is missing"))
    let wide = try Tensor(
      name: "latents.image", shape: [6, 3], floats: [Float](repeating: 0, count: 18))
    #expect(message([try tensors()[0], wide]).contains("has shape [6, 3]"))
    let whole = try Tensor(
      name: "latents.image", shape: [9, 2], integers: [Int32](repeating: 0, count: 18))
    #expect(message([try tensors()[0], whole]).contains("holds I32"))
    let ids = try Tensor(
      name: "tokens", shape: [2, 6], integers: [-1] + [Int32](repeating: 3, count: 11))
    #expect(message([ids]).contains("tokens: -1 at [0, 0] is outside what is allowed"))
    let modality = try Tensor(
      name: "modality", shape: [2, 6], integers: [Int32](repeating: 0, count: 12))
    #expect(
      message(try tensors() + [modality]).contains(
        "tokens: -2 at [0, 2] stands for a token of modality 1, but its modality is 0"))
  }

  // MARK: Shards

  /// Returns a folder of ten documents with a picture each, whose numbers tell them apart.
  private func shards() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    var writer = try ShardWriter(folder: folder.path, module: Self.module())
    for number in 0..<10 {
      let count = 1 + number % 3
      try writer.append(
        [number % 8, 8] + [Int](repeating: -2, count: count) + [9],
        latents: ["image": (0..<(2 * count)).map { Float(10 * number + $0) }],
        to: number < 7 ? .train : .validation)
    }
    _ = try writer.finish()
    return folder
  }

  @Test func batchesHaveTheNumbersOfTheirDocuments() throws {
    let folder = try shards()
    let module = Self.module(batch: 3, sequence: 13)
    let shards = try TokenShards(folder: folder.path, split: .train, module: module)
    var source = try BatchSource(shards, module: module, seed: 4)
    for _ in 0..<5 {
      let batch = try source.next()
      let latents = try #require(batch.continuous["latents.image"])
      var checked = 0
      for (row, token) in batch.tokens.enumerated() where token == 8 {
        // The document's number is in its first token, and in that of its picture.
        #expect(Int(latents[2 * (row + 1)]) == 10 * Int(batch.tokens[row - 1]))
        checked += 1
      }
      #expect(checked > 0)
      // One time a picture, other noise for each number.
      let tokens = try #require(batch.continuousTokens["image"])
      #expect(tokens.timesteps?.count == checked)
      #expect(Set(tokens.noise ?? []).count == tokens.latents.count)
    }
  }

  @Test func noiseDependsOnSeedAndPositionAlone() throws {
    let folder = try shards()
    let module = Self.module(batch: 2, sequence: 7)
    let shards = try TokenShards(folder: folder.path, split: .train, module: module)
    var source = try BatchSource(shards, module: module, seed: 1)
    var seen: Set<[Float]> = []
    for _ in 0..<12 {
      var again = try BatchSource(shards, module: module, seed: 1, position: source.position)
      let batch = try source.next()
      #expect(try batch == again.next())
      let isNew = seen.insert(batch.continuousTokens["image"]?.noise ?? []).inserted
      #expect(isNew)
    }
    let heldBack = try TokenShards(folder: folder.path, split: .validation, module: module)
    var first = try BatchSource(heldBack, module: module, seed: nil)
    var second = try BatchSource(heldBack, module: module, seed: nil)
    #expect(try first.epoch(limit: 4) == second.epoch(limit: 4))
  }

  @Test func damagedNumbersAreRefused() throws {
    let folder = try TemporaryFolder()
    var writer = try ShardWriter(folder: folder.path, module: Self.module())
    try writer.append([8, -2, 9], latents: ["image": [1, .nan]], to: .train)
    _ = try writer.finish()
    let error = #expect(throws: Diagnostics.self) {
      try TokenShards(folder: folder.path, split: .train, module: Self.module())
    }
    #expect(error?.all[0].message.contains("latents.image is not finite at [0, 1]") == true)
    let short = try TemporaryFolder()
    writer = try ShardWriter(folder: short.path, module: Self.module())
    try writer.append([8, -2, -2, 9], latents: ["image": [1, 2]], to: .train)
    _ = try writer.finish()
    let missing = #expect(throws: Diagnostics.self) {
      try TokenShards(folder: short.path, split: .train, module: Self.module())
    }
    #expect(missing?.all[0].message.contains("has 1 tokens, and the documents 2") == true)
  }
}
