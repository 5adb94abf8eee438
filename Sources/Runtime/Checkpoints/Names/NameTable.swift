package import MoTIR

/// The tensors of a model under motc's names and another project's.
package struct NameTable {
  /// A tensor.
  private struct Entry {
    let ours: String
    let theirs: String
    /// Its extents in motc. [out, in] of a matrix
    let shape: [Int]
    let layout: NameRule.Layout

    /// Its extents in the other project.
    var theirShape: [Int] { layout == .transposed ? shape.reversed() : shape }
  }

  private let entries: [Entry]
  private let ignored: [String]
  private let heads: HeadRows?

  /// Creates the table of `module`'s tensors in `scheme`.
  ///
  /// - Throws: `Diagnostics` with every tensor that no rule names, or that has another's name.
  package init(_ module: Module, _ scheme: NameScheme) throws(Diagnostics) {
    heads = try Diagnostics.collecting { () throws(Diagnostic) in
      try HeadRows(module, theirs: scheme.rotary)
    }
    ignored = scheme.ignored
    var entries: [Entry] = []
    var owners: [String: String] = [:]
    var problems: [Diagnostic] = []
    let numbers = Self.numbers(module)
    for parameter in module.parameters {
      for (index, ours) in parameter.tensorNames.enumerated() {
        do throws(Diagnostic) {
          let group = try parameter.group(ofTensor: index).map { group throws(Diagnostic) in
            try scheme.group(group.joined(separator: "+"), number: numbers[ours] ?? index)
          }
          let common = parameter.nameWithoutGroup(ofTensor: index)
          let entry = try Self.entry(ours, common, group, of: parameter, scheme, heads)
          if let other = owners.updateValue(ours, forKey: entry.theirs) {
            throw Diagnostic(
              "\(quoted(other)) and \(quoted(ours)) would both be \(quoted(entry.theirs))")
          }
          entries.append(entry)
        } catch {
          // A modality without a name is one problem, not one a tensor.
          if !problems.contains(error) { problems.append(error) }
        }
      }
    }
    self.entries = entries
    guard problems.isEmpty else { throw Diagnostics(problems) }
  }

  /// Returns the number of each untied tensor's group among those that stand in one place, perhaps as several
  /// parameters: in the order of their first modalities.
  private static func numbers(_ module: Module) -> [String: Int] {
    let order = module.modalities.map(\.name)
    var places: [String: [(first: Int, name: String)]] = [:]
    for parameter in module.parameters {
      for (index, name) in parameter.tensorNames.enumerated() {
        guard let group = parameter.group(ofTensor: index) else { continue }
        let first = group.compactMap { order.firstIndex(of: $0) }.min() ?? 0
        places[parameter.nameWithoutGroup(ofTensor: index), default: []].append((first, name))
      }
    }
    var numbers: [String: Int] = [:]
    for tensors in places.values {
      for (number, tensor) in tensors.sorted(by: { $0.first < $1.first }).enumerated() {
        numbers[tensor.name] = number
      }
    }
    return numbers
  }

  private static func entry(
    _ ours: String, _ common: String, _ group: NameRule.Group?, of parameter: ParameterDeclaration,
    _ scheme: NameScheme, _ heads: HeadRows?
  ) throws(Diagnostic) -> Entry {
    let parts = common.split(separator: ".", omittingEmptySubsequences: false)
    for rule in scheme.rules {
      guard let name = rule.name(of: parts, group: group, shared: scheme.shared) else { continue }
      let shape = parameter.shape
      guard rule.layout != .transposed || shape.count == 2 else {
        throw Diagnostic("\(quoted(ours)) \(shape) is no matrix, so it cannot be transposed")
      }
      if rule.layout == .rotary, let heads, !(shape.first ?? 1).isMultiple(of: heads.width) {
        throw Diagnostic(
          "\(quoted(ours)) \(shape) does not consist of heads of \(heads.width) rows")
      }
      return Entry(ours: ours, theirs: name, shape: shape, layout: rule.layout)
    }
    throw Diagnostic("no rule has a name for \(quoted(ours))")
  }

  // MARK: Tensors

  /// Returns the tensors in `reader`, which has another project's, as motc's.
  ///
  /// - Throws: `Diagnostics` with every tensor that is missing, unexpected, misshapen or not finite.
  package func ours(from reader: SafetensorsReader) throws -> [Tensor] {
    let reader = reader.removing { name in ignored.contains { name.hasPrefix($0) } }
    let tensors = try reader.load(expected: entries.map { ($0.theirs, $0.theirShape) })
    return try zip(entries, tensors).map { entry, tensor in
      try moved(tensor, entry, heads?.toOurs).renamed(entry.ours)
    }
  }

  /// Returns the tensors in `reader`, which has motc's, as the other project's.
  ///
  /// - Throws: `Diagnostics` with every tensor that is missing, unexpected, misshapen or not finite.
  package func theirs(from reader: SafetensorsReader) throws -> [Tensor] {
    let tensors = try reader.load(expected: entries.map { ($0.ours, $0.shape) })
    return try zip(entries, tensors).map { entry, tensor in
      try moved(tensor, entry, heads?.toTheirs).renamed(entry.theirs)
    }
  }

  private func moved(_ tensor: Tensor, _ entry: Entry, _ order: [Int]?) throws -> Tensor {
    switch entry.layout {
    case .plain: tensor
    case .transposed: try tensor.transposed()
    case .rotary: try order.map { try tensor.reordered($0) } ?? tensor
    }
  }
}
