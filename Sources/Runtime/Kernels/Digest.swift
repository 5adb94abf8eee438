internal import CCrypto

/// A SHA-256 digest.
package struct Digest: Hashable, Sendable, CustomStringConvertible {
  /// The number of bytes in a digest.
  static let size = 32

  /// The bytes.
  let bytes: [UInt8]

  /// Creates the digest of `bytes`.
  package init(of bytes: UnsafeRawBufferPointer) {
    var digest = [UInt8](repeating: 0, count: Self.size)
    // A pointer is needed even for no bytes.
    let none: [UInt8] = [0]
    none.withUnsafeBytes { none in
      let start = (bytes.baseAddress ?? none.baseAddress)?.assumingMemoryBound(to: UInt8.self)
      _ = SHA256(start, bytes.count, &digest)
    }
    self.bytes = digest
  }

  /// Creates the digest of `fields`, each behind its length, so that no two lists read alike.
  package init(fields: [[UInt8]]) {
    var text: [UInt8] = []
    for field in fields {
      let length = UInt64(field.count).littleEndian
      Swift.withUnsafeBytes(of: length) { text.append(contentsOf: $0) }
      text += field
    }
    self = text.withUnsafeBytes { Digest(of: $0) }
  }

  /// The digest as 64 hexadecimal digits.
  package var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
