/// Objects that are linked together, with the working memory that a thread needs for them, and their form
/// in the cache: words of 8 bytes, little-endian (scratch bytes, number of objects, the size of each),
/// then the objects.
package struct MachineCode: Hashable, Sendable {
  /// The objects.
  package let objects: [[UInt8]]
  /// Bytes of scratch memory that each thread needs.
  package let scratchBytes: Int

  /// Creates code.
  package init(objects: [[UInt8]], scratchBytes: Int) {
    self.objects = objects
    self.scratchBytes = scratchBytes
  }

  /// Creates code from what `bytes` was; `nil` for anything else.
  package init?(bytes: [UInt8]) {
    var rest = bytes[...]
    func word() -> Int? {
      guard rest.count >= 8 else { return nil }
      defer { rest = rest.dropFirst(8) }
      let word = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      return word < 1 << 40 ? Int(word) : nil
    }
    guard let scratchBytes = word(), let count = word(), count <= rest.count / 8 else { return nil }
    let sizes = (0..<count).compactMap { _ in word() }
    guard sizes.count == count, sizes.reduce(0, +) == rest.count else { return nil }
    var objects: [[UInt8]] = []
    for size in sizes {
      objects.append(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
    self.init(objects: objects, scratchBytes: scratchBytes)
  }

  /// The bytes that stand for it in the cache.
  package var bytes: [UInt8] {
    let words = [scratchBytes, objects.count] + objects.map(\.count)
    let header = words.flatMap { word in
      withUnsafeBytes(of: UInt64(word).littleEndian) { Array($0) }
    }
    return objects.reduce(header, +)
  }
}
