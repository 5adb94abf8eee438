package import MoTIR

/// The documents of a split, in files that are mapped: only what is read takes memory.
package struct TokenShards {
  /// A document: where its tokens are.
  private struct Document {
    let shard: Int
    let tokens: Range<Int>
  }

  /// An open shard.
  private struct Shard {
    let file: MappedFile
    let tokens: Tensor
  }

  private let folder: String
  private let shards: [Shard]
  private let documents: [Document]

  /// The number of documents.
  package var count: Int { documents.count }
  /// The number of tokens in all documents.
  package var tokens: Int { documents.reduce(0) { $0 + $1.tokens.count } }

  /// Opens a split of the folder at `path` and checks all of it: every token is an id of one of `module`'s modalities.
  ///
  /// - Throws: `Diagnostics` with what is wrong.
  package init(
    folder path: String, split: ShardManifest.Split, module: Module
  ) throws(Diagnostics) {
    let manifest = try Diagnostics.collecting { () throws(Diagnostic) in
      try ShardManifest(folder: path)
    }
    try manifest.check(against: module, folder: path)
    var shards: [Shard] = []
    var documents: [Document] = []
    for entry in split == .train ? manifest.train : manifest.validation {
      let (shard, ends) = try Diagnostics.collecting { () throws(Diagnostic) in
        try Self.open(entry, in: path, module)
      }
      for (index, end) in ends.enumerated() {
        documents.append(
          Document(shard: shards.count, tokens: (index == 0 ? 0 : ends[index - 1])..<end))
      }
      shards.append(shard)
    }
    folder = path
    self.shards = shards
    self.documents = documents
  }

  /// Opens a shard and returns it with the ends of its documents.
  private static func open(
    _ entry: ShardManifest.Shard, in folder: String, _ module: Module
  ) throws(Diagnostic) -> (Shard, [Int]) {
    let path = "\(folder)/\(entry.file)"
    let file = try ShardManifest.open(entry.file, digest: entry.sha256, folder: folder)
    let reader = try SafetensorsReader(path: path, file: file)
    guard let tokens = reader.tensor("tokens"), let ends = reader.tensor("ends"),
      reader.names.count == 2, tokens.format == .i32, ends.format == .i32,
      tokens.shape == [entry.tokens], ends.shape == [entry.documents]
    else {
      throw Diagnostic(
        "\(path) is not the shard of \(entry.documents) documents and \(entry.tokens) tokens that "
          + "the manifest has",
        suggestion: "make the shards again by motc tokenize")
    }
    let places = try ends.integers()
    let isAscending = zip(places, places.dropFirst()).allSatisfy { $0 < $1 }
    guard isAscending, places.first ?? 1 > 0, places.last ?? 0 == entry.tokens else {
      throw Diagnostic("\(path): the ends of documents do not ascend to \(entry.tokens)")
    }
    let ranges = module.modalities.map {
      Int32($0.vocabulary.lowerBound)..<Int32($0.vocabulary.upperBound)
    }
    let stray = tokens.withBytes { bytes in
      let ids = bytes.bindMemory(to: Int32.self)
      return ids.firstIndex { id in !ranges.contains { $0.contains(id) } }.map { ($0, ids[$0]) }
    }
    if let (index, id) = stray {
      throw Diagnostic("\(path): token \(index) is \(id), which is in no modality's vocabulary")
    }
    return (Shard(file: file, tokens: tokens), places)
  }

  /// Checks that there are documents.
  ///
  /// - Throws: `Diagnostic` if there are none.
  package func requireDocuments() throws(Diagnostic) {
    guard documents.isEmpty else { return }
    throw Diagnostic(
      "\(folder) has no documents", suggestion: "make shards of some by motc tokenize")
  }

  /// Returns the tokens of document `index`.
  ///
  /// - Throws: `Diagnostic` if the file became shorter since it was opened.
  package func tokens(of index: Int) throws(Diagnostic) -> [Int] {
    var tokens: [Int] = []
    try read(index, 0..<length(of: index), into: &tokens)
    return tokens
  }

  /// Returns the number of tokens of document `index`.
  func length(of index: Int) -> Int { documents[index].tokens.count }

  /// Appends tokens `part` of document `index` to `tokens`.
  ///
  /// - Throws: `Diagnostic` if the file became shorter since it was opened.
  func read(_ index: Int, _ part: Range<Int>, into tokens: inout [Int]) throws(Diagnostic) {
    let document = documents[index]
    let shard = shards[document.shard]
    try shard.file.requireWhole()
    let start = document.tokens.lowerBound + part.lowerBound
    shard.tokens.withBytes { bytes in
      let ids = bytes.bindMemory(to: Int32.self)[start..<(start + part.count)]
      tokens.append(contentsOf: ids.lazy.map { Int($0) })
    }
  }
}
