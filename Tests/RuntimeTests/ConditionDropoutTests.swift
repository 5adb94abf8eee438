import Foundation
import MoTIR
import Runtime
import Testing

/// Spans of continuous tokens that are learned without what stands before them.
@Suite struct ConditionDropoutTests {
  /// Text 0..<10 and pictures of tokens of one number: rows of 6 tokens.
  private let module = Module(
    name: "patches", batch: 4, sequence: 6,
    modalities: [
      ModalityDeclaration(name: "text", vocabulary: 0..<10),
      ModalityDeclaration(name: "image", latents: 1, begin: 8, end: 9, attends: .withinSpan),
    ], parameters: [], objectives: [], functions: [])

  private static let documents = 400

  /// Returns a folder of documents of a row each: two of text, of which one is the document's, and a picture.
  private func shards() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    var writer = try ShardWriter(folder: folder.path, module: module)
    for number in 0..<Self.documents {
      try writer.append(
        [1, number % 8, 8, -2, -2, 9], latents: ["image": [Float(number), 0.5]], to: .train)
    }
    _ = try writer.finish()
    return folder
  }

  private func source(
    _ folder: TemporaryFolder, _ probability: Double, seed: UInt64? = 1,
    at position: DataPosition = DataPosition()
  ) throws -> BatchSource {
    try BatchSource(
      TokenShards(folder: folder.path, split: .train, module: module), module: module, seed: seed,
      dropout: ConditionDropout(probability, of: module), position: position)
  }

  /// Returns the numbers of the documents of one epoch whose pictures are without text, and the rest.
  private func epoch(_ source: inout BatchSource) throws -> (without: Set<Int>, with: Set<Int>) {
    var (without, with): (Set<Int>, Set<Int>) = ([], [])
    for _ in 0..<(Self.documents / module.batch) {
      let batch = try source.next()
      for row in 0..<module.batch {
        let first = row * module.sequence
        let number = Int(batch.continuous["latents.image"]?[first + 3] ?? -1)
        let documents = Array(batch.documents[first..<(first + 6)])
        let positions = Array(batch.positions[first..<(first + 6)])
        if documents == [0, 0, 1, 1, 1, 1] {
          without.insert(number)
          #expect(positions == [0, 1, 0, 1, 2, 3])
        } else {
          with.insert(number)
          #expect(documents == [0, 0, 0, 0, 0, 0] && positions == [0, 1, 2, 3, 4, 5])
        }
      }
    }
    return (without, with)
  }

  @Test(arguments: [0, 0.1, 0.4, 1])
  func theShareIsTheProbability(_ probability: Double) throws {
    let folder = try shards()
    var source = try source(folder, probability)
    var share = 0.0
    for _ in 0..<5 {
      let (without, with) = try epoch(&source)
      #expect(without.count + with.count == Self.documents && without.isDisjoint(with: with))
      share += Double(without.count) / Double(5 * Self.documents)
    }
    // Three standard deviations of 2000 draws.
    let bound = 3 * (probability * (1 - probability) / 2000).squareRoot()
    #expect(abs(share - probability) <= bound, "\(share)")
  }

  @Test func epochsAndSeedsChooseOtherDocuments() throws {
    let folder = try shards()
    var (one, other) = (try source(folder, 0.5), try source(folder, 0.5, seed: 2))
    let first = try epoch(&one).without
    #expect(try epoch(&one).without != first)
    #expect(try epoch(&other).without != first)
    var again = try source(folder, 0.5)
    #expect(try epoch(&again).without == first)
  }

  @Test func whatIsChosenDependsOnSeedAndPlaceAlone() throws {
    let folder = try shards()
    var whole = try source(folder, 0.5)
    for _ in 0..<150 {
      var resumed = try source(folder, 0.5, at: whole.position)
      #expect(try whole.next() == resumed.next())
    }
  }

  @Test func validationLosesNothing() throws {
    let folder = try shards()
    var (one, other) = (try source(folder, 1, seed: nil), try source(folder, 0, seed: nil))
    #expect(try one.epoch(limit: 100) == other.epoch(limit: 100))
  }

  /// Noise and order of documents are the same with and without.
  @Test func nothingElseChanges() throws {
    let folder = try shards()
    var (one, other) = (try source(folder, 1), try source(folder, 0))
    let (cut, whole) = (try one.next(), try other.next())
    #expect(cut.tokens == whole.tokens && cut.modality == whole.modality)
    #expect(cut.continuous == whole.continuous && cut.segments == whole.segments)
    #expect(cut.documents != whole.documents)
    // The marker is said by nothing that stands before it.
    let changed = zip(cut.targets, whole.targets).enumerated().filter { $1.0 != $1.1 }.map(\.offset)
    #expect(changed.allSatisfy { whole.targets[$0] == 8 && cut.targets[$0] == Batch.ignored })
  }

  @Test(arguments: [
    ([1, 8, -2, -2, 9, 3, 8, -2, 9], [1, 6]), ([8], [0]), ([1, 2], []), ([-2, -2, 9], [0]),
    ([3, -2, -2, 8], [1, 3]), ([8, 8, -2], [0, 1]),
  ])
  func aSpanStandsFromItsMarkerOn(_ tokens: [Int], _ starts: [Int]) {
    #expect(module.unconditionedStarts(of: tokens) == starts)
  }

  @Test func modelsThatCannotAreRefused() throws {
    let text = Modality("text", vocabulary: 0..<10)
    let image = Modality("image", latents: 1, begin: 8, end: 9)
    func refusal(_ modalities: [Modality], documents: Bool) throws -> Diagnostic? {
      let module = try Model("m", modalities: modalities, width: 4) {
        Embedding()
        Residual { Attention(heads: 1, documents: documents) }
        Head()
      } objectives: {
        NextToken(on: text)
        if modalities.count > 1 { Denoise(on: image) }
      }.module(batch: 1, sequence: 4)
      do throws(Diagnostic) {
        _ = try ConditionDropout(0, of: module)
        _ = try ConditionDropout(0.1, of: module)
        return nil
      } catch {
        return error
      }
    }
    #expect(try refusal([text, image], documents: true) == nil)
    let sees = try #require(try refusal([text, image], documents: false))
    #expect(sees.message.contains("condition_dropout is 0.1, and this attention sees"))
    #expect(sees.location != nil && sees.suggestion == "write Attention(documents: true)")
    let ids = try #require(try refusal([text], documents: true))
    #expect(ids.message.contains("'m' has no modality of continuous tokens"))
  }
}
