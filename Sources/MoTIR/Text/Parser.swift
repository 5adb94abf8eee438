// IR text → module. The grammar is in docs/ir.md; the text may come from anywhere.
//
// The parser reads one token ahead and never backs up. It makes the canonical form that Printer.swift
// defines. Sizes are checked against `IRLimits` before anything is computed with them, so that no text,
// however odd, costs more than work in proportion to its length.

extension Module {
  /// Returns the module that `text` describes, verified.
  ///
  /// - Parameter file: the name of the file, for the places in error messages.
  /// - Throws: what is wrong with the text, with line and column: up to 20 errors.
  public static func parse(_ text: String, file: String) throws(Diagnostics) -> Module {
    guard text.utf8.count <= IRLimits.textBytes else {
      let rule = "an IR text has at most \(IRLimits.textBytes) bytes, and this one has"
      throw Diagnostics([
        Diagnostic(
          "\(rule) \(text.utf8.count)", at: Location(file: file, line: 1, column: 1))
      ])
    }
    var parser = Parser(text, file: file)
    let module = parser.module()
    guard let module, parser.diagnostics.isEmpty else { throw Diagnostics(parser.diagnostics) }
    let violations = module.verify(places: parser.places)
    guard violations.isEmpty else { throw Diagnostics(violations) }
    return module
  }
}

/// Reads a module; the header, function bodies and op lines are in files of their own.
struct Parser {
  /// The name of the file that is read.
  let file: String
  /// What was found wrong so far.
  private(set) var diagnostics: [Diagnostic] = []
  /// The token that is read next.
  private(set) var token = Token(kind: .end, text: "", line: 1, column: 1, startsLine: true)
  /// Where each part of the module stands in the text.
  var places: SourcePlaces
  /// The module's parts that were read so far.
  var header = Header()
  /// The state of the function that is being read.
  var body = Body()

  private var lexer: Lexer

  /// Creates a parser at the start of `text`.
  init(_ text: String, file: String) {
    self.file = file
    lexer = Lexer(text, file: file)
    places = SourcePlaces(module: Location(file: file, line: 1, column: 1))
  }

  // MARK: Errors

  /// `true` iff no more errors are worth reporting.
  var gaveUp: Bool { diagnostics.count >= IRLimits.errors }

  /// Reports an error and goes on.
  mutating func report(_ diagnostic: Diagnostic) {
    if !gaveUp { diagnostics.append(diagnostic) }
  }

  /// Returns an error at `token`, or at the next token.
  func error(_ message: String, at token: Token? = nil, help: String? = nil) -> Diagnostic {
    Diagnostic(message, at: place(of: token ?? self.token), suggestion: help)
  }

  /// Returns an error that says what is wanted in place of the next token.
  func expected(_ what: String, help: String? = nil) -> Diagnostic {
    error("expected \(what), and found \(token.shown)", help: help)
  }

  /// Returns the place of `token`.
  func place(of token: Token) -> Location {
    Location(file: file, line: token.line, column: token.column)
  }

  /// Skips to a token that starts a line and satisfies `isStart`, or to the end.
  mutating func skip(to isStart: (Token) -> Bool) {
    while token.kind != .end, !(token.startsLine && isStart(token)) {
      do { try advance() } catch { continue }
    }
  }

  // MARK: Tokens

  /// Moves to the next token and returns the one before.
  @discardableResult
  mutating func advance() throws(Diagnostic) -> Token {
    let last = token
    do { token = try lexer.next() } catch {
      token = Token(kind: .punctuation, text: "", line: 0, column: 0, startsLine: false)
      throw error
    }
    return last
  }

  /// `true` iff the next token is this word or sign.
  func isNext(_ text: String) -> Bool { token.isWord(text) }

  /// Moves over the next token iff it is this word or sign, and returns whether it is.
  mutating func take(_ text: String) throws(Diagnostic) -> Bool {
    guard isNext(text) else { return false }
    try advance()
    return true
  }

  /// Moves over this word or sign.
  mutating func expect(_ text: String) throws(Diagnostic) {
    guard try take(text) else { throw expected("`\(text)`") }
  }

  /// Moves over a token of this kind and returns it.
  mutating func expect(_ kind: Token.Kind, _ what: String) throws(Diagnostic) -> Token {
    guard token.kind == kind else { throw expected(what) }
    return try advance()
  }

  /// Moves over a string that is a name, and returns it.
  mutating func name(_ what: String) throws(Diagnostic) -> String {
    try expect(.string, what).text
  }

  // MARK: Numbers

  /// Moves over an integer in `range` and returns it.
  mutating func integer(
    _ what: String, in range: ClosedRange<Int> = 0...IRLimits.elements
  ) throws(Diagnostic) -> Int {
    guard token.kind == .number else { throw expected("\(what), a whole number") }
    guard let value = Int(token.text), range.contains(value) else {
      throw expected("\(what), a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    try advance()
    return value
  }

  /// Moves over a finite number and returns it.
  mutating func number(_ what: String) throws(Diagnostic) -> Double {
    guard token.kind == .number, let value = Double(token.text), value.isFinite else {
      throw expected("\(what), a finite number")
    }
    try advance()
    return value
  }

  /// Moves over a range of token ids and returns it.
  mutating func range(_ what: String) throws(Diagnostic) -> Range<Int> {
    let ids = 0...IRLimits.tokens
    let first = token
    let lower = try integer("the start of \(what)", in: ids)
    try expect("..<")
    let upper = try integer("the end of \(what)", in: ids)
    guard lower <= upper else {
      throw error("\(what) ends at \(upper), before its start \(lower)", at: first)
    }
    return lower..<upper
  }

  /// Moves over `[item, …]` of at most `limit` items and returns them.
  mutating func list<T>(
    _ what: String, limit: Int, _ item: (inout Parser) throws(Diagnostic) -> T
  ) throws(Diagnostic) -> [T] {
    try expect("[")
    var items: [T] = []
    while !isNext("]") {
      if !items.isEmpty { try expect(",") }
      guard items.count < limit else {
        throw error("more than \(limit) \(what)")
      }
      items.append(try item(&self))
    }
    try expect("]")
    return items
  }

  // MARK: Types

  /// Moves over a type and returns it.
  mutating func type() throws(Diagnostic) -> ValueType {
    let first = token
    guard token.kind == .word else { throw expected("a type") }
    let type: ValueType
    if try take("plan") {
      type = .plan(try planLayout())
    } else if let element = ElementType(rawValue: token.text) {
      try advance()
      type = try tensor(of: element)
    } else {
      throw expected("a type", help: "the types are f32[…], i32[…] and plan[tokens, segments]")
    }
    if let violation = type.violation { throw error("\(violation): \(type)", at: first) }
    return type
  }

  /// Moves over `[tokens, segments]` or `[E=rows, segments, tokens, experts]`.
  private mutating func planLayout() throws(Diagnostic) -> PlanLayout {
    try expect("[")
    let isOfExperts = try take(RowOrder.dispatched.rawValue)
    if isOfExperts { try expect("=") }
    let rows = try integer("the number of \(isOfExperts ? "rows" : "tokens")")
    try expect(",")
    let segments = try integer("the number of segments")
    guard isOfExperts else {
      try expect("]")
      return PlanLayout(tokens: rows, segments: segments)
    }
    try expect(",")
    let tokens = try integer("the number of tokens")
    try expect(",")
    let experts = try integer("the number of experts", in: 1...IRLimits.segments)
    try expect("]")
    return PlanLayout(rows: rows, segments: segments, tokens: tokens, experts: experts)
  }

  private mutating func tensor(of element: ElementType) throws(Diagnostic) -> ValueType {
    try expect("[")
    if token.kind == .word {
      guard let order = RowOrder(rawValue: token.text) else {
        throw expected("a dimension", help: "a token axis is T=…, R=… or E=…")
      }
      try advance()
      try expect("=")
      let count = try integer("the number of rows")
      try expect(",")
      let width = try integer("the width of a row")
      try expect("]")
      return .rows(element, order, count: count, width: width)
    }
    var shape: [Int] = []
    while !isNext("]") {
      if !shape.isEmpty { try expect(",") }
      guard shape.count < IRLimits.rank else {
        throw error("more than \(IRLimits.rank) dimensions")
      }
      shape.append(try integer("a dimension"))
    }
    try expect("]")
    return .tensor(element, shape)
  }
}
