package import MoTIR

/// The documents of a split, in files that are mapped: only what is read takes memory.
package struct TokenShards {
  /// A document: where its tokens are.
  private struct Document {
    let shard: Int
    let tokens: Range<Int>
    /// For each modality, how many of its continuous tokens stand before it in the shard.
    let latents: [Int]
  }

  /// An open shard.
  fileprivate struct Shard {
    let file: MappedFile
    let tokens: Tensor
    /// For each modality, its continuous tokens; `nil` if tokens are ids.
    let latents: [Tensor?]
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
      var (start, latents) = (0, module.modalities.map { _ in 0 })
      for end in ends {
        documents.append(Document(shard: shards.count, tokens: start..<end, latents: latents))
        shard.count(start..<end, into: &latents)
        start = end
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
    let (tokens, ends) = try documents(in: reader, of: entry, module)
    try requireIDs(tokens, of: module, in: path)
    let latents = try latents(in: reader, module)
    let shard = Shard(file: file, tokens: tokens, latents: latents)
    var counts = latents.map { _ in 0 }
    shard.count(0..<entry.tokens, into: &counts)
    for (index, tensor) in latents.enumerated() {
      guard let tensor, tensor.shape[0] != counts[index] else { continue }
      throw Diagnostic(
        "\(path): tensor \(quoted(tensor.name)) has \(tensor.shape[0]) tokens, and the documents "
          + "\(counts[index])")
    }
    return (shard, ends)
  }

  /// Returns the tokens of a shard and the ends of its documents.
  private static func documents(
    in reader: SafetensorsReader, of entry: ShardManifest.Shard, _ module: Module
  ) throws(Diagnostic) -> (tokens: Tensor, ends: [Int]) {
    guard let tokens = reader.tensor("tokens"), let ends = reader.tensor("ends"),
      reader.names.count == 2 + module.modalities.count(where: { $0.latents != nil }),
      tokens.format == .i32, ends.format == .i32,
      tokens.shape == [entry.tokens], ends.shape == [entry.documents]
    else {
      throw Diagnostic(
        "\(reader.path) is not the shard of \(entry.documents) documents and \(entry.tokens) "
          + "tokens that the manifest has",
        suggestion: "make the shards again by motc tokenize")
    }
    let places = try ends.integers()
    let isAscending = zip(places, places.dropFirst()).allSatisfy { $0 < $1 }
    guard isAscending, places.first ?? 1 > 0, places.last ?? 0 == entry.tokens else {
      throw Diagnostic("\(reader.path): the ends of documents do not ascend to \(entry.tokens)")
    }
    return (tokens, places)
  }

  /// Checks that every token is an id of a modality, or stands for a continuous one.
  private static func requireIDs(
    _ tokens: Tensor, of module: Module, in path: String
  ) throws(Diagnostic) {
    let ranges = module.modalities.map {
      Int32($0.vocabulary.lowerBound)..<Int32($0.vocabulary.upperBound)
    }
    let stray = tokens.withBytes { bytes in
      let ids = bytes.bindMemory(to: Int32.self)
      return ids.firstIndex { id in
        !ranges.contains { $0.contains(id) }
          && module.continuousModality(ofPlaceholder: Int(id)) == nil
      }.map { ($0, ids[$0]) }
    }
    if let (index, id) = stray {
      throw Diagnostic("\(path): token \(index) is \(id), which is in no modality's vocabulary")
    }
  }

  /// Returns the continuous tokens of each modality.
  private static func latents(
    in reader: SafetensorsReader, _ module: Module
  ) throws(Diagnostic) -> [Tensor?] {
    var found: [Tensor?] = []
    for modality in module.modalities {
      guard let width = modality.latents else {
        found.append(nil)
        continue
      }
      let name = Module.ContinuousInput.latents.name(of: modality.name)
      guard let tensor = reader.tensor(name), tensor.format == .f32, tensor.shape.count == 2,
        tensor.shape[1] == width
      else {
        throw Diagnostic("\(reader.path) has no tensor \(quoted(name)) F32 [tokens, \(width)]")
      }
      if let index = tensor.firstNonFinite() {
        throw Diagnostic(
          "\(reader.path): \(name) is not finite at \(tensor.position(index))")
      }
      found.append(tensor)
    }
    return found
  }

  /// Appends the continuous tokens of modality number `modality` among tokens `part` of document `index`.
  ///
  /// - Throws: `Diagnostic` if the file became shorter since it was opened.
  func readLatents(
    _ index: Int, _ part: Range<Int>, of modality: Int, into latents: inout [Float]
  ) throws(Diagnostic) {
    let document = documents[index]
    let shard = shards[document.shard]
    guard let tensor = shard.latents[modality] else { return }
    try shard.file.requireWhole()
    let start = document.tokens.lowerBound
    var first = document.latents
    shard.count(start..<(start + part.lowerBound), into: &first)
    var end = first
    shard.count((start + part.lowerBound)..<(start + part.upperBound), into: &end)
    let width = tensor.shape[1]
    tensor.withBytes { bytes in
      latents +=
        bytes.bindMemory(to: Float.self)[(first[modality] * width)..<(end[modality] * width)]
    }
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

  /// Returns the numbers of the continuous tokens among tokens `part` of document `index`, by the name of their
  /// modality in `module`, of which the shards are; none if it has none.
  ///
  /// - Throws: `Diagnostic` if the file became shorter since it was opened.
  package func latents(
    of index: Int, _ part: Range<Int>, in module: Module
  ) throws(Diagnostic) -> [String: [Float]] {
    var found: [String: [Float]] = [:]
    for (number, modality) in module.modalities.enumerated() where modality.latents != nil {
      try readLatents(index, part, of: number, into: &found[modality.name, default: []])
    }
    return found
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

extension TokenShards.Shard {
  /// Adds the numbers of continuous tokens in `range` to `counts`, by modality.
  fileprivate func count(_ range: Range<Int>, into counts: inout [Int]) {
    tokens.withBytes { bytes in
      for id in bytes.bindMemory(to: Int32.self)[range] where id < 0 { counts[-1 - Int(id)] += 1 }
    }
  }
}
