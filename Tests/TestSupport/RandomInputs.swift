package import MoTIR

/// Random inputs and parameters of a module.
package struct RandomInputs: Sendable {
  /// The inputs, by name.
  package var inputs: [String: ReferenceValue]
  /// The parameters, by name; each number is exact in single precision.
  package var parameters: [String: [Double]]

  /// Creates a set of inputs and parameters.
  package init(inputs: [String: ReferenceValue], parameters: [String: [Double]]) {
    self.inputs = inputs
    self.parameters = parameters
  }

  /// Returns inputs and parameters for all functions of `module`; the same for the same seed.
  ///
  /// Modalities are drawn so that segments are often empty or hold a single token, and a tenth of the
  /// tokens belongs to none; a fifth of the targets is ignored.
  package static func make(_ module: Module, seed: UInt64) -> RandomInputs {
    var random = TestRandom(seed: seed ^ 0x5EED)
    let largest = (module.modalities.map(\.vocabulary.upperBound).max() ?? 1) - 1
    let tokens = (0..<module.tokens).map { _ in Int32(random.integer(in: 0...largest)) }
    let targets = (0..<module.tokens).map { _ in
      random.chance(0.2) ? -100 : Int32(random.integer(in: 0...largest))
    }
    var inputs = [
      "tokens": ReferenceValue(tokens: tokens), "targets": ReferenceValue(tokens: targets),
      "positions": ReferenceValue(
        tokens: (0..<module.tokens).map { Int32($0 % module.sequence) }),
      "modality": ReferenceValue(tokens: modalities(module, &random)),
      "documents": ReferenceValue(tokens: spans(module, &random)),
      // Every other span is an image, as it were.
      "segments": ReferenceValue(
        tokens: spans(module, &random).map { segment($0 % 2 == 0 ? 0 : ($0 + 1) / 2, in: module) }),
    ]
    for (name, type) in module.floatInputs where inputs[name] == nil {
      inputs[name] = ReferenceValue(random.normals(type.elementCount), type: type)
    }
    var parameters: [String: [Double]] = [:]
    for declaration in module.parameters {
      parameters[declaration.name] = elements(of: declaration, &random)
    }
    return RandomInputs(inputs: inputs, parameters: parameters)
  }

  /// Returns each token's modality: some modalities are left out, one may have a single token.
  private static func modalities(_ module: Module, _ random: inout TestRandom) -> [Int32] {
    let count = module.modalities.count
    let present = (0..<count).filter { _ in random.chance(0.7) }
    let choices = (present.isEmpty ? [0] : present).map { Int32($0) }
    var modality = (0..<module.tokens).map { _ in
      random.chance(0.1) ? -1 : random.pick(choices)
    }
    let single = Int32(random.integer(in: 0...(count - 1)))
    if !modality.isEmpty, random.chance(0.5), !choices.contains(single) {
      modality[random.integer(in: 0...(modality.count - 1))] = single
    }
    return modality
  }

  /// Returns a number a token: 0 at each sequence's start, and one more from time to time.
  private static func spans(_ module: Module, _ random: inout TestRandom) -> [Int32] {
    var number: Int32 = 0
    var numbers: [Int32] = []
    for token in 0..<module.tokens {
      if token % module.sequence == 0 {
        number = 0
      } else if random.chance(0.25) {
        number += 1
      }
      numbers.append(number)
    }
    return numbers
  }

  /// Returns what stands for segment `number`: among blocks as the module's modalities attend are some with less.
  package static func segment(_ number: Int32, in module: Module) -> Int32 {
    let kinds = module.modalities.reduce(0) { $0 | $1.attends.flags }
    let flags = [0, Segment.isolated, Segment.flags, Segment.hidden].filter { $0 & ~kinds == 0 }
    return number == 0 ? 0 : number + flags[Int(number) % flags.count]
  }

  /// Returns random elements around the values with which the parameter starts.
  private static func elements(
    of declaration: ParameterDeclaration, _ random: inout TestRandom
  ) -> [Double] {
    let count = declaration.type.elementCount
    return switch declaration.initialization {
    case .normal(let deviation): random.normals(count, deviation: max(deviation, 0.2))
    case .ones: random.normals(count, deviation: 0.2, mean: 1)
    case .zeros: random.normals(count, deviation: 0.2)
    }
  }
}

extension Module {
  /// The inputs of element type f32, in the types in which callers give them, in order of appearance.
  package var floatInputs: [(name: String, type: ValueType)] {
    functions.flatMap { function in
      function.graph.nodes.compactMap { node in
        let type = function.graph.type(of: node.results[0]).reordered(.sequence)
        guard case .input(let name) = node.op, type.element == .f32 else { return nil }
        return (name, type)
      }
    }
  }
}
