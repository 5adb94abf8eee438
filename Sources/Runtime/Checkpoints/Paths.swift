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
