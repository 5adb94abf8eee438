internal import MoTIR
internal import Yams

/// Files of YAML that people write.
enum YAMLFile {
  /// Returns the keys and values in the file at `path`.
  ///
  /// - Throws: `Diagnostic` if it cannot be read, or is no mapping.
  static func mapping(_ path: String) throws(Diagnostic) -> Yams.Node.Mapping {
    let bytes = try MappedFile.contents(path, limit: 1 << 20)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Diagnostic("\(path) is not UTF-8")
    }
    return try mapping(of: text, path)
  }

  /// Returns the keys and values in `text`, which stands in the file at `path`.
  ///
  /// - Throws: `Diagnostic` if it is no mapping.
  static func mapping(of text: String, _ path: String) throws(Diagnostic) -> Yams.Node.Mapping {
    // A few aliases of aliases take longer to compare than anyone waits.
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where line.prefix(while: { $0 != "#" }).contains(where: { "&*".contains($0) }) {
      throw Diagnostic(
        "no anchors or aliases (& and *) are read",
        at: Location(file: path, line: number + 1, column: 1))
    }
    let node: Yams.Node?
    do { node = try Yams.compose(yaml: text) } catch {
      throw Diagnostic("\(path) is no YAML: \(quoted("\(error)".prefix { $0 != "\n" }))")
    }
    guard let node else { return Yams.Node.Mapping([]) }
    guard let mapping = node.mapping else {
      throw Diagnostic("\(path) has no lines of the form KEY: VALUE")
    }
    return mapping
  }

  /// Returns where `node` stands in the file at `path`.
  static func place(of node: Yams.Node, _ path: String) -> Location? {
    node.mark.map { Location(file: path, line: $0.line, column: $0.column) }
  }
}
