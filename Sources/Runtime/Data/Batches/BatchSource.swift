package import MoTIR

/// A place in the data: rows of an epoch that were taken.
package struct DataPosition: Codable, Hashable, Sendable {
  /// The epoch, from 0.
  package var epoch = 0
  /// The next row in it.
  package var row = 0

  /// Creates the beginning.
  package init() {}
}

/// Batches of documents, epoch after epoch. What they hold depends on the seed and the position alone.
package struct BatchSource {
  private let shards: TokenShards
  private let builder: BatchBuilder
  private let lengths: [Int]
  private let seed: UInt64?
  private let dropout: ConditionDropout
  private var packing: (epoch: Int, rows: Packing)?
  /// Where the next batch begins.
  package private(set) var position: DataPosition

  /// Creates the batches of `module`'s sizes from `position` on.
  ///
  /// - Parameters:
  ///   - seed: gives the order of documents; `nil` leaves them in theirs.
  ///   - dropout: which spans of continuous tokens lose what stands before them; without a seed none does.
  /// - Throws: `Diagnostic` if there are no documents.
  package init(
    _ shards: TokenShards, module: Module, seed: UInt64?, dropout: ConditionDropout = .none,
    position: DataPosition = DataPosition()
  ) throws(Diagnostic) {
    try shards.requireDocuments()
    self.shards = shards
    builder = BatchBuilder(module: module)
    lengths = (0..<shards.count).map(shards.length)
    self.seed = seed
    self.dropout = dropout
    self.position = position
  }

  /// Returns the next batch. It goes on into the next epoch where one ends.
  ///
  /// - Throws: `Diagnostics` if a file became shorter since it was opened.
  package mutating func next() throws(Diagnostics) -> Batch {
    var rows: [Row] = []
    while rows.count < builder.module.batch {
      let packing = rowsOfEpoch(position.epoch)
      guard position.row < packing.count else {
        position.epoch += 1
        position.row = 0
        continue
      }
      rows.append(Row(position, packing[position.row]))
      position.row += 1
    }
    return try batch(rows)
  }

  /// Returns the batches of one epoch in the documents' own order, at most `limit`; the last is filled up by padding.
  ///
  /// - Throws: `Diagnostics` if a file became shorter since it was opened.
  package mutating func epoch(limit: Int) throws(Diagnostics) -> [Batch] {
    let packing = rowsOfEpoch(0)
    var batches: [Batch] = []
    for first in stride(from: 0, to: packing.count, by: builder.module.batch).prefix(limit) {
      let end = min(packing.count, first + builder.module.batch)
      batches.append(
        try batch(
          (first..<end).map { number in
            var place = DataPosition()
            place.row = number
            return Row(place, packing[number])
          }))
    }
    return batches
  }

  private mutating func rowsOfEpoch(_ epoch: Int) -> Packing {
    if let packing, packing.epoch == epoch { return packing.rows }
    let random = seed.map { CounterRandom(seed: $0, name: "epoch \(epoch)") }
    let rows = Packing(lengths: lengths, sequence: builder.module.sequence, random: random)
    packing = (epoch, rows)
    return rows
  }

  /// A sequence of a batch: its pieces, and its place, by which noise is drawn.
  private struct Row {
    let place: DataPosition
    let pieces: ArraySlice<Packing.Piece>

    init(_ place: DataPosition, _ pieces: ArraySlice<Packing.Piece>) {
      self.place = place
      self.pieces = pieces
    }
  }

  private func batch(_ rows: [Row]) throws(Diagnostics) -> Batch {
    let module = builder.module
    var tokens: [Int] = []
    var (documents, modality): ([Int], [Int]) = ([], [])
    tokens.reserveCapacity(module.tokens)
    documents.reserveCapacity(module.tokens)
    for row in 0..<module.batch {
      if row < rows.count {
        var number = 0
        for piece in rows[row].pieces {
          let start = tokens.count
          try Diagnostics.collecting { () throws(Diagnostic) in
            try shards.read(piece.document, piece.tokens, into: &tokens)
          }
          documents += numbers(of: tokens[start...], piece, rows[row].place, from: &number)
        }
      }
      modality += tokens[modality.count...].map(builder.owner)
      let padding = (row + 1) * module.sequence - tokens.count
      tokens += repeatElement(0, count: padding)
      modality += repeatElement(-1, count: padding)
      documents += repeatElement(-1, count: padding)
    }
    var all = BatchBuilder.Rows(tokens: tokens)
    all.modality = modality
    for (index, declaration) in module.modalities.enumerated() where declaration.latents != nil {
      all.continuous[declaration.name] = try continuousTokens(of: index, rows)
    }
    all.documents = documents
    return try builder.build(all)
  }

  /// Returns the document number of each of `tokens`, those of `piece` in the row at `place`: `next`, which goes on,
  /// and another one from each span on that loses what stands before it.
  private func numbers(
    of tokens: ArraySlice<Int>, _ piece: Packing.Piece, _ place: DataPosition, from next: inout Int
  ) -> [Int] {
    defer { next += 1 }
    guard let seed, dropout.probability > 0 else { return tokens.map { _ in next } }
    let cuts = dropout.cuts(
      builder.module.unconditionedStarts(of: Array(tokens)), seed: seed, epoch: place.epoch,
      document: piece.document, from: piece.tokens.lowerBound)
    return (0..<tokens.count).map { index in
      if index > 0, cuts.contains(index) { next += 1 }
      return next
    }
  }

  /// Returns the tokens of the continuous modality number `index` in `rows`, with the noise of their places: it does
  /// not depend on where a run was interrupted, and without a seed it is always the same.
  private func continuousTokens(
    of index: Int, _ rows: [Row]
  ) throws(Diagnostics) -> ContinuousTokens {
    let name = builder.module.modalities[index].name
    var (latents, noise, times): ([Float], [Float], [Float]) = ([], [], [])
    for row in rows {
      let start = latents.count
      var spans = 0
      for piece in row.pieces {
        try Diagnostics.collecting { () throws(Diagnostic) in
          try shards.readLatents(piece.document, piece.tokens, of: index, into: &latents)
          spans += try self.spans(of: index, in: piece)
        }
      }
      func random(_ what: String) -> CounterRandom {
        let place = "epoch \(row.place.epoch) row \(row.place.row)"
        return CounterRandom(seed: seed ?? 0, name: "\(what) of \(name), \(place)")
      }
      noise += random("noise").normals(count: latents.count - start)
      let time = random("time")
      times += (0..<spans).map { Float(time.uniform($0)) }
    }
    return ContinuousTokens(latents: latents, noise: noise, timesteps: times)
  }

  /// Returns how many spans of modality number `index` a piece of a document has.
  private func spans(of index: Int, in piece: Packing.Piece) throws(Diagnostic) -> Int {
    var tokens: [Int] = []
    try shards.read(piece.document, piece.tokens, into: &tokens)
    let id = Module.placeholder(of: index)
    return tokens.indices.count { tokens[$0] == id && ($0 == 0 || tokens[$0 - 1] != id) }
  }
}
