internal import MoTIR

// What must hold of data before any of it is used.

extension BatchBuilder {
  /// The tensors that a file for this kind of model may hold.
  private static let known = [
    "tokens", "modality", "modality_mask", "targets", "positions", "documents", "segments",
  ]

  /// Returns the rows in `tensors`.
  ///
  /// - Throws: `Diagnostics` with every tensor that is missing, unknown, misshapen or not of integers.
  func rows(of tensors: [Tensor]) throws(Diagnostics) -> Rows {
    var problems: [Diagnostic] = []
    var found: [String: [Int]] = [:]
    let continuous = try continuousTokens(in: tensors)
    for tensor in tensors where module.continuousInputs[tensor.name] == nil {
      do throws(Diagnostic) {
        guard found[tensor.name] == nil else {
          throw Diagnostic("tensor \(quoted(tensor.name)) is there twice")
        }
        found[tensor.name] = try integers(in: tensor)
      } catch {
        problems.append(error)
      }
    }
    if found["tokens"] == nil, !tensors.contains(where: { $0.name == "tokens" }) {
      problems.append(
        Diagnostic(
          "the tensor 'tokens' is missing",
          suggestion: "give it as I32 [\(module.batch), \(module.sequence)]"))
    }
    guard problems.isEmpty, let tokens = found["tokens"] else { throw Diagnostics(problems) }
    var rows = Rows(tokens: tokens)
    rows.modality = found["modality"]
    rows.targets = found["targets"]
    rows.positions = found["positions"]
    rows.documents = found["documents"]
    rows.segments = found["segments"]
    rows.mask = found["modality_mask"]
    rows.continuous = continuous
    return rows
  }

  /// Returns the elements of an input tensor.
  private func integers(in tensor: Tensor) throws(Diagnostic) -> [Int] {
    guard Self.known.contains(tensor.name) else {
      throw Diagnostic(
        "the model has no input \(quoted(tensor.name))",
        suggestion:
          "inputs are \((Self.known + module.continuousInputs.keys.sorted()).joined(separator: ", "))"
      )
    }
    let flat = [module.batch, module.sequence]
    let shape = tensor.name == "modality_mask" ? [module.modalities.count] + flat : flat
    guard tensor.shape == shape else {
      throw Diagnostic(
        "tensor \(quoted(tensor.name)) has shape \(tensor.shape), but the model takes \(shape)",
        suggestion: tensor.shape.count == 2 && shape.count == 2 && tensor.count > 0
          ? "choose --batch \(tensor.shape[0]) --sequence \(tensor.shape[1])" : nil)
    }
    return try tensor.integers()
  }

  /// Returns everything in `rows` that is outside its range.
  func problems(of rows: Rows) -> [Diagnostic] {
    let ids = 0...max(0, vocabulary - 1)
    let any = Int(Int32.min)...Int(Int32.max)
    let modalities = -1...max(0, module.modalities.count - 1)
    let placeholders = module.modalities.indices.map(Module.placeholder).filter {
      module.continuousModality(ofPlaceholder: $0) != nil
    }
    var problems = check(
      "tokens", rows.tokens, ids, besides: placeholders,
      note: placeholders.isEmpty
        ? nil : "\(placeholders.map(String.init).joined(separator: ", ")) for continuous tokens")
    problems += check("modality", rows.modality, modalities, note: "-1 is padding")
    problems += check(
      "targets", rows.targets, ids, besides: [Int(Batch.ignored)], note: "-100 is ignored")
    problems += check("positions", rows.positions, 0...(module.positionLimit - 1))
    problems += check("documents", rows.documents, any)
    let segments = 0...(Int(Segment.flags) + Segment.numbers.upperBound - 1)
    problems += check("segments", rows.segments, segments, note: "0 is causal")
    if problems.isEmpty { problems += checkSegments(rows) }
    problems += checkMask(rows)
    return problems
  }

  /// Returns an error for the first segment that begins before another one of its document has ended, or that has no
  /// number.
  private func checkSegments(_ rows: Rows) -> [Diagnostic] {
    guard let segments = rows.segments else { return [] }
    if let index = segments.firstIndex(where: { $0 > 0 && $0 % Segment.numbers.upperBound == 0 }) {
      return [
        Diagnostic(
          "segments: \(segments[index]) at \(place(index)) has no number",
          suggestion: "add 1...\(Segment.numbers.upperBound - 1)")
      ]
    }
    func block(_ index: Int) -> Block {
      Block(
        sequence: index / module.sequence, document: rows.documents?[index] ?? 0,
        segment: segments[index])
    }
    let members = segments.indices.filter { segments[$0] > 0 }
    var ends: [Block: Int] = [:]
    for index in members { ends[block(index)] = index }
    for (before, index) in zip(members, members.dropFirst()) {
      guard block(before) != block(index), let end = ends[block(before)], end > index else {
        continue
      }
      return [
        Diagnostic(
          "segments \(segments[before]) and \(segments[index]) overlap: \(segments[index]) is at "
            + "\(place(index)), and \(segments[before]) ends at \(place(end))",
          suggestion: "let no segment begin before another one has ended")
      ]
    }
    return []
  }

  /// A segment of a document.
  private struct Block: Hashable {
    let sequence, document, segment: Int
  }

  /// Returns an error for the first of `values` that is neither in `range` nor among `exceptions`, or for their
  /// count, if it is wrong.
  private func check(
    _ name: String, _ values: [Int]?, _ range: ClosedRange<Int>, besides exceptions: [Int] = [],
    note: String? = nil
  ) -> [Diagnostic] {
    guard let values else { return [] }
    guard values.count == module.tokens else {
      return [
        Diagnostic("\(name) has \(values.count) elements, but the batch has \(module.tokens)")
      ]
    }
    let isWrong = { (value: Int) in !range.contains(value) && !exceptions.contains(value) }
    guard let index = values.firstIndex(where: isWrong) else { return [] }
    let count = values.count(where: isWrong)
    let others = count > 1 ? ", as are \(count - 1) others" : ""
    let allowed = "\(range.lowerBound)...\(range.upperBound)" + (note.map { "; \($0)" } ?? "")
    return [
      Diagnostic(
        "\(name): \(values[index]) at \(place(index)) is outside what is allowed (\(allowed))\(others)"
      )
    ]
  }

  /// Returns what is wrong with the mask: it stands alone and holds 0 and 1.
  private func checkMask(_ rows: Rows) -> [Diagnostic] {
    guard let mask = rows.mask else { return [] }
    if rows.modality != nil {
      return [Diagnostic("both modality and modality_mask are given", suggestion: "leave one out")]
    }
    guard mask.count == module.modalities.count * module.tokens else {
      return [
        Diagnostic(
          "modality_mask has \(mask.count) elements, but \(module.modalities.count) modalities of "
            + "\(module.tokens) tokens take \(module.modalities.count * module.tokens)")
      ]
    }
    guard let index = mask.firstIndex(where: { !(0...1).contains($0) }) else { return [] }
    let (modality, row) = index.quotientAndRemainder(dividingBy: module.tokens)
    return [
      Diagnostic(
        "modality_mask: \(mask[index]) at [\(modality), \(row / module.sequence), "
          + "\(row % module.sequence)] is neither 0 nor 1")
    ]
  }
}
