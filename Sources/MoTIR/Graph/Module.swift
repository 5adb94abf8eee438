/// A modality: a kind of token with weights of its own.
public struct ModalityDeclaration: Hashable, Sendable {
  /// What the tokens of a modality see of their span, and across its border.
  public enum Attending: String, Hashable, Sendable, CaseIterable {
    /// Each token sees itself and what stands before it.
    case causal
    /// The tokens of a span also see each other both ways.
    case withinSpan = "within_span"
    /// The tokens of a span see each other both ways, and nothing else.
    case isolated
    /// The tokens of a span also see each other both ways; no token outside sees them.
    case hidden
    /// The tokens of a span see each other both ways; they see nothing else, and no other token sees them.
    case alone
    /// All such tokens that a document begins with see each other both ways.
    case prefix

    /// What `Segment` numbers of its blocks have added.
    package var flags: Int32 {
      switch self {
      case .causal, .withinSpan, .prefix: 0
      case .isolated: Segment.isolated
      case .hidden: Segment.hidden
      case .alone: Segment.flags
      }
    }
  }

  /// Which positions the tokens of a modality have, where data does not say.
  public enum Counting: String, Hashable, Sendable, CaseIterable {
    /// One after another through the document.
    case each
    /// One for all tokens of a span: it counts as one token.
    case perSpan = "per_span"
    /// From 0 through the document's tokens of this modality, which count for no other.
    case perModality = "per_modality"
  }

  /// The name, as it appears in parameter names.
  public let name: String
  /// The token ids of the joint vocabulary that belong to it; none if its tokens are continuous.
  public let vocabulary: Range<Int>
  /// The numbers of a continuous token; `nil` if its tokens are ids.
  public let latents: Int?
  /// The token id that opens a span of it, if spans are marked.
  public let begin: Int?
  /// The token id that closes a span of it.
  public let end: Int?
  /// What its tokens see of their span, and across its border.
  public let attends: Attending
  /// Which positions its tokens have.
  public let counts: Counting

  /// Creates a modality of the token ids `vocabulary`, or of continuous tokens of `latents` numbers each.
  public init(
    name: String, vocabulary: Range<Int> = 0..<0, latents: Int? = nil, begin: Int? = nil,
    end: Int? = nil, attends: Attending = .causal, counts: Counting = .each
  ) {
    self.name = name
    self.vocabulary = vocabulary
    self.latents = latents
    self.begin = begin
    self.end = end
    self.attends = attends
    self.counts = counts
  }

  /// `true` iff documents with it can be generated: what a token sees is all up to a place, and its place counts.
  package var canGrow: Bool {
    (attends == .causal || attends == .withinSpan) && counts == .each
  }

  /// `true` iff its tokens see some that stand behind them.
  public var attendsWithinSpan: Bool { attends != .causal }
}

/// How a parameter starts.
public enum Initialization: Hashable, Sendable {
  /// Normally distributed with mean 0 and this standard deviation.
  case normal(Double)
  /// All elements 1.
  case ones
  /// All elements 0.
  case zeros
}

/// A parameter of the model, with one tensor a group where it is untied.
public struct ParameterDeclaration: Hashable, Sendable {
  /// The name without its group, such as `layers.0.attention.q.weight`.
  public let name: String
  /// The shape of one group's tensor, `[out, in]` for a matrix.
  public let shape: [Int]
  /// The names of the modalities that share each group's tensor; `nil` for a parameter of all tokens.
  public let groups: [[String]]?
  /// For how many experts each group has a tensor; `nil` for a parameter that is not experts'.
  ///
  /// The number of the expert follows the part `expert` of the name.
  public let experts: Int?
  /// What it belongs to: `embedding`, `attention`, `feed_forward`, `norm`, `head` or a custom layer's name.
  public let component: String
  /// How it starts.
  public let initialization: Initialization
  /// `true` iff weight decay applies to it.
  public let decays: Bool
  /// `true` iff training leaves it as it is: it has no gradient.
  public let isFrozen: Bool

  /// Creates a parameter.
  public init(
    name: String, shape: [Int], groups: [[String]]?, experts: Int? = nil, component: String,
    initialization: Initialization, decays: Bool, isFrozen: Bool = false
  ) {
    self.name = name
    self.shape = shape
    self.groups = groups
    self.experts = experts
    self.component = component
    self.initialization = initialization
    self.decays = decays
    self.isFrozen = isFrozen
  }

  /// `true` iff routed ops read it: it has tensors for groups of modalities or for experts.
  public var isGrouped: Bool { groups != nil || experts != nil }

  /// The number of its tensors: one an expert of each group.
  public var tensorCount: Int { (groups?.count ?? 1) * (experts ?? 1) }

  /// The type of the value in a graph: the shape, with the tensors as first dimension where it is grouped.
  public var type: ValueType { .tensor(.f32, (isGrouped ? [tensorCount] : []) + shape) }

  /// The names of its tensors in a file: the group's name stands before the last part, in place of those of all
  /// groups if they stand there, and the number of an expert behind the part `expert`.
  public var tensorNames: [String] {
    (0..<tensorCount).map { index in
      let name = nameWithoutGroup(ofTensor: index)
      return group(ofTensor: index).map { Self.name(name, of: [$0]) } ?? name
    }
  }

  /// Returns the modalities that take tensor `index`; `nil` where all do.
  package func group(ofTensor index: Int) -> [String]? { groups?[index / (experts ?? 1)] }

  /// The part of the name that the number of an expert follows.
  static let expertPart: Substring = "expert"

  /// Returns the name of tensor `index` without modalities.
  package func nameWithoutGroup(ofTensor index: Int) -> String {
    guard let experts else { return commonName }
    var parts = commonName.split(separator: ".", omittingEmptySubsequences: false)
    let place = parts.firstIndex(of: Self.expertPart).map { $0 + 1 } ?? parts.endIndex
    parts.insert("\(index % experts)", at: place)
    return parts.joined(separator: ".")
  }

  /// The name without the modalities of all groups before the last part.
  private var commonName: String {
    let cut = name.lastIndex(of: ".") ?? name.startIndex
    let all = ".\((groups ?? []).flatMap(\.self).joined(separator: "+"))"
    guard groups != nil, name[..<cut].hasSuffix(all) else { return name }
    return "\(name[..<cut].dropLast(all.count))\(name[cut...])"
  }

  /// Returns the name of the parameter that serves only `groups`, where others have one of their own in its place.
  static func name(_ name: String, of groups: [[String]]) -> String {
    let cut = name.lastIndex(of: ".") ?? name.startIndex
    return "\(name[..<cut]).\(groups.flatMap(\.self).joined(separator: "+"))\(name[cut...])"
  }
}

/// A training objective: the mean next-token loss over the targets of some modalities, or the mean square of what is
/// wrong with what the model says of noisy tokens.
public struct ObjectiveDeclaration: Hashable, Sendable {
  /// The name, as in the output `loss.NAME`.
  public let name: String
  /// The names of the modalities whose targets count.
  public let modalities: [String]
  /// The factor in the total loss.
  public let weight: Double
  /// How tokens of its modality are denoised; `nil` for next tokens.
  public let denoising: Denoising?

  /// Creates an objective.
  public init(
    name: String, modalities: [String], weight: Double, denoising: Denoising? = nil
  ) {
    self.name = name
    self.modalities = modalities
    self.weight = weight
    self.denoising = denoising
  }
}

/// A named function with its body.
public struct Function: Hashable, Sendable {
  /// The name: `loss`, `logits`, `gradients`.
  public let name: String
  /// The body.
  public var graph: Graph

  /// Creates a function.
  public init(name: String, graph: Graph) {
    self.name = name
    self.graph = graph
  }
}

/// A whole model at concrete sizes: what it is made of, and the functions that compute it.
public struct Module: Hashable, Sendable {
  /// The model's name.
  public let name: String
  /// Sequences in a batch.
  public let batch: Int
  /// Tokens in a sequence.
  public let sequence: Int
  /// Tokens of a sequence that `@prefill` and `@decode` keep keys and values of; `nil` without these.
  public let context: Int?
  /// The modalities; a token's modality id is the position in this list.
  public let modalities: [ModalityDeclaration]
  /// The parameters, in the order in which the model uses them.
  public let parameters: [ParameterDeclaration]
  /// The objectives.
  public let objectives: [ObjectiveDeclaration]
  /// The functions.
  public var functions: [Function]

  /// Creates a module.
  public init(
    name: String, batch: Int, sequence: Int, context: Int? = nil,
    modalities: [ModalityDeclaration], parameters: [ParameterDeclaration],
    objectives: [ObjectiveDeclaration], functions: [Function]
  ) {
    self.name = name
    self.batch = batch
    self.sequence = sequence
    self.context = context
    self.modalities = modalities
    self.parameters = parameters
    self.objectives = objectives
    self.functions = functions
  }

  /// Tokens in a batch.
  public var tokens: Int { batch * sequence }

  /// Returns the rows of function `name`: the batch's tokens, or one a sequence in `decode`.
  public func tokens(of name: String) -> Int { name == "decode" ? batch : tokens }

  /// How many positions there are: rotary tables have a row for each, and inputs beyond are refused.
  public var positionLimit: Int { max(4096, sequence, context ?? 0) }

  /// Returns the function called `name`, or `nil` if the module has none.
  public func function(_ name: String) -> Function? { functions.first { $0.name == name } }

  /// Returns the parameter called `name`, or `nil` if the module has none.
  public func parameter(_ name: String) -> ParameterDeclaration? {
    parameters.first { $0.name == name }
  }
}
