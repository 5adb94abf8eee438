// func: statements, operands, results.

extension Parser {
  /// The state of the function that is being read.
  struct Body {
    var graph = Graph()
    /// The values, by the names that the text gives them.
    var values: [String: ValueID] = [:]
    /// Names whose definitions have errors: reading them is no error of its own.
    var broken: Set<String> = []
    /// The parameters that the function has read so far.
    var parameters: [String: ValueID] = [:]
    /// `true` iff the statement reads a broken name, so that what else is wrong with it follows.
    var readsBroken = false
    /// The places of the nodes.
    var nodePlaces: [Location] = []
    /// The places of the outputs.
    var outputPlaces: [Location] = []
  }

  /// Reads what follows `func`, whose token is `first`.
  mutating func function(at first: Token) throws(Diagnostic) {
    body = Body()
    let name = try expect(.symbol, "the function's name, such as `@loss`").text
    try expect("{")
    do throws(Diagnostic) {
      try statements()
      try expect("}")
    } catch {
      if !body.readsBroken { report(error) }
      skip { token in (Self.declarations + ["}"]).contains { token.isWord($0) } }
      _ = try take("}")
      return
    }
    header.functions.append(Function(name: name, graph: body.graph))
    places.functions.append(
      SourcePlaces.Function(
        function: place(of: first), nodes: body.nodePlaces, outputs: body.outputPlaces))
  }

  /// Reads statements up to and with `return`.
  private mutating func statements() throws(Diagnostic) {
    while !isNext("return") {
      if token.kind == .end || (Self.declarations + ["}"]).contains(where: isNext) {
        throw expected("a statement or `return`")
      }
      if gaveUp { return }
      statement()
      body.readsBroken = false
    }
    try advance()
    if !isNext("}") { try outputs() }
  }

  /// Reads what follows `return`.
  private mutating func outputs() throws(Diagnostic) {
    repeat {
      let first = token
      let value = try operand()
      try expect("as")
      body.graph.output(value, as: try name("the output's name, a string"))
      body.outputPlaces.append(place(of: first))
    } while try take(",")
  }

  /// Reads one node; if it has an error, reports that and moves to the next statement.
  private mutating func statement() {
    var names: [Token] = []
    body.readsBroken = false
    do throws(Diagnostic) {
      repeat {
        names.append(try expect(.value, "a statement, such as `%0 = …`, or `return`"))
      } while try take(",")
      try node(names)
    } catch {
      for name in names where body.values[name.text] == nil { body.broken.insert(name.text) }
      if !body.readsBroken { report(error) }
      skip { token in
        token.kind == .value
          || (Self.declarations + ["return", "}"]).contains { token.isWord($0) }
      }
    }
  }

  /// Reads what follows the names of a node's results, and appends the node.
  private mutating func node(_ names: [Token]) throws(Diagnostic) {
    try expect("=")
    let word = try expect(.word, "an op")
    let template = try template(of: word)
    let literal = token.kind == .string || token.kind == .number ? try advance() : nil
    let operands = try operands()
    let op = try op(like: template, literal, operands.labels, at: word)
    let values = try ordered(operands, for: op, at: word)
    try expect(":")
    let typesToken = token
    var types = [try type()]
    while try take(",") { types.append(try type()) }
    let cluster = try clusterSuffix()
    let location = try locationSuffix()
    let results: [ValueID]
    do {
      results = try body.graph.append(
        op, values, type: op.needsDeclaredType ? types[0] : nil, at: location, cluster: cluster)
    } catch { throw self.error(error.description, at: word) }
    body.nodePlaces.append(place(of: word))
    try check(results, types, of: op, at: typesToken)
    try define(names, as: results, of: op)
  }

  /// Checks that the types in the text are those that the operands imply.
  private func check(
    _ results: [ValueID], _ types: [ValueType], of op: Op, at token: Token
  ) throws(Diagnostic) {
    let wanted = results.map { body.graph.type(of: $0) }
    guard wanted == types else {
      func text(_ types: [ValueType]) -> String {
        types.map(\.description).joined(separator: ", ")
      }
      throw error(
        "the result of `\(op.mnemonic)` is \(text(wanted)) by its operands, "
          + "and the text says \(text(types))", at: token)
    }
  }

  /// Gives the values `results` the names that the text has for them.
  private mutating func define(
    _ names: [Token], as results: [ValueID], of op: Op
  ) throws(Diagnostic) {
    guard names.count == results.count else {
      throw error(
        "`\(op.mnemonic)` has \(results.count) results here, and \(names.count) names stand for them",
        at: names.first)
    }
    for (name, value) in zip(names, results) {
      guard body.values[name.text] == nil else {
        throw error("a second value called \(name.shown)", at: name)
      }
      body.values[name.text] = value
    }
  }

  // MARK: Operands

  /// The operands of a node as they stand in the text.
  private struct Operands {
    /// Those without a label.
    var plain: [ValueID] = []
    /// The labels of the others.
    var labels: [Token] = []
    /// The others.
    var labelled: [ValueID] = []
  }

  private mutating func operands() throws(Diagnostic) -> Operands {
    var operands = Operands()
    if token.kind == .value || token.kind == .symbol {
      repeat { operands.plain.append(try operand()) } while try take(",")
    }
    while Op.labels.contains(token.text), token.kind == .word {
      let label = try advance()
      guard !operands.labels.contains(where: { $0.text == label.text }) else {
        throw error("a second operand labelled \(label.shown)", at: label)
      }
      operands.labels.append(label)
      operands.labelled.append(try operand())
    }
    return operands
  }

  /// Returns the operands in the op's order: labelled ones last, in the order of its syntax.
  private func ordered(
    _ operands: Operands, for op: Op, at word: Token
  ) throws(Diagnostic) -> [ValueID] {
    let wanted = op.syntax.labels
    for label in operands.labels where !wanted.contains(label.text) {
      throw error(
        "`\(op.mnemonic)` takes no operand labelled \(label.shown) here", at: label,
        help: label.text == "by" ? "a routed op has `groups […]` behind its plan" : nil)
    }
    var values = operands.plain
    for label in wanted {
      if let index = operands.labels.firstIndex(where: { $0.text == label }) {
        values.append(operands.labelled[index])
      } else if op.groups != nil, label == "by" {
        throw error("`\(op.mnemonic)` with `groups` wants its plan, `by %plan`", at: word)
      }
    }
    return values
  }

  /// Moves over `%value` or `@parameter` and returns the value.
  private mutating func operand() throws(Diagnostic) -> ValueID {
    let name = token
    guard name.kind == .value || name.kind == .symbol else {
      throw expected("an operand, such as `%0` or `@name`")
    }
    try advance()
    if name.kind == .symbol { return try parameter(name) }
    if let value = body.values[name.text] { return value }
    body.readsBroken = body.broken.contains(name.text)
    // A broken name is not reported: no time is spent on its suggestion.
    let names = body.readsBroken ? [] : body.values.keys.sorted()
    throw error(
      "\(name.shown) is not defined before it is read", at: name,
      help: suggestion(for: "%\(name.text)", among: names.map { "%\($0)" }))
  }

  /// Returns the value of the parameter `name`, whose node is created at its first use.
  private mutating func parameter(_ name: Token) throws(Diagnostic) -> ValueID {
    if let value = body.parameters[name.text] { return value }
    guard let index = header.parameterIndex[name.text] else {
      body.readsBroken = header.brokenParameters.contains(name.text)
      let names = body.readsBroken ? [] : header.parameters.map(\.name)
      throw error(
        "the module declares no parameter \(name.shown)", at: name,
        help: suggestion(for: name.text, among: names))
    }
    do {
      let type = header.parameters[index].type
      let value = try body.graph.add(.parameter(name.text), [], type: type)
      body.nodePlaces.append(place(of: name))
      body.parameters[name.text] = value
      return value
    } catch { throw self.error(error.description, at: name) }
  }

  // MARK: Suffixes

  private mutating func clusterSuffix() throws(Diagnostic) -> Int? {
    guard try take("in") else { return nil }
    try expect("#")
    return try integer("the number of a cluster")
  }

  private mutating func locationSuffix() throws(Diagnostic) -> Location? {
    guard try take("at") else { return nil }
    let file = try name("the name of a file, a string")
    try expect(":")
    let line = try integer("a line")
    try expect(":")
    return Location(file: file, line: line, column: try integer("a column"))
  }
}
