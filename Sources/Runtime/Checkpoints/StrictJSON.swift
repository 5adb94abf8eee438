package import MoTIR

/// A JSON value as RFC 8259 has it. Members keep their order; numbers keep their text.
package enum StrictJSON: Hashable {
  case null
  case boolean(Bool)
  case number(String)
  case string(String)
  case array([StrictJSON])
  case object([Member])

  /// A key and its value.
  package struct Member: Hashable {
    let key: String
    let value: StrictJSON

    /// Creates a member.
    package init(key: String, value: StrictJSON) {
      self.key = key
      self.value = value
    }
  }

  /// Parses `bytes`, which must hold one value and else only white space.
  ///
  /// A key that appears twice in an object is an error, as is anything deeper than `depth`, and so are
  /// more than `limit` values, which bounds the memory that a file of a given size can ask for.
  ///
  /// - Throws: `Diagnostic` with the offset of the first byte that is wrong.
  /// - Complexity: O(n).
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, depth: Int = 8, limit: Int = 1 << 22
  ) throws(Diagnostic) -> StrictJSON {
    var parser = JSONParser(bytes: bytes, depthLimit: depth, valueLimit: limit)
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.isAtEnd else { throw parser.error("text after the value") }
    return value
  }

  /// Parses `bytes` as `parse` of a buffer does.
  package static func parse(
    _ bytes: [UInt8], depth: Int = 8, limit: Int = 1 << 22
  ) throws(Diagnostic) -> StrictJSON {
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(Diagnostic) in try parse(buffer, depth: depth, limit: limit) }
    }
    return try result.get()
  }

  /// The number as an integer that is not negative, if it is one: digits only, and it fits.
  package var natural: Int? {
    guard case .number(let text) = self, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      return nil
    }
    return Int(text)
  }
}

/// The state of a parse: the bytes, and how many are read.
private struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let depthLimit: Int
  let valueLimit: Int
  var index = 0
  var values = 0

  var isAtEnd: Bool { index == bytes.count }

  /// The next byte; 0, which no JSON text holds, at the end.
  var next: UInt8 { index < bytes.count ? bytes[index] : 0 }

  /// Returns the error that `message` is wrong at the current byte.
  func error(_ message: String) -> Diagnostic {
    Diagnostic("JSON: \(message) at byte \(index)")
  }

  mutating func skipSpace() {
    while next == 0x20 || next == 0x0A || next == 0x0D || next == 0x09 { index += 1 }
  }

  /// Reads `byte` and returns `true`, if it is the next.
  mutating func accept(_ byte: Character) -> Bool {
    guard next == byte.asciiValue, index < bytes.count else { return false }
    index += 1
    return true
  }

  mutating func expect(_ byte: Character) throws(Diagnostic) {
    guard accept(byte) else { throw error("'\(byte)' is missing") }
  }

  /// Reads a value that stands in `depth` others.
  mutating func value(depth: Int) throws(Diagnostic) -> StrictJSON {
    guard depth < depthLimit else { throw error("values are nested deeper than \(depthLimit)") }
    values += 1
    guard values <= valueLimit else { throw error("there are more than \(valueLimit) values") }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
    default: return try word()
    }
  }

  mutating func object(depth: Int) throws(Diagnostic) -> StrictJSON {
    try expect("{")
    skipSpace()
    var members: [StrictJSON.Member] = []
    guard !accept("}") else { return .object(members) }
    var keys: Set<String> = []
    repeat {
      skipSpace()
      let key = try string()
      guard keys.insert(key).inserted else { throw error("the key \(quoted(key)) appears twice") }
      skipSpace()
      try expect(":")
      members.append(StrictJSON.Member(key: key, value: try value(depth: depth + 1)))
      skipSpace()
    } while accept(",")
    try expect("}")
    return .object(members)
  }

  mutating func array(depth: Int) throws(Diagnostic) -> StrictJSON {
    try expect("[")
    skipSpace()
    var elements: [StrictJSON] = []
    guard !accept("]") else { return .array(elements) }
    repeat {
      elements.append(try value(depth: depth + 1))
      skipSpace()
    } while accept(",")
    try expect("]")
    return .array(elements)
  }

  mutating func word() throws(Diagnostic) -> StrictJSON {
    for (word, value) in [("true", .boolean(true)), ("false", .boolean(false)), ("null", .null)]
      as [(String, StrictJSON)]
    where bytes[index...].starts(with: word.utf8) {
      index += word.utf8.count
      return value
    }
    throw error(isAtEnd ? "the text ends early" : "no value begins")
  }

  mutating func digits() throws(Diagnostic) {
    let start = index
    while (0x30...0x39).contains(next) { index += 1 }
    guard index > start else { throw error("a digit is missing") }
  }

  mutating func number() throws(Diagnostic) -> String {
    let start = index
    _ = accept("-")
    if !accept("0") { try digits() }
    if accept(".") { try digits() }
    if accept("e") || accept("E") {
      if !accept("+") { _ = accept("-") }
      try digits()
    }
    return String(decoding: bytes[start..<index], as: UTF8.self)
  }

  mutating func string() throws(Diagnostic) -> String {
    try expect("\"")
    var text: [UInt8] = []
    while !accept("\"") {
      guard !isAtEnd else { throw error("a string does not end") }
      guard next >= 0x20 else { throw error("a control character stands in a string") }
      if accept("\\") {
        try escape(into: &text)
      } else {
        text.append(next)
        index += 1
      }
    }
    guard let string = String(validating: text, as: UTF8.self) else {
      throw error("a string is not UTF-8")
    }
    return string
  }

  /// What the next byte stands for behind a backslash, `nil` if that needs more than this byte.
  var plainEscape: UInt8? {
    switch next {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): next
    case UInt8(ascii: "b"): 8
    case UInt8(ascii: "f"): 12
    case UInt8(ascii: "n"): 10
    case UInt8(ascii: "r"): 13
    case UInt8(ascii: "t"): 9
    default: nil
    }
  }

  /// Reads what follows a backslash and appends what it stands for.
  mutating func escape(into text: inout [UInt8]) throws(Diagnostic) {
    if let byte = plainEscape {
      index += 1
      return text.append(byte)
    }
    try expect("u")
    var code = try unit()
    if (0xD800..<0xDC00).contains(code) {
      try expect("\\")
      try expect("u")
      let low = try unit()
      guard (0xDC00..<0xE000).contains(low) else { throw error("a surrogate stands alone") }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw error("a surrogate stands alone") }
    text.append(contentsOf: String(Character(scalar)).utf8)
  }

  /// Reads four hexadecimal digits.
  mutating func unit() throws(Diagnostic) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(next)).hexDigitValue else {
        throw error("a hexadecimal digit is missing")
      }
      code = code << 4 | UInt32(digit)
      index += 1
    }
    return code
  }
}
