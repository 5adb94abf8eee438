internal import MoTIR

/// How tensors of one kind are called by motc and by another project, and how the other lays them out.
///
/// motc's name is a pattern of parts between dots. A part `{modality}` stands for the modality's place, any other
/// `{…}` for one part, which the other name repeats. The other name may also have `{number}`, the modality's number.
struct NameRule {
  /// How the other project lays a tensor out.
  enum Layout: String, CaseIterable {
    /// As motc does: a matrix is `[out, in]`.
    case plain
    /// A matrix is `[in, out]`.
    case transposed
    /// Rows are elements of heads that rotary positions turn in pairs, which may lie otherwise.
    case rotary
  }

  /// A modality's part in the name of a tensor.
  struct Group {
    /// What `{modality}` stands for in the other name.
    let text: String
    /// What `{number}` stands for.
    let number: Int
  }

  private static let modality = "{modality}"
  private static let number = "{number}"

  let layout: Layout
  private let ours: [String]
  private let theirs: String

  /// Creates a rule from motc's pattern and the other's, which its layout may follow behind a space.
  ///
  /// - Throws: `Diagnostic` if they are none.
  init(_ ours: String, _ theirs: String) throws(Diagnostic) {
    self.ours = ours.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    let words = theirs.split(separator: " ").map(String.init)
    guard let name = words.first, words.count <= 2,
      let layout = Layout(rawValue: words.count == 2 ? words[1] : "plain")
    else {
      throw Diagnostic(
        "\(quoted(ours)) stands for a name, and maybe behind a space a layout: "
          + Layout.allCases.map(\.rawValue).joined(separator: ", "))
    }
    (self.theirs, self.layout) = (name, layout)
    let variables = self.ours.filter(Self.isVariable)
    let isPlain = self.ours.allSatisfy { Self.isVariable($0) || !$0.contains(where: "{}".contains) }
    guard isPlain, Set(variables).count == variables.count, !variables.contains(Self.number) else {
      throw Diagnostic(
        "in \(quoted(ours)) a part between dots is a name or {…}, each different, and not {number}")
    }
    let place = self.ours.firstIndex(of: Self.modality) ?? self.ours.count - 2
    guard place == self.ours.count - 2 else {
      throw Diagnostic(
        "in \(quoted(ours)) {modality} is not where motc has it: before the last part")
    }
    let known = variables + (variables.contains(Self.modality) ? [Self.number] : [])
    let rest = known.reduce(name) { $0.replacing($1, with: "") }
    guard !rest.contains(where: "{}".contains) else {
      throw Diagnostic(
        "\(quoted(name)) has a {…} that \(quoted(ours)) does not have",
        suggestion: known.isEmpty ? nil : "there are \(known.joined(separator: ", "))")
    }
  }

  private static func isVariable(_ part: String) -> Bool {
    part.count > 2 && part.first == "{" && part.last == "}"
      && !part.dropFirst().dropLast().contains(where: "{}".contains)
  }

  /// Returns the other name of a tensor; `nil` if it is of another kind.
  ///
  /// - Parameters:
  ///   - parts: the parts of its parameter's name, without a modality.
  ///   - group: its modality; `nil` if all tokens share it.
  ///   - shared: what `{modality}` stands for then; `nil` if the pattern must not have it.
  func name(of parts: [Substring], group: Group?, shared: String?) -> String? {
    var pattern = ours
    let place = pattern.firstIndex(of: Self.modality)
    if group == nil, place != nil, shared == nil || theirs.contains(Self.number) { return nil }
    if group != nil, place == nil { return nil }
    if let place { pattern.remove(at: place) }
    guard pattern.count == parts.count else { return nil }
    var result = theirs
    for (part, word) in zip(pattern, parts) {
      if Self.isVariable(part) {
        result = result.replacing(part, with: word)
      } else if part != word {
        return nil
      }
    }
    return result.replacing(Self.modality, with: group?.text ?? shared ?? "")
      .replacing(Self.number, with: group.map { "\($0.number)" } ?? "")
  }
}
