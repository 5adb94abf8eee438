import Foundation
import MoTIR
import Testing

/// docs/ir.md holds the table of the ops that there are.
@Suite struct TextDocumentationTests {
  private static let file = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "docs/ir.md")

  @Test func theOpTableIsFresh() throws {
    let text = try String(contentsOf: Self.file, encoding: .utf8)
    let begin = try #require(text.range(of: OpDocumentation.begin))
    let end = try #require(text.range(of: OpDocumentation.end))
    let wanted = "\n\n\(OpDocumentation.table)\n\n"
    let isFresh = text[begin.upperBound..<end.lowerBound] == wanted
    if ProcessInfo.processInfo.environment["MOTC_BLESS"] == "1" {
      let blessed = text[..<begin.upperBound] + wanted + text[end.lowerBound...]
      try String(blessed).write(to: Self.file, atomically: true, encoding: .utf8)
    } else {
      #expect(
        isFresh,
        """
        the op table of docs/ir.md is stale; to write it anew:
        MOTC_BLESS=1 swift test --filter TextDocumentationTests
        """)
    }
  }

  @Test func theExampleIsAModule() throws {
    let text = try String(contentsOf: Self.file, encoding: .utf8)
    let begin = try #require(text.range(of: "```motir\n"))
    let end = try #require(text[begin.upperBound...].range(of: "```"))
    let example = String(text[begin.upperBound..<end.lowerBound])
    #expect(try Module.parse(example, file: "docs/ir.md").text == example)
  }
}
