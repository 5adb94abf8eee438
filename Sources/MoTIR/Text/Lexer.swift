/// A word of IR text, with its place.
struct Token {
  /// What sort of word it is.
  enum Kind {
    /// A keyword, mnemonic or attribute name: `linear.input_gradient`.
    case word
    /// The name of a value: `%12`.
    case value
    /// The name of a parameter, function or module: `@embedding.weight`.
    case symbol
    /// A quoted string.
    case string
    /// A number: `-1`, `1e-05`.
    case number
    /// One of `{ } [ ] ( ) , : = + # ..<`.
    case punctuation
    /// The end of the text.
    case end
  }

  /// What sort of word it is.
  let kind: Kind
  /// The word without sigil, quotes and escapes.
  let text: String
  /// The line, from 1.
  let line: Int
  /// The column in Unicode scalars, from 1.
  let column: Int
  /// `true` iff only blanks stand before it on its line.
  let startsLine: Bool

  /// `true` iff it is this keyword or sign.
  func isWord(_ word: String) -> Bool { (kind == .word || kind == .punctuation) && text == word }

  /// The word as an error message shows it; long ones are cut.
  var shown: String {
    let short = text.utf8.count > 60 ? "\(text.prefix(57))…" : text
    return switch kind {
    case .word, .number, .punctuation: "`\(short)`"
    case .value: "`%\(short)`"
    case .symbol: "`@\(short)`"
    case .string: quoted(short)
    case .end: "the end of the text"
    }
  }
}

/// Cuts IR text into tokens, one at a time: a token costs time in proportion to its length.
struct Lexer {
  private let file: String
  private let bytes: [UInt8]
  private var offset = 0
  private var line = 1
  private var lineStart = 0
  private var startsLine = true
  /// Bytes of the current line, so far, that continue a scalar and take no column.
  private var continuations = 0

  /// Creates a lexer at the start of `text`.
  init(_ text: String, file: String) {
    self.file = file
    bytes = Array(text.utf8)
  }

  /// Returns the next token.
  ///
  /// - Throws: what is wrong with the text there; the next call goes on behind it.
  mutating func next() throws(Diagnostic) -> Token {
    skipBlanks()
    let column = self.column
    let first = startsLine
    startsLine = false
    func token(_ kind: Token.Kind, _ text: String) -> Token {
      Token(kind: kind, text: text, line: line, column: column, startsLine: first)
    }
    guard offset < bytes.count else { return token(.end, "") }
    let byte = bytes[offset]
    switch byte {
    case UInt8(ascii: "%"): return token(.value, try name(column))
    case UInt8(ascii: "@"):
      return token(.symbol, peek(1) == quote ? try quotedName(column) : try name(column))
    case quote: return token(.string, try string(column))
    case UInt8(ascii: "."): return token(.punctuation, try range(column))
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      return token(.number, try number(column))
    case _ where byte.startsWord: return token(.word, word())
    case _ where punctuation.contains(byte):
      offset += 1
      return token(.punctuation, text(from: offset - 1))
    default: throw unexpected(column)
    }
  }

  // MARK: Kinds of tokens

  @discardableResult
  private mutating func word() -> String {
    let start = offset
    while peek(0).continuesWord || (peek(0) == dot && peek(1).continuesWord) { offset += 1 }
    return text(from: start)
  }

  /// Reads the name behind a sigil: letters, digits, `_`, `.` and `-`.
  private mutating func name(_ column: Int) throws(Diagnostic) -> String {
    offset += 1
    let start = offset
    while peek(0).continuesName { offset += 1 }
    guard offset > start else { throw error("a sigil without a name", column) }
    try checkLength(offset - start, column)
    return text(from: start)
  }

  private mutating func quotedName(_ column: Int) throws(Diagnostic) -> String {
    offset += 1
    return try string(column)
  }

  private mutating func number(_ column: Int) throws(Diagnostic) -> String {
    let start = offset
    if peek(0) == minus { offset += 1 }
    guard peek(0).isDigit else { throw error("a `-` without a number", column) }
    digits()
    if peek(0) == dot, peek(1).isDigit {
      offset += 1
      digits()
    }
    if peek(0) | 0x20 == UInt8(ascii: "e") {
      let signed = peek(1) == minus || peek(1) == plus
      if peek(signed ? 2 : 1).isDigit {
        offset += signed ? 2 : 1
        digits()
      }
    }
    guard !peek(0).continuesWord else {
      word()
      throw error("\(quoted(text(from: start).prefix(60))) is not a number", column)
    }
    return text(from: start)
  }

  private mutating func digits() {
    while peek(0).isDigit { offset += 1 }
  }

  private mutating func range(_ column: Int) throws(Diagnostic) -> String {
    guard peek(1) == dot, peek(2) == UInt8(ascii: "<") else { throw unexpected(column) }
    offset += 3
    return "..<"
  }

  /// Reads a string: any bytes but line ends and `"`, with the escapes `\" \\ \n \t \r \u{…}`.
  private mutating func string(_ column: Int) throws(Diagnostic) -> String {
    offset += 1
    let start = offset
    var content: [UInt8] = []
    while offset < bytes.count, bytes[offset] != quote, bytes[offset] != newline {
      if bytes[offset] == backslash {
        content += try escape()
      } else {
        content.append(bytes[offset])
        step()
      }
    }
    guard peek(0) == quote else { throw error("the string has no closing quote", column) }
    try checkLength(offset - start, column)
    offset += 1
    return String(decoding: content, as: UTF8.self)
  }

  private mutating func escape() throws(Diagnostic) -> [UInt8] {
    let column = self.column
    let kind = peek(1)
    offset += kind == 0 || kind == newline ? 1 : 2
    switch kind {
    case quote, backslash: return [kind]
    case UInt8(ascii: "n"): return [newline]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "u") where peek(0) == UInt8(ascii: "{"):
      let start = offset + 1
      while peek(0) != UInt8(ascii: "}"), peek(0) != 0, peek(0) != newline, offset < start + 8 {
        step()
      }
      let digits = String(decoding: bytes[start..<max(start, offset)], as: UTF8.self)
      if peek(0) == UInt8(ascii: "}"), let code = UInt32(digits, radix: 16),
        let scalar = Unicode.Scalar(code)
      {
        offset += 1
        return Array(String(Character(scalar)).utf8)
      }
    default: break
    }
    throw error("an unknown escape; known are \\\" \\\\ \\n \\t \\r \\u{…}", column)
  }

  // MARK: Moving

  private var column: Int { offset - lineStart - continuations + 1 }

  private func peek(_ ahead: Int) -> UInt8 {
    offset + ahead < bytes.count ? bytes[offset + ahead] : 0
  }

  private func text(from start: Int) -> String {
    String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  /// Moves over one byte, which may be part of a longer scalar.
  private mutating func step() {
    if offset < bytes.count, bytes[offset] & 0xC0 == 0x80 { continuations += 1 }
    offset += 1
  }

  private mutating func skipBlanks() {
    while offset < bytes.count {
      switch bytes[offset] {
      case newline:
        offset += 1
        line += 1
        lineStart = offset
        continuations = 0
        startsLine = true
      case 9, 13, 32: offset += 1
      case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
        while offset < bytes.count, bytes[offset] != newline { step() }
      default: return
      }
    }
  }

  // MARK: Errors

  private func error(_ message: String, _ column: Int) -> Diagnostic {
    Diagnostic(message, at: Location(file: file, line: line, column: column))
  }

  private func checkLength(_ count: Int, _ column: Int) throws(Diagnostic) {
    guard count <= IRLimits.nameBytes else {
      throw error("a name of \(count) bytes, and \(IRLimits.nameBytes) are allowed", column)
    }
  }

  private mutating func unexpected(_ column: Int) -> Diagnostic {
    let start = offset
    step()
    while peek(0) & 0xC0 == 0x80 { step() }
    return error("a character that IR text does not use: \(quoted(text(from: start)))", column)
  }
}

private let quote = UInt8(ascii: "\"")
private let backslash = UInt8(ascii: "\\")
private let newline = UInt8(ascii: "\n")
private let dot = UInt8(ascii: ".")
private let minus = UInt8(ascii: "-")
private let plus = UInt8(ascii: "+")
private let punctuation = Array("{}[](),:=+#".utf8)

extension UInt8 {
  fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
  fileprivate var startsWord: Bool {
    let lower = self | 0x20
    return (lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")) || self == UInt8(ascii: "_")
  }
  fileprivate var continuesWord: Bool { startsWord || isDigit }
  /// `true` iff it may stand in a name behind a sigil without quotes.
  var continuesName: Bool { continuesWord || self == dot || self == minus }
}

/// Returns `text` as a string of IR text, with quotes and escapes.
func quoted(_ text: some StringProtocol) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": result += "\\\(scalar)"
    case "\n": result += "\\n"
    case "\t": result += "\\t"
    case "\r": result += "\\r"
    case _ where scalar.value < 0x20 || scalar.value == 0x7F:
      result += "\\u{\(String(scalar.value, radix: 16))}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
