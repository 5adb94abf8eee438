/// An epoch: all documents in a new order, packed into rows of S tokens.
///
/// A document stays in one piece unless it is longer than a row, which is filled with the next documents that fit;
/// where none does, padding is left.
struct Packing {
  /// A part of a document in a row.
  struct Piece: Hashable {
    let document: Int
    let tokens: Range<Int>
  }

  /// How many documents a row waits for one that fits.
  private static let window = 64

  private var pieces: [Piece] = []
  private var ends: [Int] = []

  /// The number of rows.
  var count: Int { ends.count }

  /// Creates the rows of an epoch.
  ///
  /// - Parameters:
  ///   - lengths: the tokens of each document.
  ///   - sequence: S.
  ///   - random: gives the order; `nil` leaves the documents in theirs.
  init(lengths: [Int], sequence: Int, random: CounterRandom?) {
    let documents = Array(lengths.indices)
    let order = random?.shuffled(documents) ?? documents
    var waiting: [Piece] = []
    var next = order.makeIterator()
    var parts: ArraySlice<Piece> = []
    func refill() {
      while waiting.count < Self.window {
        if let part = parts.popFirst() {
          waiting.append(part)
        } else if let document = next.next() {
          parts = Self.parts(document, lengths[document], sequence)[...]
        } else {
          return
        }
      }
    }
    refill()
    while !waiting.isEmpty {
      var room = sequence
      while let index = waiting.firstIndex(where: { $0.tokens.count <= room }) {
        let piece = waiting.remove(at: index)
        pieces.append(piece)
        room -= piece.tokens.count
        refill()
      }
      ends.append(pieces.count)
    }
  }

  /// The pieces of row `index`.
  subscript(index: Int) -> ArraySlice<Piece> {
    pieces[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
  }

  private static func parts(_ document: Int, _ length: Int, _ sequence: Int) -> [Piece] {
    stride(from: 0, to: length, by: sequence).map { start in
      Piece(document: document, tokens: start..<min(length, start + sequence))
    }
  }
}
