import MoTIR
import Testing

/// What is wrong with a text is said where it is wrong.
@Suite struct TextErrorTests {
  /// A text with an error: what the message contains, and where it points.
  struct Case: CustomTestStringConvertible {
    let text: String
    let message: String
    let place: String
    var help: String?
    var testDescription: String { message }

    init(_ text: String, _ message: String, _ place: String, help: String? = nil) {
      self.text = text
      self.message = message
      self.place = place
      self.help = help
    }

    /// A case inside the header of a module, which starts on line 2.
    static func header(
      _ text: String, _ message: String, _ place: String, help: String? = nil
    ) -> Case {
      Case("module @m batch 2 sequence 4 {\n\(text)\n}", message, place, help: help)
    }

    /// A case inside a function of a model with caches, whose statements start on line 5.
    static func cached(_ text: String, _ message: String, _ place: String) -> Case {
      Case(
        """
        module @m batch 2 sequence 4 context 6 {
        modality "text" 0..<10
        parameter @e : f32[10, 4] component "c" init ones
        func @prefill {
        \(text)
        return } }
        """, message, place)
    }

    /// A case inside a function, whose statements start on line 9.
    static func body(
      _ text: String, _ message: String, _ place: String, help: String? = nil
    ) -> Case {
      header(
        """
        modality "text" 0..<10
        modality "image" 10..<20
        parameter @w : f32[4, 4] by "text", "image" component "c" init ones
        parameter @e : f32[20, 4] component "c" init ones
        parameter @g : f32[4] by "text", "image" component "c" init ones
        func @f {
          %m = input "modality" : i32[T=8, 1]
        \(text)
        \(text.hasPrefix("return") ? "" : "return")
        }
        """, message, place, help: help)
    }
  }

  /// Returns four statements, the last of which attends to caches of type `cache`.
  private static func attending(
    _ cache: String, batch: Int, values: String = "%k", slots: String = "%s"
  ) -> String {
    """
    %s = input "slots" : i32[T=8, 1]
    %x = embed %s, @e : f32[T=8, 4]
    %k = input "cache.k" : \(cache)
    %o, %a, %b = attention.cached %x, %x, %x keys %k values \(values) slots \(slots) visible %s batch \(batch) \
    heads 2 key_value_heads 2 : f32[T=8, 4], \(cache), \(cache)
    """
  }

  static let lexical = [
    Case("", "expected `module`, and found the end of the text", "1:1"),
    Case("modul @m", "expected `module`, and found `modul`", "1:1"),
    Case("module @\"x", "the string has no closing quote", "1:8"),
    Case("module @\"x\\q\"", "an unknown escape", "1:11"),
    Case("module @\"x\\u{110000}\"", "an unknown escape", "1:11"),
    Case("module @\"é\" $", "a character that IR text does not use: \"$\"", "1:13"),
    Case("module @m ☃", "a character that IR text does not use: \"☃\"", "1:11"),
    Case("module @", "a sigil without a name", "1:8"),
    Case("module @m batch 4x", "\"4x\" is not a number", "1:17"),
    Case("module @m batch -", "a `-` without a number", "1:17"),
    Case(
      "module @m batch 99999999999999999999",
      "expected the number of sequences, a whole number from 1 to 2147483647", "1:17"),
    Case("module @m batch 4 sequence 0", "the tokens of a sequence, a whole number", "1:28"),
    Case("module @m batch 2 sequence 4 {} {", "expected the end of the text", "1:33"),
    Case(
      "module @\(String(repeating: "x", count: 5_000)) batch 1", "a name of 5000 bytes", "1:8"),
  ]

  static let headers = [
    Case.header("paramter @x", "expected a declaration", "2:1", help: "did you mean `parameter`?"),
    Case.header("modality \"a\" 5..<2", "the vocabulary ends at 2, before its start 5", "2:14"),
    Case.header("modality \"a\" 5..<5", "which holds no token", "2:1"),
    Case.header(
      "modality \"a\" 0..<5\nmodality \"b\" 3..<9",
      "the vocabularies of \"a\" (0..<5) and \"b\" (3..<9) share the tokens 3..<5", "3:1",
      help: "start the vocabulary of \"b\" at 5"),
    Case.header("modality \"a\" latents 0", "the numbers of a token", "2:22"),
    Case.header(
      "modality \"a\" latents 4\nobjective \"o\" on \"a\" weight 1",
      "objective \"o\" is next tokens, and those of modality \"a\" are continuous", "3:1"),
    Case.header(
      "modality \"a\" 0..<4\nobjective \"o\" on \"a\" weight 1 denoise noise schedule flow",
      "objective \"o\" denoises modality \"a\", whose tokens are ids", "3:1"),
    Case.header(
      "modality \"a\" latents 4\nobjective \"o\" on \"a\" weight 1 denoise nose schedule flow",
      "what is predicted: noise, velocity", "3:39", help: "did you mean `noise`?"),
    Case.header(
      "modality \"a\" latents 4\nfunc @f { %0 = input \"noise.a\" : f32[T=8, 3] return }",
      "\"noise.a\" is f32[T=8, 3], and not f32[T=8, 4]", "3:16"),
    Case.header(
      (0..<9).map { "modality \"m\($0)\" \($0)..<\($0 + 1)" }.joined(separator: "\n"),
      "9 modalities, and at most 8 are allowed", "10:1"),
    Case.header("parameter @p : i32[4]", "a parameter is of type f32[…]", "2:16"),
    Case.header("parameter @p : f34[4]", "expected a type, and found `f34`", "2:16"),
    Case.header(
      "parameter @p : f32[1048576, 1048577]", "a value of more than 1099511627776 elements", "2:16"),
    Case.header(
      (0...1024).map {
        "parameter @p\($0) : f32[1048576, 1048576] component \"c\" init ones"
      }.joined(separator: "\n"),
      "the parameters have more than 1125899906842624 elements together", "1:1"),
    Case.header("parameter @p : f32[0]", "a dimension of 0", "2:16"),
    Case.header("parameter @p : f32[1,1,1,1,1,1,1,1,1]", "more than 8 dimensions", "2:36"),
    Case.header(
      "parameter @p : f32[1] component \"c\" init normal(1e999)", "a finite number", "2:49"),
    Case.header(
      "parameter @p : f32[1] component \"c\" init normal(-1)", "the deviation -1.0", "2:1"),
    Case.header(
      "parameter @p : f32[1] component \"c\" init one", "found `one`", "2:42",
      help: "did you mean `ones`?"),
    Case.header(
      "modality \"text\" 0..<9\nparameter @p : f32[1] by \"txt\" component \"c\" init ones",
      "a group of modality \"txt\", which is not declared", "3:1", help: "did you mean `text`?"),
    Case.header(
      "modality \"a\" 0..<9\nmodality \"b\" 9..<10\n"
        + "parameter @p : f32[1] by \"a\" + \"a\" component \"c\" init ones",
      "hold a modality twice, or none", "4:1"),
    Case.header(
      "parameter @p : f32[1] component \"c\" init ones\nparameter @p", "a second parameter", "3:11"),
    Case.header(
      "objective \"o\" on \"text\" weight 1", "modality \"text\", which is not declared", "2:1"),
    Case.header("func @f { return }\nfunc @f { return }", "a second function called `@f`", "3:1"),
    Case.header("func @f { }", "expected a statement or `return`", "2:11"),
    Case.header("func @f { return %0 as \"x\" }", "`%0` is not defined", "2:18"),
  ]

  static let bodies = [
    Case.body("%x = gathr %m", "no op is called `gathr`", "9:6", help: "did you mean `gather`?"),
    Case.body("%x = parameter", "a parameter has no line of its own", "9:6"),
    Case.body("%x = embed %n, @e", "`%n` is not defined", "9:12", help: "did you mean `%m`?"),
    Case.body("%x = embed %m, @f", "declares no parameter `@f`", "9:16", help: "did you mean"),
    Case.body(
      "%x = embed %m, @e : f32[T=8, 5]",
      "the result of `embed` is f32[T=8, 4] by its operands, and the text says f32[T=8, 5]", "9:21"),
    Case.body("%x = embed %m : f32[T=8, 5]", "embed: wants 2 operands, and got 1", "9:6"),
    Case.body("%m = embed %m, @e : f32[T=8, 4]", "a second value called `%m`", "9:1"),
    Case.body("%x, %y = embed %m, @e : f32[T=8, 4]", "has 1 results here, and 2 names", "9:1"),
    Case.body("%x = constant nan : f32[]", "`constant` wants a finite number", "9:15"),
    Case.body("%x = constant 1 : i32[]", "constant: cannot be of type i32[]", "9:6"),
    Case.body("%x = embed 3 %m, @e : f32[T=8, 4]", "`embed` takes no `3` here", "9:12"),
    Case.body("%x = embed %m, @e by %m : f32[T=8, 4]", "no operand labelled `by`", "9:19"),
    Case.body("%p = route %m into 65 : plan[8, 65]", "a whole number from 1 to 64", "9:20"),
    Case.body("%p = route %m into 3 : plan[8, 3]", "8 tokens and 2 modalities", "9:6"),
    Case.body("%x = input \"token\" : i32[T=8, 1]", "no input is called \"token\"", "9:6"),
    Case.body("%x = input \"tokens\" : i32[T=9, 1]", "has 9 rows, and the batch has 8", "9:6"),
    Case.body("%x = input \"plan\" : i32[T=8, 1]", "and not a plan", "9:6"),
    Case.body(
      "%x = input \"tokens\" : i32[T=2147483648, 1]", "2147483648 tokens, and 1 to", "9:23"),
    Case.body("%x = embed %m, @e : f32[Q=8, 4]", "expected a dimension, and found `Q`", "9:25"),
    Case.body(
      "%x = embed %m, @e : f32[T=8, 4]\n%q, %l = attention %x, %x, %x batch 1 heads 2 "
        + "key_value_heads 2 : f32[T=8, 4], f32[T=8, 2]", "its batch is 1", "10:10"),
    Case.body("%x = input \"cache.k\" : f32[2, 4, 4]", "the module has no `context`", "9:6"),
    Case.cached("%k = input \"cache.k\" : f32[2, 5, 4]", "not f32[2, 6, width]", "5:6"),
    Case.cached(
      "%k = input \"cache.k\" : f32[2, 6, 4]\nreturn }\nfunc @decode {\n"
        + "%l = input \"cache.k\" : f32[2, 6, 8]", "f32[2, 6, 4] in another function", "8:6"),
    Case.cached(
      "%s = input \"slots\" : i32[T=8, 1]\nreturn }\nfunc @decode {\n"
        + "%s = input \"slots\" : i32[T=8, 1]", "has 8 rows, and the batch has 2", "8:6"),
    Case.cached(
      attending("f32[2, 6, 8]", batch: 2), "the caches are f32[2, 6, 8], and not f32[2, C, 4]",
      "8:14"),
    Case.cached(
      attending("f32[2, 6, 4]", batch: 3), "f32[T=8, 4] does not hold 3 sequences", "8:14"),
    Case.cached(
      attending("f32[2, 6, 4]", batch: 4), "the caches are f32[2, 6, 4], and not f32[4, C, 4]",
      "8:14"),
    Case.cached(
      attending("f32[2, 6, 4]", batch: 2, values: "%s"), "f32[2, 6, 4] and i32[T=8, 1] differ",
      "8:14"),
    Case.cached(
      attending("f32[2, 6, 4]", batch: 2, slots: "%x"), "operand 6 is not one i32 a row", "8:14"),
    Case.body(
      "%x = embed %m, @e : f32[T=8, 4]\n%y = rotary %x, %m head 2", "expected `heads`", "10:20"),
    Case.body("%x = linear by %m groups [] : f32[]", "linear: operand 1 is not a plan", "9:6"),
    Case.body("%x = linear groups [0, 1] : f32[]", "wants its plan, `by %plan`", "9:6"),
    Case.body("return %m as \"a\", %m as \"a\"", "a second output called \"a\"", "9:19"),
    Case.body("return @w as \"\"", "a name is empty", "9:8"),
    Case.body("return @q as \"x\"", "declares no parameter `@q`", "9:8"),
  ]

  @Test(arguments: lexical + headers + bodies) func errorsSayWhatAndWhere(_ test: Case) throws {
    let error = #expect(throws: Diagnostics.self) {
      try Module.parse(test.text, file: "m.motir")
    }
    let first = try #require(error?.all.first)
    #expect(first.message.contains(test.message))
    #expect(first.location?.description == "m.motir:\(test.place)")
    if let help = test.help { #expect(first.suggestion?.contains(help) == true) }
  }

  @Test func severalErrorsAreCollectedAndNoneFollowsFromAnother() throws {
    let text = """
      module @m batch 2 sequence 4 {
        modality "text" 0..<10
        parameter @p : f32[4, 4] component "c" init oness
        parameter @e : f32[20, 4] component "c" init ones
        func @f {
          %0 = input tokens : i32[T=8, 1]
          %1 = embed %0, @e : f32[T=8, 4]
          %2 = linear %1, @p : f32[T=8, 4]
          %3 = constant 1.0 : f32[T=8, 4]
          %4 = ad %3, %3 : f32[T=8, 4]
          return %4 as "x", %9 as "y"
        }
        objetive "x" on "text" weight 1.0
      }
      """
    let error = #expect(throws: Diagnostics.self) { try Module.parse(text, file: "m") }
    #expect(error?.all.map { $0.location?.line } == [3, 6, 10, 13])
  }

  @Test func manyErrorsAreCut() {
    let lines = (0..<1_000).map { "  %\($0) = what\n" }.joined()
    let text = "module @m batch 1 sequence 1 {\nfunc @f {\n\(lines)return\n}\n}"
    let error = #expect(throws: Diagnostics.self) { try Module.parse(text, file: "m") }
    #expect(error?.all.count == IRLimits.errors)
  }

  @Test func groupsMustBeThoseOfTheParameter() {
    let text = TextFixtures.routing.replacing(
      "%9 = channel_add %7, @bias.weight by %4 groups [0, 0]",
      with: "%9 = channel_add %7, @gain.weight by %4 groups [1, 0]")
    let error = #expect(throws: Diagnostics.self) { try Module.parse(text, file: "m") }
    #expect(error?.description.contains("`groups` is [1, 0], and the groups of") == true)
  }
}
