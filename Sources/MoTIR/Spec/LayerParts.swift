// Layers for the tokens of some modalities: where widths differ, and where a layer replaces another.

extension LayerContext {
  /// The modalities of a layer or of a part of its rows.
  struct Scope {
    /// The modalities that the layer is for.
    var layer: [Int]
    /// Those of the part of the rows that it is given.
    var part: [Int]
  }

  /// The width of the rows that layers are given; the model's own where they have several.
  public var width: Int {
    let widths = Set(scope.part.map(model.width))
    return widths.count == 1 ? widths.first ?? model.width : model.width
  }

  /// `true` iff layers are given the rows of all modalities.
  var isWhole: Bool { scope.part.count == model.modalities.count }

  // MARK: Parts

  /// Returns what `body` makes of the rows, part after part.
  mutating func map(
    _ x: Rows, _ body: (Rows, inout LayerContext) throws -> Rows
  ) throws -> Rows {
    let outer = scope
    defer { scope = outer }
    var parts: [Rows.Part] = []
    for part in x.parts {
      scope.part = part.modalities
      parts += try body(Rows(parts: [part]), &self).parts
    }
    return try joined(parts)
  }

  /// Returns the sum of rows with the same parts.
  mutating func residual(_ x: Rows, _ y: Rows) throws(Diagnostic) -> Rows {
    let pairs = Array(zip(x.parts, y.parts))
    for (a, b) in pairs where a.width != b.width {
      throw .residualWidths(a.width, b.width, at: location)
    }
    guard x.parts.map(\.modalities) == y.parts.map(\.modalities) else {
      throw .residualParts(
        names(x.parts[0].modalities), names(y.parts[0].modalities), at: location)
    }
    return Rows(
      parts: try pairs.map { (a, b) throws(Diagnostic) in
        let sum = try add(.binary(.add), [a.value, b.value])
        return Rows.Part(value: sum, type: a.type, modalities: a.modalities)
      })
  }

  /// Returns rows of the model's width with a part for each width, to which a projection brings them.
  mutating func spread(_ x: Rows) throws -> Rows {
    var parts: [Rows.Part] = []
    for index in model.modalities.indices {
      let width = model.width(of: index)
      let together = model.modalities.indices.filter { model.width(of: $0) == width }
      guard together.first == index else { continue }
      parts.append(Rows.Part(value: x.value, type: x.type, modalities: together))
    }
    return try map(Rows(parts: parts)) { part, context in
      let width = context.width
      guard part.width != width else { return part }
      return try context.linear(
        part, to: width, name: "projection", component: .projection(of: "embedding"))
    }
  }

  /// Returns all rows at the model's width, to which a projection brings those of another one.
  mutating func gathered(_ x: Rows) throws -> Rows {
    try map(x) { part, context in
      guard part.width != context.model.width else { return part }
      return try context.linear(
        part, to: context.model.width, name: "projection", component: .projection(of: "head"))
    }
  }

  // MARK: Modalities

  /// Returns what `body` makes of the rows of each modality with the value that stands for it.
  mutating func split<Value>(
    _ x: Rows, by values: ByModality<Value>,
    _ body: (Value, Rows, inout LayerContext) throws -> Rows
  ) throws -> Rows {
    let known = model.modalities.map(\.name)
    if let unknown = values.asked.first(where: { !known.contains($0.name) }) {
      throw Diagnostic.unknownModality(unknown.name, in: "replaced", known: known, at: location)
    }
    return try split(x, values.base, values.others[...], body)
  }

  /// As above, with the last of `others` first in rank.
  private mutating func split<Value>(
    _ x: Rows, _ base: Value, _ others: ArraySlice<(modalities: [Modality], value: Value)>,
    _ body: (Value, Rows, inout LayerContext) throws -> Rows
  ) throws -> Rows {
    guard let (modalities, other) = others.last else { return try body(base, x, &self) }
    return try split(
      x, on: modalities, { try $1.split($0, base, others.dropLast(), body) },
      { try body(other, $0, &$1) })
  }

  /// Returns what `second` makes of the rows of `modalities`, and `first` of all others.
  private mutating func split(
    _ x: Rows, on modalities: [Modality],
    _ first: (Rows, inout LayerContext) throws -> Rows,
    _ second: (Rows, inout LayerContext) throws -> Rows
  ) throws -> Rows {
    let names = modalities.map(\.name)
    let chosen = scope.layer.filter { names.contains(model.modalities[$0].name) }
    let others = scope.layer.filter { !chosen.contains($0) }
    if chosen.isEmpty { return try first(x, &self) }
    if others.isEmpty { return try second(x, &self) }
    let parts = try within(others, x, first).parts + within(chosen, x, second).parts
    return try joined(parts)
  }

  /// Returns what `body` makes of the rows of `modalities` alone.
  private mutating func within(
    _ modalities: [Int], _ x: Rows, _ body: (Rows, inout LayerContext) throws -> Rows
  ) throws -> Rows {
    let outer = scope
    defer { scope = outer }
    scope = Scope(layer: modalities, part: modalities)
    let parts = x.parts.compactMap { part in
      let own = part.modalities.filter(modalities.contains)
      return own.isEmpty ? nil : Rows.Part(value: part.value, type: part.type, modalities: own)
    }
    return try body(Rows(parts: parts), &self)
  }

  /// Returns the parts as rows; those of one width are added up to one.
  private mutating func joined(_ parts: [Rows.Part]) throws(Diagnostic) -> Rows {
    var result: [Rows.Part] = []
    for part in parts {
      guard let index = result.firstIndex(where: { $0.type == part.type }) else {
        result.append(part)
        continue
      }
      let terms = try [result[index], part].map { part throws(Diagnostic) in
        try only(part.value, part.modalities)
      }
      let sum = try add(.binary(.add), terms)
      result[index] = Rows.Part(
        value: sum, type: part.type,
        modalities: (result[index].modalities + part.modalities).sorted())
    }
    return Rows(parts: result.sorted { $0.modalities[0] < $1.modalities[0] })
  }

  /// Returns the rows `value` for the tokens of `modalities`, and 0 for others.
  mutating func only(_ value: ValueID, _ modalities: [Int]) throws(Diagnostic) -> ValueID {
    if isZero(value, outside: modalities) { return value }
    let groups = Groups(
      model.modalities.indices.map { modalities.contains($0) ? 0 : Groups.none })
    let width = graph.type(of: value).width ?? 0
    return try routed(value, groups) {
      .channelMultiply($0)
    } weights: { context throws(Diagnostic) in
      try context.add(.constant(1), [], type: .tensor(.f32, [1, width]))
    }
  }

  /// `true` iff `value` comes from an op that gives 0 for the tokens of all but `modalities`.
  private func isZero(_ value: ValueID, outside modalities: [Int]) -> Bool {
    let node = graph.definition(of: value)
    if [.gather, .scatter].contains(node.op) {
      return isZero(node.operands[0], outside: modalities)
    }
    if node.op == .binary(.add) {
      return node.operands.allSatisfy { isZero($0, outside: modalities) }
    }
    let routed = node.op == .combine ? graph.definition(of: node.operands[1]) : node
    guard let groups = routed.op.groups?.ofSegment else { return false }
    return groups.indices.allSatisfy { groups[$0] == Groups.none || modalities.contains($0) }
  }

  // MARK: Parameters

  /// Returns which group's tensor each modality takes in `component`: none where the layer is not for it, and `nil`
  /// if one tensor serves all tokens.
  func groups(of component: Component) throws(Diagnostic) -> Groups? {
    let untied = model.untied.groups(of: component, modalities: model.modalities)
    if isWhole { return untied }
    let all = model.modalities.indices
    let ofSegment = untied?.ofSegment ?? all.map { _ in 0 }
    let own = scope.part.map { ofSegment[$0] }
    if let other = scope.layer.first(where: {
      !scope.part.contains($0) && own.contains(ofSegment[$0])
    }), let mine = scope.part.first(where: { ofSegment[$0] == ofSegment[other] }) {
      let pair = [mine, other].map { (model.modalities[$0].name, model.width(of: $0)) }
      throw .tiedAcrossWidths(component.name, pair[0], pair[1], at: location)
    }
    let numbers = Set(own).sorted()
    return Groups(
      all.map { index in
        guard scope.part.contains(index) else { return Groups.none }
        return numbers.firstIndex(of: ofSegment[index]) ?? Groups.none
      })
  }

  private func names(_ modalities: [Int]) -> String {
    modalities.map { model.modalities[$0].name }.joined(separator: ", ")
  }
}
