/// The functions that an ELF object for a 64-bit little-endian machine defines, as its symbol table says.
struct ObjectSymbols {
  /// A function that other objects may call.
  struct Function: Hashable {
    let name: String
    /// Bytes of code.
    let size: Int
  }

  /// The functions, in the table's order; none if `object` is no such file.
  private(set) var functions: [Function] = []
  private let bytes: [UInt8]

  /// Reads the symbol table of `object`.
  init(of object: [UInt8]) {
    bytes = object
    guard object.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]), let sections = number(0x28, 8),
      let size = number(0x3A, 2), let count = number(0x3C, 2)
    else { return }
    for index in 0..<count where number(sections + index * size + 4, 4) == 2 {
      let table = sections + index * size
      guard let link = number(table + 0x28, 4),
        let names = number(sections + link * size + 0x18, 8), let start = number(table + 0x18, 8),
        let bytes = number(table + 0x20, 8)
      else { return }
      functions += (0..<bytes / 24).compactMap { symbol(at: start + 24 * $0, names: names) }
    }
  }

  /// Returns the symbol at byte `place` if it is a function that is defined and not local.
  private func symbol(at place: Int, names: Int) -> Function? {
    guard let info = number(place + 4, 1), info & 15 == 2, info >> 4 != 0,
      let section = number(place + 6, 2), section != 0, let size = number(place + 16, 8),
      let name = number(place, 4), name <= bytes.count - names
    else { return nil }
    let text = bytes[(names + name)...].prefix { $0 != 0 }
    return Function(name: String(decoding: text, as: UTF8.self), size: size)
  }

  /// Returns the number in `width` bytes at `place`; `nil` where it is outside of the file, or could not
  /// be a place in it.
  private func number(_ place: Int, _ width: Int) -> Int? {
    guard place >= 0, place <= bytes.count - width else { return nil }
    let number = bytes[place..<place + width].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return number <= UInt64(bytes.count) ? Int(number) : nil
  }
}
