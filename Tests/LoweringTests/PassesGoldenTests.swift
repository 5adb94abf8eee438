import Foundation
import Lowering
import MoTIR
import Testing

/// One small example a pass: Tests/Golden/NAME.motir holds the functions `@before` and `@after`.
@Suite struct PassesGoldenTests {
  /// Where the examples are.
  private static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Golden")

  @Test(arguments: Pass.all.map(\.name))
  func passDoesWhatItsExampleShows(_ name: String) throws {
    let file = Self.folder.appending(path: "\(name).motir")
    let text = try String(contentsOf: file, encoding: .utf8)
    var module = try Module.parse(text, file: file.lastPathComponent)
    let before = try #require(module.function("before"))
    let after = try Pipeline.run([try Pass.named(name)], on: before.graph, module: module)
    module.functions = [before, Function(name: "after", graph: after)]
    #expect(module.verify() == [])
    if ProcessInfo.processInfo.environment["MOTC_BLESS"] == "1" {
      try (Self.comment(of: text) + module.text).write(to: file, atomically: true, encoding: .utf8)
    } else {
      #expect(
        (text == Self.comment(of: text) + module.text) as Bool,
        """
        \(name) now makes of @before in \(file.path()):
        \(after.text)
        If that is right, bless it: MOTC_BLESS=1 swift test --filter PassesGoldenTests
        """)
    }
  }

  @Test func documentationListsThePassesInOrder() throws {
    let file = Self.folder.deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "docs/passes.md")
    let rows = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      .filter { $0.hasPrefix("| `") }.compactMap { $0.split(separator: "`").dropFirst().first }
    #expect(rows.map(String.init) == Pass.all.map(\.name))
  }

  /// Returns the comment lines at the head of `text`.
  private static func comment(of text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .prefix { $0.hasPrefix("//") }.map { "\($0)\n" }.joined()
  }
}
