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
    let module = Module.bytes(batch: 1, sequence: 8, modalities: ["text", "image", "speech"])
    let tokenizer = Tokenizer(module: module, pictures: .palette(side: 1))
    #expect(try tokenizer.tokens(text: "aé") == [97, 0xC3, 0xA9])
    #expect(tokenizer.text([97, 0xC3, 0xA9, 256, 300]) == "aé")
    let picture = Picture(width: 1, height: 1, pixels: [255, 80, 0])
    #expect(try tokenizer.tokens(picture: picture) == [256, 260 + 52, 257])
    #expect(tokenizer.picture([312]).pixels == [255, 85, 0])
    let wide = Tokenizer(module: module, pictures: .palette(side: 2))
    #expect(wide.picture([]).pixels.count == 12)
    #expect(try tokenizer.tokens(speech: [0, 499]) == [258, 324, 823, 259])
    #expect(throws: Diagnostic.self) { try tokenizer.tokens(speech: [500]) }
    let narrow = Tokenizer(module: .sample(), pictures: .palette(side: 1))
    #expect(throws: Diagnostic.self) { try narrow.tokens(text: "a") }
    #expect(throws: Diagnostic.self) { try narrow.tokens(picture: picture) }
  }

  @Test func codebooksLearnPatches() throws {
    let pictures = try ["circle", "square", "ring"].map { try Picture(png: png("\($0).png")) }
    let patches = pictures.flatMap { PictureCodebook.patches(of: $0, side: 8, patch: 4) }
    let few = PictureCodebook.learned(from: patches, side: 8, patch: 4, count: 4, seed: 1)
    let many = PictureCodebook.learned(from: patches, side: 8, patch: 4, count: 64, seed: 1)
    func distance(_ codebook: PictureCodebook) -> Int {
      pictures.reduce(0) { sum, picture in
        let codes = codebook.codes(of: picture)
        #expect(codes.count == 64 && codes.allSatisfy { $0 < codebook.count })
        return zip(codebook.picture(of: codes).pixels, picture.pixels).reduce(sum) {
          $0 + abs(Int($1.0) - Int($1.1))
        }
      }
    }
    #expect(distance(many) < distance(few) / 4)
    // Of a few colours and shapes 64 patches lose next to nothing: less than two levels of 255 a number.
    #expect(distance(many) < 2 * 3 * 32 * 32 * pictures.count)
    #expect(
      many == PictureCodebook.learned(from: patches, side: 8, patch: 4, count: 64, seed: 1))
    let folder = try TemporaryFolder()
    try many.write(to: folder.file("codebook"))
    #expect(try PictureCodebook(path: folder.file("codebook")) == many)
    // Fewer patches than codes: the others stand for nothing, and nothing breaks.
    let plain = Picture(width: 8, height: 8, pixels: [UInt8](repeating: 7, count: 192))
    let codebook = PictureCodebook.learned(
      from: PictureCodebook.patches(of: plain, side: 2, patch: 4), side: 2, patch: 4, count: 9,
      seed: 1)
    #expect(codebook.count == 9)
    #expect(codebook.picture(of: codebook.codes(of: plain)) == plain)
    #expect(codebook.picture(of: [-1, 99]).pixels.allSatisfy { $0 == 0 })
  }

  @Test func badCodebooksAreErrors() throws {
    let folder = try TemporaryFolder()
    func message(_ tensor: Tensor, side: String?) throws -> String {
      try SafetensorsWriter.write(
        [tensor], metadata: side.map { ["side": $0] } ?? [:], to: folder.file("c"))
      do {
        _ = try PictureCodebook(path: folder.file("c"))
        return ""
      } catch {
        return error.description
      }
    }
    func patches(_ shape: [Int], _ value: Float = 0) throws -> Tensor {
      try Tensor(
        name: "patches", shape: shape,
        floats: [Float](repeating: value, count: shape.reduce(1, *)))
    }
    #expect(try message(patches([2, 1, 1, 3]), side: "8").isEmpty)
    for (shape, side) in [
      ([2, 1, 2, 3], "8"), ([2, 1, 1, 4], "8"), ([6], "8"), ([0, 1, 1, 3], "8"),
      ([2, 1, 1, 3], "0"), ([2, 1, 1, 3], "x"), ([2, 1, 1, 3], nil), ([1, 65, 65, 3], "8"),
    ] as [([Int], String?)] {
      #expect(try message(patches(shape), side: side).contains("no codebook"))
    }
    #expect(try message(patches([2, 1, 1, 3], .nan), side: "8").contains("not finite at [0, 0"))
  }

  @Test func kindsChooseTheItems() throws {
    let corpus = CorpusFolder(path: Self.examples)
    #expect(try corpus.items(pictures: true, speech: true).count == 16)
    #expect(try corpus.items(pictures: true, speech: false).count == 8)
    #expect(try corpus.items(pictures: false, speech: true).count == 8)
    let plain = try corpus.items(pictures: false, speech: false)
    #expect(plain.count == 8 && plain[0].contents.isEmpty && plain[0].text.hasSuffix("\n"))
  }

  @Test func recordingsAreSpeech() throws {
    let folder = try TemporaryFolder()
    let recording = Waveform.tones([400], seconds: 0.2)
    _ = try folder.write(recording.wav(), to: "a.wav")
    _ = try folder.write(png("bar.png"), to: "bar.png")
    let captions = "bar.png\ta bar\na.wav\ta tone\nB.WAV\tanother\n"
    _ = try folder.write(Array(captions.utf8), to: "captions.txt")
    let corpus = CorpusFolder(path: folder.path)
    func contents(pictures: Bool, speech: Bool) throws -> [CorpusItem.Content] {
      try corpus.items(pictures: pictures, speech: speech).flatMap(\.contents)
    }
    let spoken = ["a.wav", "B.WAV"].map { CorpusItem.Content.recording(folder.file($0)) }
    let picture = CorpusItem.Content.picture(folder.file("bar.png"))
    #expect(try contents(pictures: true, speech: true) == [picture] + spoken)
    #expect(try contents(pictures: true, speech: false) == [picture])
    #expect(try contents(pictures: false, speech: true) == spoken)
    #expect(try contents(pictures: false, speech: false).isEmpty)
    #expect(try CorpusFolder.recording(at: folder.file("a.wav")) == Waveform(wav: recording.wav()))
    _ = try folder.write(Array("1\n2\n3\n".utf8), to: "speech-units.txt")
    #expect(throws: Diagnostic.self) { try contents(pictures: true, speech: true) }
    #expect(try contents(pictures: true, speech: false) == [picture])
  }

  @Test func itemsOfOneNameAndTextAreJoined() throws {
    let folder = try TemporaryFolder()
    let captions = "p/0.png\tone\np/1.png\ttwo\np/2.png\tthree\ns/0.wav\tone\ns/1.wav\tother\n"
    _ = try folder.write(Array(captions.utf8), to: "captions.txt")
    let items = try CorpusFolder(path: folder.path).items(pictures: true, speech: true)
    let joined = CorpusItem.joined(items)
    #expect(joined.map(\.text) == ["one\n", "two\n", "three\n", "other\n"])
    let (picture, recording) = (folder.file("p/0.png"), folder.file("s/0.wav"))
    #expect(joined[0].contents == [.picture(picture), .recording(recording)])
    #expect(joined.dropFirst().allSatisfy { $0.contents.count == 1 })
    // Captions alone stay apart.
    let plain = try CorpusFolder(path: folder.path).items(pictures: false, speech: false)
    #expect(CorpusItem.joined(plain) == plain)
    // Units go with the picture of their line.
    let both = try CorpusFolder(path: Self.examples).items(pictures: true, speech: true)
    #expect(CorpusItem.joined(both).map(\.contents.count) == [Int](repeating: 2, count: 8))
  }

  @Test func recordingsThatAreNoneNameTheirFile() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Array("RIFF".utf8), to: "bad.wav")
    do {
      _ = try CorpusFolder.recording(at: path)
      Issue.record("it was read")
    } catch {
      #expect(error.message.hasPrefix("\(path): the recording is no sound WAV"))
    }
  }

  @Test func largeTextsHaveAWayOut() throws {
    let folder = try TemporaryFolder()
    truncate(try folder.write([], to: "large.txt"), 64 << 20 + 1)
    do {
      _ = try CorpusFolder(path: folder.path).items(pictures: true, speech: true)
      Issue.record("it was read")
    } catch {
      #expect(error.description.contains("split it"))
    }
  }

  @Test func samplesAreOfAllFiles() throws {
    // Vectors of one number, which says whose they are: 100 files of 1000, and then 4.
    for count in [100, 4] {
      let files = (0..<count).map(String.init)
      func sample(_ seed: UInt64) -> VectorSample {
        VectorSample(of: files, width: 1, seed: seed) { file in
          (0..<1000).map { Float((Int(file) ?? 0) * 1000 + $0) }
        }
      }
      let values = sample(1).values
      #expect(values.count <= VectorSample.limit && Set(values).count == values.count)
      let shares = Dictionary(grouping: values) { Int($0) / 1000 }
      #expect(shares.count == count && Set(sample(1).files) == Set(files))
      #expect(shares.values.allSatisfy { $0.count == min(1000, VectorSample.limit / count) })
      #expect(values == sample(1).values && values != sample(2).values)
    }
    let most = VectorSample(of: (0..<1000).map(String.init), width: 2, seed: 1) { _ in
      [Float](repeating: 1, count: 2000)
    }
    #expect(most.values.count == 2 * VectorSample.limit && most.files.count == 128)
  }

  @Test func textFilesAreDocuments() throws {
    let folder = try TemporaryFolder()
    #expect(throws: Diagnostic.self) {
      try CorpusFolder(path: folder.path).items(pictures: true, speech: true)
    }
    for (name, text) in [("b.txt", "two"), ("a.txt", "one"), ("empty.txt", ""), ("x.md", "no")] {
      _ = try folder.write(Array(text.utf8), to: name)
    }
    let items = try CorpusFolder(path: folder.path).items(pictures: true, speech: true)
    #expect(items.map(\.text) == ["one", "two"])
    _ = try folder.write([0xFF], to: "c.txt")
    #expect(throws: Diagnostic.self) {
      try CorpusFolder(path: folder.path).items(pictures: true, speech: true)
    }
    #expect(throws: Diagnostic.self) {
      try CorpusFolder(path: "/nowhere").items(pictures: true, speech: true)
    }
  }

  @Test func badFoldersAreErrors() throws {
    let tokenizer = Tokenizer(
      module: .bytes(batch: 1, sequence: 32, modalities: ["text", "image", "speech"]),
      pictures: .palette(side: 8))
    func message(_ files: [String: String]) throws -> String {
      let folder = try TemporaryFolder()
      _ = try folder.write(png("bar.png"), to: "bar.png")
      for (name, text) in files { _ = try folder.write(Array(text.utf8), to: name) }
      do {
        let items = try CorpusFolder(path: folder.path).items(pictures: true, speech: true)
        for item in items { _ = try tokenizer.documents(of: item, textFirst: [true]) }
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(try message([:]).contains("nothing to learn from"))
    #expect(try message(["captions.txt": "# nothing\n"]).contains("no captions"))
    #expect(try message(["captions.txt": "\nno tab\n"]).contains("captions.txt:2:1"))
    #expect(try message(["captions.txt": "../x.png\tup\n"]).contains("outside"))
    #expect(try message(["captions.txt": "/x.png\tup\n"]).contains("outside"))
    #expect(try message(["captions.txt": "x.png\tup\n"]).contains("cannot open"))
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
  }
}
