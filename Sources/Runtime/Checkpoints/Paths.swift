/// Returns `number` with zeros before it up to `digits` digits, so that names sort as numbers do.
package func numbered(_ number: Int, digits: Int) -> String {
  let text = "\(number)"
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}

extension String {
  /// The folder of the file at this path, `.` for a name alone.
  ///
  /// Foundation's own (`NSString.deletingLastPathComponent`) traps on names of one letter.
  package var folderOfPath: String {
    guard let slash = lastIndex(of: "/") else { return "." }
    return slash == startIndex ? "/" : String(self[..<slash])
  }

  /// The part of this path behind its last slash.
  package var nameOfPath: String {
    lastIndex(of: "/").map { String(self[index(after: $0)...]) } ?? self
  }
}
