internal import MoTIR

/// Writes safetensors files: the same tensors give the same bytes.
package enum SafetensorsWriter {
  /// Writes `tensors` and `metadata` to the file at `path`, which holds its old contents until the new
  /// ones are complete.
  ///
  /// Tensors are ordered by falling element size, then by name, so that each is aligned to its elements;
  /// metadata is ordered by key.
  ///
  /// - Throws: `Diagnostic` if two tensors have one name, if a name is not allowed, or if the file cannot
  ///   be written.
  package static func write(
    _ tensors: [Tensor], metadata: [String: String] = [:], to path: String
  ) throws {
    let ordered = tensors.sorted {
      ($1.format.size, $0.name) < ($0.format.size, $1.name)
    }
    if let name = ordered.map(\.name).first(where: { !SafetensorsHeader.allows(name: $0) }) {
      throw Diagnostic("\(quoted(name)) cannot name a tensor in a file")
    }
    guard Set(ordered.map(\.name)).count == ordered.count else {
      throw Diagnostic("two tensors for \(path) have one name")
    }
    let header = self.header(ordered, metadata: metadata)
    let length = Swift.withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    let start = length + header
    try start.withUnsafeBytes { head in
      // The pointers outlive the closures they come from: `ordered` keeps every owner alive.
      defer { withExtendedLifetime(ordered) {} }
      try writeAtomically([head] + ordered.map { $0.withBytes { $0 } }, to: path)
    }
  }

  /// Returns the header's JSON, padded by spaces to a multiple of 8 bytes.
  private static func header(_ tensors: [Tensor], metadata: [String: String]) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }
      let texts = pairs.map { "\(escaped($0.key)):\(escaped($0.value))" }
      members.append("\"__metadata__\":{\(texts.joined(separator: ","))}")
    }
    var offset = 0
    for tensor in tensors {
      let end = offset + tensor.count * tensor.format.size
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(escaped(tensor.name)):{\"dtype\":\"\(tensor.format.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var bytes = Array("{\(members.joined(separator: ","))}".utf8)
    while !bytes.count.isMultiple(of: 8) { bytes.append(0x20) }
    return bytes
  }

  /// Returns `text` as a JSON string.
  private static func escaped(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\u{0}"..."\u{1F}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
