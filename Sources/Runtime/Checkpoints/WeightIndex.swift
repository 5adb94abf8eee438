package import MoTIR

/// A `model.safetensors.index.json`: which file of its folder has which tensor.
package enum WeightIndex {
  /// Returns the tensors of the files that the index at `path` lists.
  ///
  /// - Throws: `Diagnostics` with what is wrong with the index and with the files, and every tensor that is not where
  ///   the index has it.
  package static func read(_ path: String) throws(Diagnostics) -> SafetensorsReader {
    let listed = try Diagnostics.collecting { () throws(Diagnostic) in
      try places(of: path)
    }
    let files = Set(listed.map(\.file)).sorted()
    let reader = try SafetensorsReader(
      paths: files.map { "\(path.folderOfPath)/\($0)" }, name: path)
    var problems: [Diagnostic] = []
    for (name, file) in listed where reader.tensor(name) == nil {
      problems.append(
        Diagnostic("\(path): \(quoted(file)) does not have the tensor \(quoted(name))"))
    }
    let known = Set(listed.map(\.name))
    for name in reader.names where !known.contains(name) {
      problems.append(Diagnostic("\(path) does not list the tensor \(quoted(name)) of its files"))
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    return reader
  }

  private static func places(
    of path: String
  ) throws(Diagnostic) -> [(name: String, file: String)] {
    let bytes = try MappedFile.contents(path, limit: SafetensorsHeader.limit)
    let json: StrictJSON
    do throws(Diagnostic) { json = try StrictJSON.parse(bytes) } catch {
      throw Diagnostic("\(path): \(error.message)")
    }
    guard case .object(let members) = json,
      case .object(let map)? = members.first(where: { $0.key == "weight_map" })?.value
    else { throw Diagnostic("\(path) has no object 'weight_map'") }
    return try map.map { member throws(Diagnostic) in
      guard case .string(let file) = member.value, !file.isEmpty, file != "..", file != ".",
        !file.contains("/"), !file.contains("\0")
      else {
        throw Diagnostic(
          "\(path): the file of \(quoted(member.key)) is no name of a file in its folder")
      }
      return (member.key, file)
    }
  }
}
