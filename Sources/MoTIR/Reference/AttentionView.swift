/// The queries of an attention with the keys that each sees.
///
/// B sequences of S tokens, H query heads, K key and value heads, W head width.
struct AttentionView {
  /// One head of one row, with what it sees.
  struct Query {
    /// The number of the head among all heads of all rows: its position in an array [T, H].
    let head: Int
    /// The position of its first element in an array [T, H · W].
    let start: Int
    /// The positions of its keys' first elements in an array [T, K · W].
    let keys: [Int]
    /// q · k / √W for each of the keys.
    let scores: [Double]
  }

  /// W
  let width: Int
  /// 1 / √W
  let scale: Double
  private let attention: Op.Attention
  private let tokens: Int
  private let q: [Double]
  private let k: [Double]
  private let documents: [Int32]?
  private let segments: [Int32]?

  /// Creates the view of a node's operands, of which the first `rows` are rows of numbers.
  init(_ node: Evaluation, _ attention: Op.Attention, rows: Int) {
    self.attention = attention
    width = node.width(0) / attention.heads
    scale = 1 / Double(width).squareRoot()
    tokens = node.rows(0)
    q = node.numbers(0)
    k = node.numbers(1)
    documents = attention.hasDocuments ? node.integers(rows) : nil
    segments =
      attention.hasSegments ? node.integers(rows + (attention.hasDocuments ? 1 : 0)) : nil
  }

  /// `true` iff row `query` sees row `key` of the same sequence: in the same document, and in the same block or
  /// not later, unless attention is not causal or a border of a block is between them (`Segment`).
  func sees(_ query: Int, _ key: Int) -> Bool {
    if let documents, documents[query] != documents[key] { return false }
    let isInPlace = !attention.causal || key <= query
    guard let segments else { return isInPlace }
    if segments[query] > 0, segments[query] == segments[key] { return true }
    return isInPlace && Segment.sees(segments[query], segments[key])
  }

  /// Calls `body` for each head of each row.
  func forEachQuery(_ body: (Query) -> Void) {
    let (heads, shared) = (attention.heads, attention.keyValueHeads)
    let sequence = tokens / attention.batch
    for row in 0..<tokens {
      let first = row / sequence * sequence
      let visible = (first..<(first + sequence)).filter { sees(row, $0) }
      for head in 0..<heads {
        let start = (row * heads + head) * width
        let keys = visible.map { ($0 * shared + head * shared / heads) * width }
        let scores = keys.map { dot(q, start, k, $0, count: width) * scale }
        body(Query(head: row * heads + head, start: start, keys: keys, scores: scores))
      }
    }
  }
}
