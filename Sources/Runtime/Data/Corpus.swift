package import MoTIR

/// Batches of documents made from pictures or speech with captions.
///
/// A document is one item: its caption before its content or after it, in turn. Documents follow each
/// other in a sequence until it is full; the last one is cut. No target crosses a document's end. What a
/// batch holds depends on the seed and the step alone, so that training can go on from any step.
package struct Corpus: Sendable {
  /// The tokens of an item's document with the caption first, and with the content first.
  private struct Document: Sendable {
    let captionFirst: [Int]
    let contentFirst: [Int]
  }

  private let builder: BatchBuilder
  private let documents: [Document]
  private let seed: UInt64

  /// The number of items.
  package var count: Int { documents.count }

  /// Reads the corpus in the folder at `path` for `module`.
  ///
  /// - Parameter pictureSide: a picture becomes this many tokens squared.
  /// - Throws: `Diagnostics` with everything that is wrong with the files.
  package init(
    path: String, module: Module, seed: UInt64, pictureSide: Int = 16
  ) throws(Diagnostics) {
    guard (1...64).contains(pictureSide) else {
      throw Diagnostics([Diagnostic("a picture's side is 1 to 64 tokens, not \(pictureSide)")])
    }
    let tokenizer = Tokenizer(module: module)
    let items = try CorpusFolder(path: path).items(tokenizer, side: pictureSide)
    var documents: [Document] = []
    do throws(Diagnostic) {
      for item in items {
        let caption = try tokenizer.tokens(text: item.caption)
        documents.append(
          Document(captionFirst: caption + item.content, contentFirst: item.content + caption))
      }
    } catch {
      throw Diagnostics([error])
    }
    self.documents = documents
    self.seed = seed
    builder = BatchBuilder(module: module)
  }

  /// Returns the batch of step `step`.
  ///
  /// - Throws: `Diagnostics` if the module has no room for the tokens, which its checks rule out.
  package func batch(step: Int) throws(Diagnostics) -> Batch {
    let module = builder.module
    var tokens: [Int] = []
    var numbers: [Int] = []
    for sequence in 0..<module.batch {
      let random = CounterRandom(seed: seed, name: "step \(step) sequence \(sequence)")
      var number = 0
      while tokens.count < (sequence + 1) * module.sequence {
        let document = documents[random.integer(number, below: documents.count)]
        let isCaptionFirst = (step + sequence + number).isMultiple(of: 2)
        let all = isCaptionFirst ? document.captionFirst : document.contentFirst
        let part = all.prefix((sequence + 1) * module.sequence - tokens.count)
        tokens += part
        numbers += [Int](repeating: number, count: part.count)
        number += 1
      }
    }
    var rows = BatchBuilder.Rows(tokens: tokens)
    rows.documents = numbers
    return try builder.build(rows)
  }
}
