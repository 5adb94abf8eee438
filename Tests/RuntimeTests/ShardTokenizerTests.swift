import Foundation
import MoTIR
import Runtime
import Testing

/// The codebooks that shards come with.
@Suite struct ShardTokenizerTests {
  private let module = Module.bytes(
    batch: 1, sequence: 8, modalities: ["text", "image", "speech"])

  /// Writes shards with both codebooks to a new folder, and returns it with the tokenizer that made them.
  private func shards() throws -> (TemporaryFolder, Tokenizer) {
    let sources = try TemporaryFolder()
    let recording = Waveform.tones([400], seconds: 0.2).followed(by: .tones([900], seconds: 0.2))
    let path = try sources.write(recording.wav(), to: "a.wav")
    let tokenizer = Tokenizer(
      module: module, pictures: .palette(side: 1),
      speech: try SpeechCodebook.learned(from: [path], count: 500, seed: 0))
    let folder = try TemporaryFolder()
    var writer = try ShardWriter(folder: folder.path, module: module)
    try writer.append(tokenizer.tokens(waveform: recording), to: .train)
    _ = try writer.finish(pictures: tokenizer.pictures, speech: tokenizer.speech)
    return (folder, tokenizer)
  }

  @Test func shardsHaveTheirCodebooks() throws {
    let (folder, tokenizer) = try shards()
    let opened = try Tokenizer(module: module, shards: folder.path)
    #expect(opened.pictures == tokenizer.pictures && opened.speech == tokenizer.speech)
    #expect(throws: Diagnostics.self) {
      try Tokenizer(module: .sample(), shards: folder.path)
    }
    let recording = Waveform.tones([400], seconds: 0.2)
    let tokens = try opened.tokens(waveform: recording)
    #expect(tokens.first == 258 && tokens.last == 259 && tokens.count >= 3)
    // Tokens of other modalities say nothing.
    #expect(opened.waveform([97] + tokens + [300]) == opened.waveform(tokens))
    #expect(abs(opened.waveform(tokens).seconds - 0.2) < 0.1)
    // Codes need ids.
    let narrow = Tokenizer(module: .sample(), speech: opened.speech)
    #expect(throws: Diagnostic.self) { try narrow.tokens(waveform: recording) }
  }

  @Test(arguments: ["pictures.safetensors", "speech.safetensors"])
  func codebooksAreChecked(file: String) throws {
    let (folder, _) = try shards()
    func message() throws -> String {
      do {
        _ = try Tokenizer(module: module, shards: folder.path)
        return ""
      } catch {
        return error.description
      }
    }
    var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: folder.file(file))))
    bytes[bytes.count - 1] ^= 1
    _ = try folder.write(bytes, to: file)
    #expect(try message().contains("\(file) is not the file that was written"))
    try FileManager.default.removeItem(atPath: folder.file(file))
    #expect(try message().contains("cannot open"))
    let manifest = try String(contentsOfFile: folder.file("manifest.json"), encoding: .utf8)
    let outside = manifest.replacing("\"\(file)\"", with: "\"../\(file)\"")
    #expect(outside != manifest)
    _ = try folder.write(Array(outside.utf8), to: "manifest.json")
    #expect(try message().contains("outside its folder"))
  }
}
