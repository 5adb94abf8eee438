package import MoTIR
internal import Yams

/// How another project names a model's tensors: a table of rules, which a file of YAML has.
///
/// Keys of the file: `names`, a rule a line; `modalities`, what `{modality}` stands for, as a list in the order of a
/// parameter's groups or by name, by default the name itself; `shared`, what it stands for in names of tensors that all
/// tokens share; `rotary`, which elements of a head form a pair; `ignored`, beginnings of names that motc has no place
/// for; `like`, a scheme that holds for what the file does not say.
package struct NameScheme {
  /// What `{modality}` stands for.
  private enum Modalities {
    case ordered([String])
    case named([String: String])
  }

  /// The rules; the first that fits holds.
  private(set) var rules: [NameRule] = []
  private var modalities: Modalities?
  /// What `{modality}` stands for in names of tensors that all tokens share, if it may.
  private(set) var shared: String?
  /// Which elements of a head form a pair.
  private(set) var rotary: Rotary.Layout?
  /// The beginnings of names that are left out.
  private(set) var ignored: [String] = []

  private static let keys = ["like", "modalities", "shared", "rotary", "ignored", "names"]

  /// The names of the schemes that motc knows.
  package static let known = builtIn.map(\.name)

  /// Returns the scheme that motc knows by the name `name`.
  ///
  /// - Throws: `Diagnostics` if it knows none.
  package init(named name: String) throws(Diagnostics) {
    guard let text = Self.builtIn.first(where: { $0.name == name })?.text else {
      throw Diagnostics([
        Diagnostic(
          "there are no names \(quoted(name))",
          suggestion: "there are \(Self.known.joined(separator: ", ")), and --map takes a file")
      ])
    }
    try self.init(
      Diagnostics.collecting { () throws(Diagnostic) in try YAMLFile.mapping(of: text, name) }, name
    )
  }

  /// Reads the scheme in the file at `path`.
  ///
  /// - Throws: `Diagnostics` with every line that is none.
  package init(path: String) throws(Diagnostics) {
    try self.init(
      Diagnostics.collecting { () throws(Diagnostic) in try YAMLFile.mapping(path) }, path)
  }

  private init() {}

  private init(_ mapping: Yams.Node.Mapping, _ path: String) throws(Diagnostics) {
    self.init()
    if let other = mapping["like"] {
      guard let name = other.scalar?.string else {
        throw Diagnostics([
          Diagnostic("like is the name of a scheme", at: YAMLFile.place(of: other, path))
        ])
      }
      self = try NameScheme(named: name)
    }
    var problems: [Diagnostic] = []
    for (key, value) in mapping {
      do throws(Diagnostics) { try read(key.string ?? "", value, path) } catch {
        problems += error.all.map { problem in
          Diagnostic(
            problem.message, at: problem.location ?? YAMLFile.place(of: key, path),
            suggestion: problem.suggestion)
        }
      }
    }
    if rotary == nil, rules.contains(where: { $0.layout == .rotary }) {
      problems.append(
        Diagnostic("\(path): names are rotary, but rotary: half or interleaved is missing"))
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
  }

  private mutating func read(
    _ key: String, _ value: Yams.Node, _ path: String
  ) throws(Diagnostics) {
    switch key {
    case "like": break
    case "names": try readRules(value, path)
    case "modalities": modalities = try Self.modalities(value)
    case "shared": shared = try Self.text(value, "shared")
    case "rotary":
      rotary = Rotary.Layout(rawValue: try Self.text(value, "rotary"))
      if rotary == nil { throw Diagnostics([Diagnostic("rotary is half or interleaved")]) }
    case "ignored": ignored = try Self.texts(value, "ignored")
    default:
      throw Diagnostics([
        Diagnostic(
          "there is no key \(quoted(key)) in a file of names",
          suggestion: suggestion(for: key, among: Self.keys)
            ?? "keys are \(Self.keys.joined(separator: ", "))")
      ])
    }
  }

  /// Puts the rules of `node` before those that are there.
  private mutating func readRules(_ node: Yams.Node, _ path: String) throws(Diagnostics) {
    guard let mapping = node.mapping else {
      throw Diagnostics([Diagnostic("names has no lines of the form NAME: NAME")])
    }
    var found: [NameRule] = []
    var problems: [Diagnostic] = []
    for (key, value) in mapping {
      do throws(Diagnostic) {
        found.append(try NameRule(key.string ?? "", value.scalar?.string ?? ""))
      } catch {
        problems.append(
          Diagnostic(
            error.message, at: YAMLFile.place(of: key, path), suggestion: error.suggestion))
      }
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    rules = found + rules
  }

  /// Returns what stands for the group `name` of a parameter, whose number is `number`.
  ///
  /// - Throws: `Diagnostic` if nothing does.
  func group(_ name: String, number: Int) throws(Diagnostic) -> NameRule.Group {
    let text: String? =
      switch modalities {
      case nil: name
      case .ordered(let texts): number < texts.count ? texts[number] : nil
      case .named(let texts): texts[name]
      }
    guard let text else {
      throw Diagnostic(
        "the names have none for the modality \(quoted(name)), number \(number) of its parameter")
    }
    return NameRule.Group(text: text, number: number)
  }

  private static func modalities(_ node: Yams.Node) throws(Diagnostics) -> Modalities {
    guard let mapping = node.mapping else { return .ordered(try texts(node, "modalities")) }
    var named: [String: String] = [:]
    for (key, value) in mapping {
      named[try text(key, "a modality")] = try text(value, "modalities")
    }
    return .named(named)
  }

  private static func texts(_ node: Yams.Node, _ key: String) throws(Diagnostics) -> [String] {
    guard let sequence = node.sequence else {
      throw Diagnostics([Diagnostic("\(key) is a list: [A, B]")])
    }
    return try sequence.map { element throws(Diagnostics) in try text(element, key) }
  }

  private static func text(_ node: Yams.Node, _ key: String) throws(Diagnostics) -> String {
    guard let text = node.scalar?.string else {
      throw Diagnostics([Diagnostic("\(key) has something else than text")])
    }
    return text
  }
}
