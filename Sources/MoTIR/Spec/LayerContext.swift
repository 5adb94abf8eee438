/// The graph of one function while layers append to it.
///
/// A layer appends operations through the methods here and in LayerOperations.swift. A routed one
/// gets its own plan, syncs, gather and scatter; passes remove them.
public struct LayerContext {
  /// The model.
  let model: Model
  /// Sequences in a batch.
  public let batch: Int
  /// Tokens in a sequence.
  public let sequence: Int
  /// Slots of the caches from which attention goes on; `nil` where sequences are whole.
  let slots: Int?
  /// `true` iff layers add losses of their own.
  let collectsLosses: Bool
  /// The factor of the initial deviation of projections that end in a residual addition.
  let residualScale: Double

  /// How continuous tokens come.
  let continuousTokens: ContinuousTokens
  /// What the model says of continuous tokens, by the number of their modality, for looking up alone.
  var predictions: [Int: Rows] = [:]
  /// How noise is mixed into continuous tokens, by the number of their modality, for looking up alone.
  var noiseFactors: [Int: NoiseFactors] = [:]

  /// The graph so far.
  var graph = Graph()
  /// The parameters so far, in order of first use.
  private(set) var parameters: [ParameterDeclaration] = []
  /// The losses that layers add, in order of first use.
  var losses: [LayerLoss] = []
  /// What was found wrong so far.
  private(set) var diagnostics: [Diagnostic] = []
  /// Where each parameter is in `parameters`, for looking up alone.
  private var declared: [String: Int] = [:]
  /// The values of parameters and inputs that exist, for looking up alone.
  private var values: [String: ValueID] = [:]
  /// The scopes that are taken, for looking up alone.
  private var scopes: Set<String> = []
  /// How many attentions have caches of a name, for looking up alone.
  private var caches: [String: Int] = [:]

  /// The modalities of what is being built.
  var scope: Scope
  /// The place in the spec of what is being built.
  private(set) var location: Location?
  /// The enclosing layers' names, the outermost first.
  private var path: [String] = []
  /// The name of the innermost layer.
  private var layerName = ""
  /// The repeated layers so far.
  private var layerCount = 0
  /// The turns of repetitions so far.
  private var turns = 0
  /// The repeated layer that is being built: its number once something in it has asked for a name.
  private var repeated: (isOpen: Bool, number: Int?) = (false, nil)

  init(
    model: Model, batch: Int, sequence: Int, slots: Int? = nil,
    continuousTokens: ContinuousTokens = .given, collectsLosses: Bool = false
  ) {
    self.continuousTokens = continuousTokens
    self.collectsLosses = collectsLosses
    self.model = model
    self.batch = batch
    self.sequence = sequence
    self.slots = slots
    let modalities = Array(model.modalities.indices)
    self.scope = Scope(layer: modalities, part: modalities)
    self.location = model.location
    self.residualScale = 1 / Double(max(1, model.layers.residuals)).squareRoot()
  }

  /// The number of ids in the joint vocabulary.
  public var vocabulary: Int { model.modalities.map(\.vocabulary.upperBound).max() ?? 0 }

  // MARK: Layers

  /// Applies `layers` one after another.
  ///
  /// A layer that fails is noted and stands aside, so that one run finds what is wrong in all of them.
  public mutating func apply(_ layers: [PlacedLayer], to x: Rows) -> Rows {
    let names = Self.names(of: layers.map(\.layer))
    var x = x
    for (placed, name) in zip(layers, names) {
      let outer = (location, path, layerName)
      location = placed.location
      if !(placed.layer is any ContainerLayer) { enter(name) }
      x = attempt { context throws in try context.apply(placed.layer, to: x) } ?? x
      (location, path, layerName) = outer
    }
    return x
  }

  /// Applies `layer` to all rows at once, or to one part after another.
  mutating func apply(_ layer: any Layer, to x: Rows) throws -> Rows {
    if layer is any WholeLayer { return try layer.apply(x, in: &self) }
    return try map(x) { part, context in try layer.apply(part, in: &context) }
  }

  /// Applies `layer` in the place of `other`, whose name is that of a norm in any case.
  mutating func apply(
    _ layer: any Layer, insteadOf other: any Layer, to x: Rows
  ) throws -> Rows {
    let outer = (path, layerName)
    defer { (path, layerName) = outer }
    if layer.name != other.name, !(layer is any NormLayer && other is any NormLayer) {
      path.removeLast()
      enter(layer.name)
    }
    return try apply(layer, to: x)
  }

  /// Makes `location` the place of what is appended next.
  mutating func move(to location: Location) { self.location = location }

  /// Returns what `body` returns, or notes the error that it throws.
  mutating func attempt<R>(_ body: (inout LayerContext) throws -> R) -> R? {
    do {
      return try body(&self)
    } catch let diagnostic as Diagnostic {
      if !diagnostics.contains(diagnostic) { diagnostics.append(diagnostic) }
    } catch let several as Diagnostics {
      diagnostics += several.all.filter { !diagnostics.contains($0) }
    } catch {
      diagnostics.append(Diagnostic("\(error)", at: location))
    }
    return nil
  }

  /// Applies `layers` as one turn of a repetition.
  mutating func applyRepeated(_ layers: [PlacedLayer], to x: Rows) throws(Diagnostic) -> Rows {
    turns += 1
    guard turns <= Limits.layers else { throw .tooManyLayers(at: location) }
    let outer = repeated
    repeated = (true, nil)
    defer { repeated = outer }
    return apply(layers, to: x)
  }

  /// Makes `name`, or the next free name like it, the scope of the parameters that follow.
  private mutating func enter(_ name: String) {
    layerName = name
    if path.isEmpty, repeated.isOpen {
      let number = repeated.number ?? layerCount
      if repeated.number == nil { layerCount += 1 }
      repeated.number = number
      path = ["layers", "\(number)"]
    }
    var candidate = name
    var count = 1
    while !scopes.insert((path + [candidate]).joined(separator: ".")).inserted {
      count += 1
      candidate = "\(name)_\(count)"
    }
    path.append(candidate)
  }

  /// Returns the names of `layers`: a norm is called after the layer behind it, or where none follows after the one
  /// before it (`post_norm` if that has a norm before it already), and `norm` where that computes nothing of its own.
  private static func names(of layers: [any Layer]) -> [String] {
    let others = layers.indices.filter { !(layers[$0] is any NormLayer) }
    return layers.indices.map { index in
      guard layers[index] is any NormLayer else { return layers[index].name }
      let next = others.first { $0 > index }
      guard let served = next ?? others.last, layers[served].hasNorms else { return "norm" }
      let isSecond = next == nil && served > 0 && layers[served - 1] is any NormLayer
      return "\(layers[served].name)_\(isSecond ? "post_norm" : "norm")"
    }
  }

  // MARK: Sources

  /// Returns the function's input `name`, by default one i32 a token.
  mutating func input(
    _ name: String, _ element: ElementType = .i32, width: Int = 1
  ) throws(Diagnostic) -> ValueID {
    if let value = values["%\(name)"] { return value }
    let type = ValueType.rows(element, .sequence, count: batch * sequence, width: width)
    let value = try add(.input(name), [], type: type)
    values["%\(name)"] = value
    return value
  }

  /// Returns the name of the caches of an attention of this layer, which is its own.
  mutating func cacheName() -> String {
    let name = Module.cachePrefix + (path.isEmpty ? ["attention"] : path).joined(separator: ".")
    caches[name, default: 0] += 1
    let number = caches[name] ?? 1
    return number == 1 ? name : "\(name)_\(number)"
  }

  /// Returns the parameter `name` of this layer, which is declared by its first use.
  ///
  /// - Parameters:
  ///   - shape: the shape of one modality's tensor, `[out, in]` for a matrix.
  ///   - decays: whether weight decay applies; by default to matrices only.
  ///   - component: what it belongs to; by default the custom component called like the layer.
  public mutating func parameter(
    _ name: String, shape: [Int], initialization: Initialization = .normal(0.02),
    decays: Bool? = nil, component: Component? = nil
  ) throws(Diagnostic) -> Parameter {
    try parameter(
      name, shape: shape, initialization: initialization, decays: decays, component: component,
      experts: nil)
  }

  /// As above, with one tensor for each of so many experts, whose number follows the part `expert` of the name.
  mutating func parameter(
    _ name: String, shape: [Int], initialization: Initialization, decays: Bool? = nil,
    component: Component?, experts: Int?
  ) throws(Diagnostic) -> Parameter {
    let component = component ?? .custom(layerName)
    guard shape.allSatisfy({ (1...Limits.width).contains($0) }) else {
      throw .badShape(of: name, shape, at: location)
    }
    let pieces = model.pieces(component, try groups(of: component))
    let whole = (path + [name]).joined(separator: ".")
    return Parameter(
      pieces: try pieces.map { groups, isFrozen throws(Diagnostic) in
        let names = groups.map(model.groupNames)
        let isOne = isWhole && pieces.count == 1
        let declaration = ParameterDeclaration(
          name: isOne ? whole : ParameterDeclaration.name(whole, of: names ?? []), shape: shape,
          groups: names, experts: experts, component: component.name,
          initialization: initialization, decays: decays ?? (shape.count > 1), isFrozen: isFrozen)
        try declare(declaration)
        return Parameter.Piece(name: declaration.name, type: declaration.type, groups: groups)
      })
  }

  /// Returns the tied parameter called `name` in the whole model, if something declared it.
  func existingParameter(_ name: String) -> Parameter? {
    declared[name].map {
      Parameter(pieces: [Parameter.Piece(name: name, type: parameters[$0].type, groups: nil)])
    }
  }

  /// Enters `declaration` unless the same one exists.
  private mutating func declare(_ declaration: ParameterDeclaration) throws(Diagnostic) {
    if let index = declared[declaration.name] {
      guard parameters[index] == declaration else {
        throw .conflictingParameter(declaration.name, at: location)
      }
      return
    }
    declared[declaration.name] = parameters.count
    parameters.append(declaration)
  }

  /// Returns the value of `parameter`, whose node stands right before its first use.
  mutating func value(of parameter: Parameter.Piece) throws(Diagnostic) -> ValueID {
    if let value = values["@\(parameter.name)"] { return value }
    do {
      let value = try graph.add(.parameter(parameter.name), [], type: parameter.type)
      values["@\(parameter.name)"] = value
      return value
    } catch {
      throw Diagnostic(error.description, at: location)
    }
  }

  // MARK: Nodes

  /// Appends an operation with one result.
  mutating func add(
    _ op: Op, _ operands: [ValueID], type: ValueType? = nil
  ) throws(Diagnostic) -> ValueID {
    try addAll(op, operands, type: type)[0]
  }

  /// Appends an operation and returns its results.
  mutating func addAll(
    _ op: Op, _ operands: [ValueID], type: ValueType? = nil
  ) throws(Diagnostic) -> [ValueID] {
    do throws(TypingError) {
      let values = try graph.append(op, operands, type: type, at: location)
      let size = values.map { graph.type(of: $0).elementCount }.max() ?? 0
      guard size <= IRLimits.elements else { throw TypingError.tooLarge(op, size) }
      return values
    } catch {
      throw Diagnostic(error.description, at: location)
    }
  }

  /// Appends an operation whose result is rows.
  mutating func addRows(_ op: Op, _ operands: [ValueID]) throws(Diagnostic) -> Rows {
    rows(of: try add(op, operands))
  }

  /// Returns `value` as rows.
  mutating func rows(of value: ValueID) -> Rows {
    Rows(
      parts: [
        Rows.Part(value: value, type: graph.type(of: value), modalities: scope.part)
      ])
  }

  /// Appends `op` for the rows `x`: by plan if `weights` are untied, with a routing of its own.
  mutating func routed(
    _ x: Rows, _ weights: Parameter, _ op: (Groups?) -> Op
  ) throws(Diagnostic) -> Rows {
    var sum: ValueID?
    for piece in weights.pieces {
      let part =
        if let groups = piece.groups {
          try routed(x.value, groups, op) { context throws(Diagnostic) in
            try context.value(of: piece)
          }
        } else {
          try add(op(nil), [x.value, try value(of: piece)])
        }
      sum = try sum.map { sum throws(Diagnostic) in try add(.binary(.add), [sum, part]) } ?? part
    }
    return rows(of: sum ?? x.value)
  }

  /// Appends `op` for rows and weights by plan.
  mutating func routed(
    _ x: ValueID, _ groups: Groups, _ op: (Groups?) -> Op,
    weights: (inout LayerContext) throws(Diagnostic) -> ValueID
  ) throws(Diagnostic) -> ValueID {
    let plan = try modalityPlan()
    let grouped = try add(.gather, [x, plan])
    let result = try add(op(groups), [grouped, try weights(&self), plan])
    return try add(.scatter, [result, plan])
  }
}

extension TypingError {
  /// An error of an op whose result has more elements than the IR can say.
  fileprivate static func tooLarge(_ op: Op, _ elements: Int) -> TypingError {
    TypingError(
      "\(op.mnemonic): \(elements) elements are more than the \(IRLimits.elements) that fit")
  }
}
