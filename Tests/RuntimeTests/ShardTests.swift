import Foundation
import MoTIR
import Runtime
import Testing

/// Folders of token shards, and the batches that are made of them.
@Suite struct ShardTests {
  private static let modalities = ["text", "image"]

  private func module(batch: Int = 2, sequence: Int = 16) -> Module {
    .bytes(batch: batch, sequence: sequence, modalities: Self.modalities)
  }

  /// Writes `documents` to a new folder and returns it.
  private func shards(_ documents: [[Int]], heldBack: [[Int]] = []) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    var writer = try ShardWriter(folder: folder.path, module: module())
    for document in documents { try writer.append(document, to: .train) }
    for document in heldBack { try writer.append(document, to: .validation) }
    _ = try writer.finish()
    return folder
  }

  /// Documents of different lengths, each of one token id that no other has.
  private let documents = (0..<23).map { [Int](repeating: $0, count: 1 + $0 * 7 % 19) }

  @Test func everyEpochHasEveryDocumentOnce() throws {
    let folder = try shards(documents)
    let shards = try TokenShards(folder: folder.path, split: .train, module: module())
    #expect(shards.count == 23 && shards.tokens == documents.joined().count)
    var source = try BatchSource(shards, module: module(batch: 1), seed: 5)
    for epoch in 0..<3 {
      var seen = [Int](repeating: 0, count: 23)
      while source.position.epoch == epoch || source.position.row == 0 {
        let before = source.position
        let batch = try source.next()
        // The first row of the next epoch says that this one has ended.
        if source.position.epoch != epoch {
          source = try BatchSource(
            shards, module: module(batch: 1), seed: 5, position: source.position.rewound)
          break
        }
        #expect(source.position != before)
        for (token, modality) in zip(batch.tokens, batch.modality) where modality >= 0 {
          seen[Int(token)] += 1
        }
      }
      #expect(seen == documents.map(\.count))
    }
  }

  @Test func batchesDependOnSeedAndPositionAlone() throws {
    let folder = try shards(documents)
    let shards = try TokenShards(folder: folder.path, split: .train, module: module())
    var source = try BatchSource(shards, module: module(), seed: 1)
    var other = try BatchSource(shards, module: module(), seed: 2)
    #expect(try source.next() != other.next())
    for _ in 0..<40 {
      var again = try BatchSource(shards, module: module(), seed: 1, position: source.position)
      #expect(try source.next() == again.next())
      #expect(source.position == again.position)
    }
  }

  @Test func queuePreparesTheSameBatches() throws {
    let folder = try shards(documents)
    var source = try BatchSource(
      TokenShards(folder: folder.path, split: .train, module: module()), module: module(), seed: 1)
    let queue = BatchQueue(
      try BatchSource(
        TokenShards(folder: folder.path, split: .train, module: module()), module: module(),
        seed: 1), count: 2)
    for _ in 0..<20 {
      let (batches, next) = try queue.next()
      #expect(try batches == [source.next(), source.next()])
      #expect(next == source.position)
    }
  }

  @Test func rowsEndWithPadding() throws {
    let folder = try shards([[1, 2, 3], [4, 5]], heldBack: [[9]])
    var source = try BatchSource(
      TokenShards(folder: folder.path, split: .train, module: module()), module: module(), seed: nil
    )
    let batches = try source.epoch(limit: 9)
    #expect(batches.count == 1)
    let batch = batches[0]
    #expect(batch.tokens.prefix(5) == [1, 2, 3, 4, 5])
    #expect(batch.modality == [0, 0, 0, 0, 0] + [Int32](repeating: -1, count: 27))
    #expect(batch.targets.prefix(6) == [2, 3, -100, 5, -100, -100])
    #expect(batch.positions.prefix(5) == [0, 1, 2, 0, 1])
    #expect(batch.documents.prefix(5) == [0, 0, 0, 1, 1])
  }

  @Test func longDocumentsAreCut() throws {
    let folder = try shards([Array(0..<40)])
    var source = try BatchSource(
      TokenShards(folder: folder.path, split: .train, module: module()), module: module(), seed: nil
    )
    let batches = try source.epoch(limit: 9)
    #expect(batches.count == 2)
    #expect(batches[0].tokens == (0..<32).map { Int32($0) })
    #expect(Array(batches[1].tokens.prefix(8)) == (32..<40).map { Int32($0) })
  }

  @Test func hostileFoldersAreErrors() throws {
    func message(_ damage: (TemporaryFolder) throws -> Void) throws -> String {
      let folder = try shards([[1, 2, 3], [4, 5]])
      try damage(folder)
      do {
        _ = try TokenShards(folder: folder.path, split: .train, module: module())
        return ""
      } catch {
        return error.description
      }
    }
    func edit(_ old: String, _ new: String) -> (TemporaryFolder) throws -> Void {
      { folder in
        let text = try String(contentsOfFile: folder.file("manifest.json"), encoding: .utf8)
        #expect(text.contains(old))
        _ = try folder.write(Array(text.replacing(old, with: new).utf8), to: "manifest.json")
      }
    }
    /// Writes a shard that the manifest's digest is of, whatever it holds.
    func shard(_ tokens: [Int32], _ ends: [Int32]) -> (TemporaryFolder) throws -> Void {
      { folder in
        let file = folder.file("train-00000.safetensors")
        let text = try String(contentsOfFile: folder.file("manifest.json"), encoding: .utf8)
        let before = try #require(text.split(separator: "\"").first { $0.count == 64 })
        try SafetensorsWriter.write(
          [
            Tensor(name: "tokens", shape: [tokens.count], integers: tokens),
            Tensor(name: "ends", shape: [ends.count], integers: ends),
          ], to: file)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        let after = bytes.withUnsafeBytes { Digest(of: $0).description }
        _ = try folder.write(
          Array(text.replacing(String(before), with: after).utf8), to: "manifest.json")
      }
    }
    /// Changes one token to another of the same vocabulary.
    func flip(_ folder: TemporaryFolder) throws {
      let file = folder.file("train-00000.safetensors")
      var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
      bytes[bytes.count - 4] ^= 1
      _ = try folder.write(bytes, to: "train-00000.safetensors")
    }
    #expect(try message(flip).contains("it is damaged"))
    #expect(try message { _ in }.isEmpty)
    #expect(try message(edit("\"tokens\" : 5", "\"tokens\" : 6")).contains("is not the shard"))
    #expect(try message(edit("\"version\" : 1", "\"version\" : 2")).contains("form 2"))
    #expect(try message(edit("\"version\"", "\"form\"")).contains("no manifest"))
    #expect(try message(edit("train-0", "../train-0")).contains("outside"))
    #expect(try message(edit("\"image\"", "\"sound\"")).contains("'sound' 260...323"))
    #expect(try message(shard([1, 2, 3, 4, -1], [3, 5])).contains("token 4 is -1"))
    #expect(try message(shard([1, 2, 3, 4, 324], [3, 5])).contains("token 4 is 324"))
    for ends in [[5, 3], [3, 3], [0, 5], [3, 4], [-1, 5], [3, 6]] as [[Int32]] {
      #expect(try message(shard([1, 2, 3, 4, 5], ends)).contains("do not ascend"))
    }
    let full = try shards([[1]])
    #expect(throws: Diagnostic.self) { try ShardWriter(folder: full.path, module: module()) }
  }

  @Test func filesThatShrinkAreErrors() throws {
    let folder = try shards([[Int]](repeating: [1, 2, 3], count: 9000))
    var source = try BatchSource(
      TokenShards(folder: folder.path, split: .train, module: module()), module: module(), seed: 1)
    _ = try source.next()
    truncate(folder.file("train-00000.safetensors"), 4096)
    #expect(throws: Diagnostics.self) { try source.next() }
  }
}

extension DataPosition {
  /// The beginning of the same epoch.
  fileprivate var rewound: DataPosition {
    var position = self
    position.row = 0
    return position
  }
}
