/// The contents of a file in the object cache: a header that says what the rest must be, and the object.
///
/// magic (8 bytes), version (u32), key (32), SHA-256 of the object (32), length (u64), object; numbers are
/// little-endian.
enum CacheEntry {
  /// The end of every entry's file name.
  static let suffix = ".motco"

  private static let magic = Array("MOTCOBJ\n".utf8)
  private static let version: UInt32 = 1

  /// Returns the file contents for `object` under `key`.
  static func bytes(of object: [UInt8], key: Digest) -> [UInt8] {
    header(of: object, key: key) + object
  }

  /// Returns the object in `bytes`, or `nil` unless they are what `bytes(of:key:)` returns for it.
  static func object(in bytes: [UInt8], key: Digest) -> [UInt8]? {
    let size = magic.count + 4 + Digest.size + Digest.size + 8
    guard bytes.count >= size else { return nil }
    let object = Array(bytes[size...])
    return bytes.starts(with: header(of: object, key: key)) ? object : nil
  }

  /// Returns what stands before `object`.
  private static func header(of object: [UInt8], key: Digest) -> [UInt8] {
    let digest = object.withUnsafeBytes { Digest(of: $0) }
    return magic + littleEndian(version) + key.bytes + digest.bytes
      + littleEndian(UInt64(object.count))
  }

  private static func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }
}
