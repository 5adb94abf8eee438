// What a spec can have wrong: one function a message.

extension Diagnostic {
  // MARK: Sizes

  /// A size outside its range.
  static func outside(
    _ what: String, _ value: Int, _ range: ClosedRange<Int>, at place: Location?
  ) -> Diagnostic {
    let bound =
      value < range.lowerBound ? "at least \(range.lowerBound)" : "at most \(range.upperBound)"
    return Diagnostic("\(what) must be \(bound), and is \(value)", at: place)
  }

  /// A count below 1.
  static func tooSmall(_ value: Int, _ what: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "\(what) wants a count of at least 1, and has \(value)", at: place,
      suggestion: "leave it out for none")
  }

  /// More repeated layers than fit.
  static func tooManyLayers(at place: Location?) -> Diagnostic {
    Diagnostic("a model has at most \(Limits.layers) repeated layers", at: place)
  }

  /// A parameter with an impossible size.
  static func badShape(of name: String, _ shape: [Int], at place: Location?) -> Diagnostic {
    Diagnostic(
      "parameter '\(name)' has shape \(shape), but each size must be in 1...\(Limits.width)",
      at: place)
  }

  /// An impossible number of hidden channels.
  static func badHidden(_ hidden: Int, width: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "FeedForward must have at least 1 and at most \(Limits.width) hidden channels, and has"
        + " \(hidden)", at: place,
      suggestion:
        "hidden: \(width.multipliedReportingOverflow(by: 3).partialValue) is usual at width \(width)"
    )
  }

  // MARK: Experts

  /// An impossible number of experts.
  static func badExperts(_ count: Int, atMost most: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "Experts wants 2...\(most) experts, and has \(count)", at: place,
      suggestion: count == 1 ? "one expert is a FeedForward" : "choose 4, as in MoE-4x")
  }

  /// Experts of which some modalities train theirs and others do not.
  static func partlyFrozenExperts(at place: Location?) -> Diagnostic {
    Diagnostic(
      "experts of some modalities are frozen, and of others not", at: place,
      suggestion: "give these modalities Experts of their own with replaced(on:by:)")
  }

  /// A capacity that is no number of experts.
  static func badCapacity(_ capacity: Double, at place: Location?) -> Diagnostic {
    Diagnostic(
      "the capacity must be at least 0 and finite, and is \(capacity)", at: place,
      suggestion: "capacity: 1 gives each token one expert on the average")
  }

  /// More experts a token than there are.
  static func badTopK(_ best: Int, experts: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "each token takes its \(best) best experts, and there are \(experts)", at: place,
      suggestion: "choose .topK(\(best < 1 ? 1 : experts))")
  }

  /// A weight of a router's loss that is no weight.
  static func badRouterWeight(
    _ weight: Double, _ name: String, at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "the weight `\(name)` must be at least 0 and finite, and is \(weight)", at: place,
      suggestion: "leave it out for the usual one, or choose 0 for none")
  }

  /// An objective with the name of a loss that layers add.
  static func nameOfRouterLoss(_ name: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "an objective is called '\(name)', as a loss of the model's experts is", at: place,
      suggestion: "name: gives it another name")
  }

  // MARK: Attention

  /// An impossible number of heads.
  static func badHeads(_ heads: Int, at place: Location?) -> Diagnostic {
    Diagnostic("Attention wants 1...\(Limits.heads) heads, and has \(heads)", at: place)
  }

  /// Key/value heads that do not divide the heads.
  static func badKeyValueHeads(_ count: Int, heads: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "\(heads) heads are no multiple of \(count) key/value heads", at: place,
      suggestion: "each key/value head serves equally many heads: keyValueHeads must divide heads")
  }

  /// Heads that do not divide the width.
  static func headsDoNotDivide(_ heads: Int, width: Int, at place: Location?) -> Diagnostic {
    let near = (1...64).first { width.isMultiple(of: $0) && $0 >= heads }
    return Diagnostic(
      "\(heads) heads do not divide width \(width)", at: place,
      suggestion: "\(near.map { "heads: \($0) does; or " } ?? "")set headWidth")
  }

  /// A head without pairs to turn.
  static func oddHeadWidth(_ width: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "rotary positions turn pairs of elements, but a head is \(width) wide", at: place,
      suggestion: "take an even headWidth, or positions: .none")
  }

  /// An impossible base of frequencies.
  static func badRotaryBase(_ base: Double, at place: Location?) -> Diagnostic {
    Diagnostic("the base of rotary positions must be above 0, and is \(base)", at: place)
  }

  /// Generation by an attention that sees what is not there yet.
  static func needsWholeSequence(at place: Location?) -> Diagnostic {
    Diagnostic(
      "an attention that is not causal sees tokens that are not there yet, and cannot generate",
      at: place, suggestion: "make it causal, or leave --context out")
  }

  /// Generation of documents whose tokens see or count otherwise than one by one.
  static func cannotGrow(_ modality: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "documents with modality '\(modality)' cannot be generated: its tokens do not see all that stands before"
        + " them, or share positions", at: place,
      suggestion: "leave --context out, or take attends: .causal or .withinSpan and counts: .each")
  }

  /// A negative or infinite epsilon.
  static func badEpsilon(_ epsilon: Double, at place: Location?) -> Diagnostic {
    Diagnostic("a norm's epsilon must be 0 or above, and is \(epsilon)", at: place)
  }

  /// Rows that cannot be cut into equal parts.
  static func indivisible(
    _ width: Int, by parts: Int, _ what: String, at place: Location?
  ) -> Diagnostic {
    Diagnostic("\(parts) \(what) do not divide rows of width \(width)", at: place)
  }

  // MARK: Layers

  /// A residual connection between different widths.
  static func residualWidths(_ outer: Int, _ inner: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "Residual adds rows \(inner) wide to rows \(outer) wide", at: place,
      suggestion: "let the last layer inside return rows of width \(outer)")
  }

  /// A residual connection that changes which modalities have one width.
  static func residualParts(
    _ outer: String, _ inner: String, at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "Residual adds rows of one width for \(inner) to rows of one width for \(outer)", at: place,
      suggestion: "let the layers inside return each modality's rows at the width they have outside"
    )
  }

  /// One tensor for modalities of different widths.
  static func tiedAcrossWidths(
    _ component: String, _ a: (String, Int), _ b: (String, Int), at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "one \(component) serves '\(a.0)', which is \(a.1) wide, and '\(b.0)', which is \(b.1) wide",
      at: place,
      suggestion: "untie \(component) for them, or give both one width")
  }

  /// A width that is given twice.
  static func widthTwice(_ name: String, at place: Location?) -> Diagnostic {
    Diagnostic("widths names '\(name)' twice", at: place)
  }

  /// A layer that stands for all modalities.
  static func irreplaceable(_ layer: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "\(layer) cannot replace a layer or be replaced for some modalities", at: place,
      suggestion: "replace the layers inside Residual and Repeat one by one")
  }

  /// An attention in a layer that is given some modalities only.
  static func attendsToSome(of count: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "attention is over the tokens of all modalities, and this layer is given those of \(count)",
      at: place, suggestion: "use Attention outside of replaced and of custom layers")
  }

  /// Attention that differs between towers where it has to be common.
  static func unequalTowers(
    _ what: String, _ a: Int, _ b: Int, _ modalities: [String], at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "unequal \(what) between towers: \(b) for \(modalities.joined(separator: ", ")), \(a) for others",
      at: place,
      suggestion:
        "one attention is over all tokens, so heads and head width are common; widths may differ")
  }

  /// Attention that sees other tokens in one tower than in another.
  static func unequalMasks(_ modalities: [String], at place: Location?) -> Diagnostic {
    Diagnostic(
      "attention for \(modalities.joined(separator: ", ")) is causal or bound to documents otherwise than for others",
      at: place, suggestion: "say what a modality sees with Modality(attends:)")
  }

  /// A model that does not begin with its embedding.
  static func noEmbedding(at place: Location?) -> Diagnostic {
    Diagnostic("the first layer must be Embedding", at: place, suggestion: "begin with Embedding()")
  }

  /// A model that does not end with its head.
  static func noHead(at place: Location?) -> Diagnostic {
    Diagnostic("the last layer must be Head", at: place, suggestion: "end with Head()")
  }

  /// An embedding or head in the middle.
  static func misplaced(_ layer: String, _ where: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "\(layer) stands only once in a model: \(`where`), outside Repeat and Residual", at: place)
  }

  /// One name for two different parameters.
  static func conflictingParameter(_ name: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "parameter '\(name)' is declared twice, differently", at: place,
      suggestion: "give the two operations different names")
  }

  /// A custom component that does not exist.
  static func unknownComponent(
    _ name: String, in what: String, at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "\(what) names the component '\(name)', but no layer has parameters of it", at: place,
      suggestion: "a custom component is called like its layer")
  }

  /// A component that all modalities share.
  static func neverUntied(_ name: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "untied names the component '\(name)', which all modalities share", at: place,
      suggestion: "leave .\(name) out: in its one table each modality's ids have rows of their own")
  }

  // MARK: Names and modalities

  /// A name that cannot stand in names of parameters.
  static func badName(_ name: String, of what: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "'\(name.prefix(80))' is no name of a \(what)", at: place,
      suggestion: "1 to 64 of the characters a-z, A-Z, 0-9, _ and -")
  }

  /// The same name twice.
  static func nameTwice(_ name: String, of what: String, at place: Location?) -> Diagnostic {
    Diagnostic("there are two \(plural(what)) called '\(name)'", at: place)
  }

  private static func plural(_ word: String) -> String {
    word.hasSuffix("y") ? "\(word.dropLast())ies" : "\(word)s"
  }

  /// A modality that is not the model's.
  static func unknownModality(
    _ name: String, in what: String, known: [String], at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "\(what) names the modality '\(name)', which the model does not have", at: place,
      suggestion: "its modalities are \(known.joined(separator: ", "))")
  }

  /// An impossible range of token ids.
  static func badVocabulary(_ name: String, _ range: Range<Int>, at place: Location?) -> Diagnostic
  {
    Diagnostic(
      "modality '\(name)' has the vocabulary \(range), which is empty or not within"
        + " 0..<\(Limits.width)", at: place)
  }

  /// Token ids that belong to two modalities.
  static func overlap(
    _ a: String, _ aRange: Range<Int>, _ b: String, _ bRange: Range<Int>, at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "the vocabularies of '\(a)' (\(aRange)) and '\(b)' (\(bRange)) overlap", at: place,
      suggestion: "start '\(b)' at \(aRange.upperBound)")
  }

  /// A marker that is no token.
  static func strayMarker(
    _ word: String, _ marker: Int, of name: String, at place: Location?
  ) -> Diagnostic {
    Diagnostic(
      "the \(word) marker \(marker) of '\(name)' is in no modality's vocabulary", at: place,
      suggestion: "markers are tokens too: widen the text's vocabulary to hold it")
  }

  /// One marker without the other.
  static func loneMarker(of name: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "modality '\(name)' has one marker only", at: place, suggestion: "give begin and end")
  }

  /// One token for both markers.
  static func equalMarkers(_ marker: Int, of name: String, at place: Location?) -> Diagnostic {
    Diagnostic("begin and end of '\(name)' are the same token \(marker)", at: place)
  }

  // MARK: Objectives

  /// A model that training does not change.
  static func allFrozen(at place: Location?) -> Diagnostic {
    Diagnostic("every parameter is frozen, so nothing trains", at: place, suggestion: "freeze less")
  }

  /// A model that nothing trains.
  static func noObjective(at place: Location?) -> Diagnostic {
    Diagnostic(
      "the model has no objective", at: place, suggestion: "objectives: { NextToken(on: text) }")
  }

  /// A model of continuous tokens alone.
  static func noVocabulary(at place: Location?) -> Diagnostic {
    Diagnostic(
      "no modality has a vocabulary: continuous tokens alone make no document", at: place,
      suggestion: "add a modality such as Modality(\"text\", vocabulary: 0..<258)")
  }

  /// Next tokens of a modality whose tokens are no ids.
  static func nextTokenOfContinuous(_ name: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "NextToken is for token ids, and the tokens of '\(name)' are continuous", at: place,
      suggestion: "Denoise(on: \(name))")
  }

  /// Noise on tokens that are ids.
  static func denoisedIds(_ name: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "Denoise is for continuous tokens, and those of '\(name)' are ids", at: place,
      suggestion: "NextToken(on: \(name)), or give the modality latents in place of a vocabulary")
  }

  /// A continuous modality that no objective denoises, or several.
  static func denoisedTimes(_ count: Int, _ name: String, at place: Location?) -> Diagnostic {
    Diagnostic(
      "the continuous modality '\(name)' wants one objective that says what noise it gets, and has "
        + (count == 0 ? "none" : "\(count)"), at: place,
      suggestion: "objectives: { Denoise(on: \(name)) }")
  }

  /// A layer in place of the patch embedding whose rows are not the model's.
  static func patchWidth(_ found: Int, _ width: Int, at place: Location?) -> Diagnostic {
    Diagnostic(
      "the layer that embeds patches returns rows \(found) wide, and the model's are \(width)",
      at: place)
  }

  /// A model without a head.
  static func noPrediction(of name: String, at place: Location?) -> Diagnostic {
    Diagnostic("nothing says anything of the tokens of '\(name)'", at: place)
  }

  /// An objective of no tokens.
  static func emptyObjective(at place: Location?) -> Diagnostic {
    Diagnostic("NextToken names no modality", at: place)
  }

  /// A negative or infinite weight.
  static func badWeight(_ weight: Double, of name: String, at place: Location?) -> Diagnostic {
    Diagnostic("the weight of objective '\(name)' must be 0 or above, and is \(weight)", at: place)
  }
}
