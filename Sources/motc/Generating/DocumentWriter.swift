import Foundation
import MoTIR
import Runtime

/// Writes a document as it comes: text to stdout, pictures and speech to files.
struct DocumentWriter {
  private let module: Module
  private let tokenizer: Tokenizer
  private let output: String?
  private let stop: [UInt8]?
  private var grammar: DocumentGrammar
  private var text = TextStream()
  /// The last bytes of text, as many as the text has that ends the document.
  private var tail: [UInt8] = []
  private var span: [Int] = []
  /// The continuous tokens of the span.
  private var latents: [Float] = []
  private var spans = 0
  private var isAtLineStart = true

  /// Creates a writer.
  ///
  /// - Parameters:
  ///   - output: the file for the first span; by default `generated.png` or `generated.wav`.
  ///   - stop: the text behind which the document ends.
  init(_ module: Module, _ tokenizer: Tokenizer, output: String?, stop: String?) {
    self.module = module
    self.tokenizer = tokenizer
    self.output = output
    self.stop = stop.map { Array($0.utf8) }
    grammar = DocumentGrammar(module, tokenizer)
  }

  /// Writes what `generator` makes of `prompt`, and says on stderr how long it took.
  ///
  /// - Throws: `Diagnostic` if the model cannot go on, `CannotRun` if something cannot be written.
  mutating func write(from generator: Generator, _ prompt: Prompt, limit: Int) throws {
    for token in prompt.tokens { grammar.accept(token) }
    let opened = grammar.span != nil
    let began = ContinuousClock.now
    var count = 0
    var goesOn = true
    var failure: (any Error)?
    try generator.run(
      [prompt.tokens], latents: [prompt.latents], limit: limit,
      takeBlock: { _, block in latents = block },
      { _, token in
        count += 1
        do {
          let isDone = try take(token)
          // What was asked for is one span.
          goesOn = !isDone && !(opened && grammar.span == nil)
        } catch {
          failure = error
          goesOn = false
        }
        return goesOn
      })
    if let failure { throw failure }
    try finish()
    if goesOn, count < limit { reportEnd() }
    let seconds = (ContinuousClock.now - began).seconds
    say(
      "\(prompt.tokens.count) tokens read, \(count) written in \(fixed(seconds, 2)) s, "
        + "\(fixed(Double(count) / seconds, 0)) tokens/s")
  }

  /// Takes a token; returns whether the document ends with it.
  private mutating func take(_ token: Int) throws -> Bool {
    let before = grammar.span
    grammar.accept(token)
    if let before {
      let codes = tokenizer.codes(of: module.modalities[before.modality])
      if codes.contains(token) { span.append(token) }
      if grammar.span == nil { try endSpan(of: module.modalities[before.modality]) }
      return false
    }
    let bytes = tokenizer.modality(.text).map { tokenizer.codes(of: $0) } ?? 0..<0
    guard bytes.contains(token), let byte = UInt8(exactly: token - bytes.lowerBound) else {
      return false
    }
    try show(text.append(byte))
    guard let stop else { return false }
    tail = (tail + [byte]).suffix(stop.count)
    return tail == stop
  }

  /// Writes what is still open.
  private mutating func finish() throws {
    try show(text.flush())
    if !isAtLineStart { try show("\n") }
    if let open = grammar.span, !span.isEmpty || !latents.isEmpty {
      report([
        Diagnostic(
          "the tokens ended inside a span of modality '\(module.modalities[open.modality].name)'",
          severity: .warning)
      ])
      try endSpan(of: module.modalities[open.modality])
    }
  }

  /// Says that the document ends because its context does.
  private func reportEnd() {
    report([
      Diagnostic(
        "the document ended with the context of \(module.context ?? 0) tokens",
        suggestion: "give --context a larger number", severity: .warning)
    ])
  }

  private mutating func show(_ piece: String) throws {
    guard let last = piece.last else { return }
    try Output(nil).write(piece)
    isAtLineStart = last.isNewline
  }

  /// Writes the span of `modality` to a file.
  private mutating func endSpan(of modality: ModalityDeclaration) throws {
    defer { (span, latents) = ([], []) }
    guard tokenizer.decodes(modality), let kind = Tokenizer.Kind(rawValue: modality.name) else {
      return try show("[\(modality.name): \(span.count) tokens]")
    }
    switch kind {
    case .text: try show(tokenizer.text(span))
    case .image:
      let picture =
        modality.isPictures
        ? tokenizer.grid?.picture(of: latents) : tokenizer.picture(span)
      if let picture { try keep(try CannotRun.unless { try picture.png() }, kind, "png") }
    case .speech: try keep(tokenizer.waveform(span).wav(), kind, "wav")
    }
  }

  /// Writes what a span stands for to the next file.
  private mutating func keep(_ bytes: [UInt8], _ kind: Tokenizer.Kind, _ ending: String) throws {
    spans += 1
    let path = (output ?? "generated.\(ending)").numbered(spans, ending)
    try Output(path).write(bytes)
    say("\(kind.rawValue) → \(path)")
  }
}

extension String {
  /// Returns the path of the `number`-th file: from the second on with `-NUMBER` before its ending, which is `ending`
  /// if this path has that of another kind of file.
  fileprivate func numbered(_ number: Int, _ ending: String) -> String {
    let suffix = number == 1 ? "" : "-\(number)"
    let name = nameOfPath
    guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return self + suffix }
    let own = name[name.index(after: dot)...]
    let isOther = ["png", "wav"].contains(own.lowercased()) && own.lowercased() != ending
    return "\(dropLast(own.count + 1))\(suffix).\(isOther ? ending : String(own))"
  }
}
