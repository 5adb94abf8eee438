import Foundation
import MoTIR
import Runtime
import Testing

@Suite struct CorpusTests {
  /// The corpus that comes with the project.
  private static let examples = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("examples/data").path

  private func png(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: "\(Self.examples)/\(name)")))
  }

  @Test func picturesAreReadAndWritten() throws {
    let picture = try Picture(png: png("circle.png"))
    #expect(picture.width == 32 && picture.height == 32)
    #expect(picture.pixels.prefix(3) == [245, 245, 245])
    #expect(try Picture(png: picture.png()) == picture)
    let small = picture.resized(side: 2)
    #expect(small.pixels.count == 12)
    #expect(
      Picture(width: 2, height: 1, pixels: [0, 0, 0, 255, 9, 1]).resized(side: 1).pixels == [
        128, 5, 1,
      ])
    #expect(Picture(width: 1, height: 1, pixels: [1, 2, 3]).resized(side: 2).pixels.count == 12)
  }

  @Test func hostilePicturesAreErrors() throws {
    let good = try png("circle.png")
    for count in stride(from: 0, to: good.count, by: 97) {
      #expect(throws: Diagnostic.self) { try Picture(png: Array(good[..<count])) }
    }
    for index in 0..<200 {
      var bad = good
      bad[index] ^= 0x41
      _ = try? Picture(png: bad)
    }
    // A header that promises 2^31 - 1 pixels a side, or 4097.
    for side in [[0x7F, 0xFF, 0xFF, 0xFF], [0, 0, 0x10, 0x01]] as [[UInt8]] {
      var large = good
      large.replaceSubrange(16..<24, with: side + side)
      large.replaceSubrange(29..<33, with: checksum(large[12..<29]))
      #expect(throws: Diagnostic.self) { try Picture(png: large) }
    }
    #expect(throws: Diagnostic.self) { try Picture(png: Array("no picture".utf8)) }
  }

  /// The CRC-32 of a PNG chunk, big-endian.
  private func checksum(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var value = UInt32.max
    for byte in bytes {
      value ^= UInt32(byte)
      for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return withUnsafeBytes(of: (~value).bigEndian) { Array($0) }
  }

  @Test func tokensComeBack() throws {
    let tokenizer = Tokenizer(
      module: .bytes(batch: 1, sequence: 8, modalities: ["text", "image", "speech"]))
    #expect(try tokenizer.tokens(text: "aé") == [97, 0xC3, 0xA9])
    #expect(tokenizer.text([97, 0xC3, 0xA9, 256, 300]) == "aé")
    let picture = Picture(width: 1, height: 1, pixels: [255, 64, 0])
    #expect(try tokenizer.tokens(picture: picture, side: 1) == [256, 260 + 52, 257])
    #expect(tokenizer.picture([312], side: 1).pixels == [255, 85, 0])
    #expect(tokenizer.picture([], side: 2).pixels.count == 12)
    #expect(try tokenizer.tokens(speech: [0, 499]) == [258, 324, 823, 259])
    #expect(throws: Diagnostic.self) { try tokenizer.tokens(speech: [500]) }
    let narrow = Tokenizer(module: .sample())
    #expect(throws: Diagnostic.self) { try narrow.tokens(text: "a") }
    #expect(throws: Diagnostic.self) { try narrow.tokens(picture: picture, side: 1) }
  }

  @Test func batchesAreDocumentsInARow() throws {
    let module = Module.bytes(batch: 2, sequence: 256, modalities: ["text", "image", "speech"])
    let corpus = try Corpus(path: Self.examples, module: module, seed: 1, pictureSide: 8)
    #expect(corpus.count == 16)
    let batch = try corpus.batch(step: 3)
    let again = try Corpus(path: Self.examples, module: module, seed: 1, pictureSide: 8)
    #expect(try again.batch(step: 3) == batch)
    #expect(try again.batch(step: 4) != batch)
    for index in batch.tokens.indices.dropLast() {
      let isEnd = batch.documents[index] != batch.documents[index + 1] || index == 255
      #expect(batch.targets[index] == (isEnd ? -100 : batch.tokens[index + 1]))
    }
    #expect(batch.documents[0] == 0 && batch.documents[256] == 0)
    #expect((0..<512).filter { batch.segments[$0] > 0 }.allSatisfy { batch.modality[$0] == 1 })
    let modalities = try (0..<8).flatMap { try corpus.batch(step: $0).modality }
    #expect(Set(modalities) == [0, 1, 2])
  }

  @Test func modalitiesChooseTheItems() throws {
    for (modalities, count) in [(["text"], 8), (["text", "image"], 8), (["text", "speech"], 8)] {
      let module = Module.bytes(batch: 1, sequence: 32, modalities: modalities)
      let corpus = try Corpus(path: Self.examples, module: module, seed: 1)
      #expect(corpus.count == count)
      _ = try corpus.batch(step: 0)
    }
    let silent = Module.bytes(batch: 1, sequence: 32, modalities: ["image"])
    #expect(throws: Diagnostics.self) { try Corpus(path: Self.examples, module: silent, seed: 1) }
  }

  @Test func badFoldersAreErrors() throws {
    let module = Module.bytes(batch: 1, sequence: 32, modalities: ["text", "image", "speech"])
    func message(_ files: [String: String]) throws -> String {
      let folder = try TemporaryFolder()
      _ = try folder.write(png("bar.png"), to: "bar.png")
      for (name, text) in files { _ = try folder.write(Array(text.utf8), to: name) }
      do {
        _ = try Corpus(path: folder.path, module: module, seed: 1)
        return ""
      } catch {
        return error.description
      }
    }
    #expect(try message([:]).contains("cannot open"))
    #expect(try message(["captions.txt": "# nothing\n"]).contains("no captions"))
    #expect(try message(["captions.txt": "\nno tab\n"]).contains("captions.txt:2:1"))
    #expect(try message(["captions.txt": "../x.png\tup\n/x.png\tup\n"]).contains("outside"))
    #expect(try message(["captions.txt": "captions.txt\tme\n"]).contains("no sound PNG"))
    let one = "bar.png\ta bar\n"
    #expect(try message(["captions.txt": one]).isEmpty)
    #expect(try message(["captions.txt": one, "speech-units.txt": "1 2\n3\n"]).contains("2 lines"))
    #expect(try message(["captions.txt": one, "speech-units.txt": "1 x\n"]).contains("no integer"))
    #expect(try message(["captions.txt": one, "speech-units.txt": "1 500\n"]).contains("500"))
    let manifest = "[{\"file\": \"bar.png\", \"caption\": \"a bar\"}]"
    #expect(try message(["manifest.json": manifest]).isEmpty)
    #expect(try message(["manifest.json": "[{\"file\": 1}]"]).contains("element 0"))
    #expect(try message(["manifest.json": "{}"]).contains("not a JSON array"))
    #expect(throws: Diagnostics.self) {
      try Corpus(path: Self.examples, module: module, seed: 1, pictureSide: 0)
    }
  }
}
