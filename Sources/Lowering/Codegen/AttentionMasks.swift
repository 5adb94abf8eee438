internal import LLVMKit
internal import MoTIR

// Which keys a block of queries sees: those of its document and its segment, and those not after it that no border
// of a segment hides (`Segment`).
extension AttentionEmitter {
  /// A block of queries: the first, and how many.
  struct QueryBlock {
    let first, count: IRValue
  }

  /// A block of queries and a block of keys.
  ///
  /// Keys of `from..<to` are visible to some of the queries, those of `fullFrom..<fullTo` to all. All but
  /// `to` are multiples of a panel.
  struct Tile {
    let queries: QueryBlock
    /// The first key of the block: column 0 of the strip.
    let start: IRValue
    let from, fullFrom, fullTo, to: IRValue

    var first: IRValue { queries.first }
    var count: IRValue { queries.count }
  }

  /// `true` iff masks depend on documents or segments.
  var readsMasks: Bool { attention.hasDocuments || attention.hasSegments }

  /// Returns the block of queries from `first` on.
  func queryBlock(_ first: IRValue) -> QueryBlock {
    QueryBlock(
      first: first, count: ir.min(ir.int(scratch.queryRows), ir.sub(ir.int(queryCount), first)))
  }

  /// Returns the end of the keys that some of the queries may see.
  func keyLimit(_ queries: QueryBlock) -> IRValue {
    isTriangular ? ir.add(queries.first, queries.count) : ir.int(sequence)
  }

  /// Returns the tile of a block of queries and the keys from `start` on.
  func tile(_ queries: QueryBlock, start: IRValue) -> Tile {
    let to = ir.min(ir.add(start, ir.int(scratch.keyColumns)), keyLimit(queries))
    guard readsMasks else {
      let full =
        attention.causal
        ? ir.mul(ir.udiv(queries.first, ir.int(columns)), ir.int(columns))
        : ir.int(sequence / columns * columns)
      return Tile(
        queries: queries, start: start, from: start, fullFrom: start,
        fullTo: ir.max(start, ir.min(full, to)), to: to)
    }
    let seen = visiblePanels(queries, from: start, to: to)
    return Tile(
      queries: queries, start: start, from: seen[0], fullFrom: seen[2], fullTo: seen[3],
      to: ir.min(seen[1], to))
  }

  /// Returns which of the keys from `key` on the query sees.
  func mask(_ query: IRValue, _ key: IRValue) -> IRValue {
    let lanes = code.lanes
    func spread(_ value: IRValue) -> IRValue { ir.splat(ir.truncate(value, ir.i32), lanes) }
    let keys = ir.add(
      spread(key), ir.constantVector((0..<lanes).map { ir.int($0, ir.i32) }))
    let integers = ir.vector(ir.i32, lanes)
    func numbers(_ offset: Int) -> (keys: IRValue, query: IRValue) {
      let base = area(offset)
      return (
        ir.load(integers, ir.element(base, key, ir.i32)),
        ir.splat(ir.load(ir.i32, ir.element(base, query, ir.i32)), lanes)
      )
    }
    let exist = ir.compare(.less, keys, ir.int(sequence, integers))
    var visible = attention.causal ? ir.compare(.lessOrEqual, keys, spread(query)) : exist
    if attention.hasSegments {
      let (theirs, mine) = numbers(scratch.segments)
      let together = ir.and(
        ir.compare(.equal, theirs, mine), ir.compare(.greater, mine, ir.zero(integers)))
      visible = ir.and(visible, isOpen(queries: mine, keys: theirs))
      visible = ir.and(exist, ir.or(visible, together))
    }
    if attention.hasDocuments {
      let (theirs, mine) = numbers(scratch.documents)
      visible = ir.and(visible, ir.compare(.equal, theirs, mine))
    }
    return visible
  }

  /// Returns whether no border of a segment hides the keys from the queries.
  private func isOpen(queries: IRValue, keys: IRValue) -> IRValue {
    func lacks(_ flag: Int32, _ segment: IRValue) -> IRValue {
      let bits = ir.and(segment, ir.int(Int(flag), segment.type))
      return ir.compare(.equal, bits, ir.zero(segment.type))
    }
    return ir.and(lacks(Segment.isolated, queries), lacks(Segment.hidden, keys))
  }

  // MARK: Documents and segments

  /// Copies the sequence's document and segment numbers, so that whole vectors of them can be read, and
  /// summarises each panel of them.
  func readMasks(_ sequence: IRValue, firstArgument: Int) {
    guard readsMasks else { return }
    var argument = firstArgument
    let first = ir.mul(sequence, ir.int(self.sequence))
    for (isUsed, target) in [
      (attention.hasDocuments, scratch.documents), (attention.hasSegments, scratch.segments),
    ] where isUsed {
      ir.copy(
        to: area(target), from: code.at(frame.arguments[argument], first),
        bytes: ir.int(4 * self.sequence))
      argument += 1
    }
    ir.loop(from: ir.int(0), to: ir.int(self.sequence), by: columns) { key in
      let end = ir.min(ir.add(key, ir.int(columns)), ir.int(self.sequence))
      let summary = ir.loop(from: key, to: end, carrying: Summary.none(ir).values) { key, carried in
        let document = attention.hasDocuments ? number(scratch.documents, key) : ir.int(0)
        let segment = attention.hasSegments ? number(scratch.segments, key) : ir.int(0)
        let positive = ir.select(
          ir.compare(.greater, segment, ir.int(0)), segment, ir.int(Int(Int32.max)))
        let one = Summary([document, document, segment, positive, segment, segment, segment])
        return Summary(carried).joined(one, ir).values
      }
      for (index, value) in summary.enumerated() {
        let place = ir.add(ir.mul(ir.udiv(key, ir.int(columns)), ir.int(8)), ir.int(index))
        ir.store(
          ir.truncate(value, ir.i32), ir.element(area(scratch.summaries), place, ir.i32))
      }
    }
  }

  /// The least and largest document of some tokens; their least segment, the least that is one (0 stands
  /// for none) and the largest; the bits that all of their segments have, and those that some have.
  private struct Summary {
    let values: [IRValue]
    var documents: (least: IRValue, most: IRValue) { (values[0], values[1]) }
    var segments: (least: IRValue, positive: IRValue, most: IRValue) {
      (values[2], values[3], values[4])
    }
    var bits: (all: IRValue, some: IRValue) { (values[5], values[6]) }

    init(_ values: [IRValue]) { self.values = values }

    /// The summary of no tokens.
    static func none(_ ir: IRBuilder) -> Summary {
      let (least, most) = (ir.int(Int(Int32.min)), ir.int(Int(Int32.max)))
      return Summary([most, least, most, most, least, ir.int(-1), ir.int(0)])
    }

    func joined(_ other: Summary, _ ir: IRBuilder) -> Summary {
      Summary(
        zip(values, other.values).enumerated().map { index, pair in
          switch index {
          case 1, 4: ir.max(pair.0, pair.1)
          case 5: ir.and(pair.0, pair.1)
          case 6: ir.or(pair.0, pair.1)
          default: ir.min(pair.0, pair.1)
          }
        })
    }
  }

  private func number(_ offset: Int, _ token: IRValue) -> IRValue {
    code.loadIndex(area(offset), token)
  }

  private func summary(ofPanelAt key: IRValue) -> Summary {
    let first = ir.mul(ir.udiv(key, ir.int(columns)), ir.int(8))
    return Summary((0..<7).map { number(scratch.summaries, ir.add(first, ir.int($0))) })
  }

  /// Returns the first of the keys `from..<to` that some of the queries see, the end of them, and the
  /// first and the end of the longest run of panels that all of them see, in whole panels.
  private func visiblePanels(
    _ block: QueryBlock, from: IRValue, to: IRValue
  ) -> [IRValue] {
    let (first, last) = (block.first, ir.add(block.first, block.count))
    let queries = Summary(
      ir.loop(from: first, to: last, by: columns, carrying: Summary.none(ir).values) {
        Summary($1).joined(summary(ofPanelAt: $0), ir).values
      })
    // The first visible key, the end, the start of the run at hand, and the longest run.
    let found = ir.loop(from: from, to: to, by: columns, carrying: [to, from, from, from, from]) {
      key, carried in
      let end = ir.add(key, ir.int(columns))
      let (some, all) = visibility(of: key, end, first: first, last: last, queries)
      let run = ir.select(all, carried[2], end)
      let isLonger = ir.compare(
        .greater, ir.sub(end, run), ir.sub(carried[4], carried[3]))
      return [
        ir.select(some, ir.min(key, carried[0]), carried[0]), ir.select(some, end, carried[1]),
        run, ir.select(isLonger, run, carried[3]), ir.select(isLonger, end, carried[4]),
      ]
    }
    let isEmpty = ir.compare(.lessOrEqual, found[1], found[0])
    let visible = (ir.select(isEmpty, from, found[0]), ir.select(isEmpty, from, found[1]))
    let hasRun = ir.compare(.less, found[3], found[4])
    return [
      visible.0, visible.1, ir.select(hasRun, found[3], visible.0),
      ir.select(hasRun, found[4], visible.0),
    ]
  }

  /// Returns whether some of a panel's keys may be visible to some of the queries, and whether all are
  /// visible to all.
  private func visibility(
    of key: IRValue, _ end: IRValue, first: IRValue, last: IRValue, _ queries: Summary
  ) -> (some: IRValue, all: IRValue) {
    func overlap(_ a: (IRValue, IRValue), _ b: (IRValue, IRValue)) -> IRValue {
      ir.and(ir.compare(.lessOrEqual, a.0, b.1), ir.compare(.lessOrEqual, b.0, a.1))
    }
    func equal(_ a: (IRValue, IRValue), _ b: (IRValue, IRValue)) -> IRValue {
      ir.and(
        ir.compare(.equal, a.0, b.0),
        ir.and(ir.compare(.equal, a.0, a.1), ir.compare(.equal, b.0, b.1)))
    }
    let keys = summary(ofPanelAt: key)
    var some = ir.compare(.less, key, ir.int(sequence))
    var all = ir.compare(.lessOrEqual, end, ir.int(sequence))
    let exist = (some: some, all: all)
    if attention.causal {
      some = ir.compare(.less, key, last)
      all = ir.and(all, ir.compare(.lessOrEqual, end, ir.add(first, ir.int(1))))
    }
    if attention.hasSegments {
      let (mine, theirs) = (queries.segments, keys.segments)
      some = ir.and(some, isOpen(queries: queries.bits.all, keys: keys.bits.all))
      all = ir.and(all, isOpen(queries: queries.bits.some, keys: keys.bits.some))
      let mayMeet = overlap((mine.positive, mine.most), (theirs.positive, theirs.most))
      let together = ir.and(
        equal((mine.least, mine.most), (theirs.least, theirs.most)),
        ir.compare(.greater, mine.least, ir.int(0)))
      some = ir.or(some, ir.and(exist.some, mayMeet))
      all = ir.or(all, ir.and(exist.all, together))
    }
    if attention.hasDocuments {
      some = ir.and(some, overlap(queries.documents, keys.documents))
      all = ir.and(all, equal(queries.documents, keys.documents))
    }
    return (some, all)
  }
}
