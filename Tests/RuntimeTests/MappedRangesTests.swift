import Foundation
import Runtime
import Testing

/// Files that get shorter while they are mapped.
@Suite struct MappedRangesTests {
  /// Maps a file and others beside it, lets it get shorter, and reads it.
  private static func readWhatIsGone() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("shrinks\u{1B}")
    for file in [path, folder.file("other")] {
      let tensor = try Tensor(name: "x", shape: [5000], floats: [Float](repeating: 1, count: 5000))
      try SafetensorsWriter.write([tensor], to: file)
    }
    let others = try (0..<20).map { _ in try SafetensorsReader(path: folder.file("other")) }
    let reader = try SafetensorsReader(path: path)
    MappedRanges.watch()
    truncate(path, 0)
    try FileManager.default.removeItem(atPath: folder.path)
    let sum = try reader.tensor("x")?.floats().reduce(0, +)
    print(others.count, sum ?? 0)
  }

  @Test func readingThemIsASentence() async {
    let result = await #expect(
      processExitsWith: .exitCode(2), observing: [\.standardErrorContent]
    ) {
      try MappedRangesTests.readWhatIsGone()
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("motc: a file that was being read got shorter, or its disk failed: '"))
    #expect(text.contains("/shrinks\\u{1b}'\n"), "\(text)")
  }

  @Test func otherErrorsStayWhatTheyAre() async {
    await #expect(processExitsWith: .signal(SIGBUS)) {
      MappedRanges.watch()
      raise(SIGBUS)
      // Raised once more, as the processor does an access that is made again.
      raise(SIGBUS)
    }
  }

  @Test func placesAreUsedAgain() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("x")
    try SafetensorsWriter.write([Tensor(name: "x", shape: [1], floats: [1])], to: path)
    // More files than the table has places.
    for _ in 0..<3000 {
      let readers = try (0..<3).map { _ in try SafetensorsReader(path: path) }
      #expect(try readers.allSatisfy { try $0.tensor("x")?.floats() == [1] })
    }
  }
}
