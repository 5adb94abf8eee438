/// A named array in memory or in a mapped file, row-major and little-endian.
package struct Tensor {
  /// The name, as in a file.
  package let name: String
  /// How the elements are stored.
  package let format: ElementFormat
  /// The extents; `[]` for a scalar.
  package let shape: [Int]
  /// The bytes, aligned to the element size. Valid as long as `owner` lives.
  private let storage: UnsafeRawBufferPointer
  /// What keeps the bytes alive: a buffer, or a mapped file.
  private let owner: AnyObject

  /// Creates a tensor over the bytes of `owner`.
  ///
  /// - Requires: `storage` has the size of the shape and is aligned to the element size.
  init(
    name: String, format: ElementFormat, shape: [Int], storage: UnsafeRawBufferPointer,
    owner: AnyObject
  ) {
    self.name = name
    self.format = format
    self.shape = shape
    self.storage = storage
    self.owner = owner
  }

  /// Creates a tensor with a copy of these numbers.
  ///
  /// - Requires: their count is the product of the shape.
  /// - Throws: `Diagnostic` if memory is short.
  package init(name: String, shape: [Int], floats: [Float]) throws {
    try self.init(name: name, format: .f32, shape: shape, elements: floats)
  }

  /// Creates a tensor with a copy of these numbers.
  ///
  /// - Requires: their count is the product of the shape.
  /// - Throws: `Diagnostic` if memory is short.
  package init(name: String, shape: [Int], integers: [Int32]) throws {
    try self.init(name: name, format: .i32, shape: shape, elements: integers)
  }

  /// Creates a tensor with a copy of `bytes`.
  ///
  /// - Requires: the count of bytes is the size of the shape in this format.
  /// - Throws: `Diagnostic` if memory is short.
  package init(name: String, format: ElementFormat, shape: [Int], bytes: [UInt8]) throws {
    try self.init(name: name, format: format, shape: shape, elements: bytes)
  }

  /// Creates a tensor with a copy of the memory of `elements`.
  private init<Element: BitwiseCopyable>(
    name: String, format: ElementFormat, shape: [Int], elements: [Element]
  ) throws {
    let size = elements.count * MemoryLayout<Element>.stride
    precondition(size == shape.reduce(format.size, *), "\(name): values do not fill \(shape)")
    let buffer = try AlignedBuffer(count: size)
    elements.withUnsafeBytes { buffer.bytes.copyMemory(from: $0) }
    self.init(
      name: name, format: format, shape: shape, storage: UnsafeRawBufferPointer(buffer.bytes),
      owner: buffer)
  }

  /// The number of elements.
  package var count: Int { storage.count / format.size }

  /// Calls `body` with the bytes, which must not be used after it returns.
  package func withBytes<Result, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> Result
  ) throws(E) -> Result {
    defer { withExtendedLifetime(owner) {} }
    return try body(storage)
  }

  /// Returns the same tensor called `name`.
  package func renamed(_ name: String) -> Tensor {
    Tensor(name: name, format: format, shape: shape, storage: storage, owner: owner)
  }
}
