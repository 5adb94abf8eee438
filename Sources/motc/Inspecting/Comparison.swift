import Lowering

/// Models side by side: what `motc inspect --compare` prints.
struct Comparison: Encodable {
  /// What is compared.
  enum Quantity: String, Encodable {
    case parameters
    case activeParameters
    case flopsPerToken
    case trainingBytes
    case inferenceBytes
    case cacheBytesPerToken
  }

  /// One number of every model; `nil` where a model has none.
  struct Row: Encodable {
    let quantity: Quantity
    /// The modality of the token; `nil` where no token is meant, or any one.
    let modality: String?
    /// The component or the purpose; `total` for all.
    let part: String
    let values: [Double?]
    /// The values less the first model's.
    let differences: [Double?]
    /// The values over the first model's; `nil` where that is 0.
    let ratios: [Double?]

    init(_ quantity: Quantity, _ modality: String?, _ part: String, _ values: [Double?]) {
      (self.quantity, self.modality, self.part, self.values) = (quantity, modality, part, values)
      let first = values.first ?? nil
      differences = values.map { value in value.flatMap { value in first.map { value - $0 } } }
      ratios = values.map { value in
        value.flatMap { value in first.flatMap { $0 == 0 ? nil : value / $0 } }
      }
    }
  }

  /// The reports, the one first that the others are compared with.
  let models: [Inspection]
  /// The numbers, by quantity, then by modality, then by part.
  let rows: [Row]

  /// Compares `models` with the first of them.
  init(_ models: [Inspection]) {
    self.models = models
    rows = Self.rows(models)
  }

  private static func rows(_ models: [Inspection]) -> [Row] {
    var rows = byComponent(.parameters, of: models, nil) { model, component in
      Double(model.counts.count(of: component))
    }
    rows.append(
      Row(.parameters, nil, "in matrices", models.map { Double($0.matrixParameterCount) }))
    for (label, modality) in tokens(of: models) {
      rows += byComponent(.activeParameters, of: models, label) { model, component in
        model.number(of: modality).map { Double(model.counts.active($0, of: component)) }
      }
    }
    for (label, modality) in tokens(of: models) {
      rows += byComponent(.flopsPerToken, of: models, label) { model, component in
        model.number(of: modality).flatMap { number in
          model.costs?.flops(modality: number, component: component)
        }
      }
    }
    rows += byUse(.trainingBytes, of: models, \.training)
    rows += byUse(.inferenceBytes, of: models, \.inference)
    let caches = models.map { $0.memory.cacheBytesPerToken.map(Double.init) }
    return rows + [Row(.cacheBytesPerToken, nil, "total", caches)]
  }

  /// Returns a row for each component and one for all.
  private static func byComponent(
    _ quantity: Quantity, of models: [Inspection], _ modality: String?,
    _ value: (Inspection, String?) -> Double?
  ) -> [Row] {
    let names = unique(
      models.flatMap {
        quantity == .flopsPerToken ? $0.costs?.components ?? [] : $0.counts.components
      })
    return names.map { name in
      Row(quantity, modality, name, models.map { value($0, name) })
    } + [Row(quantity, modality, "total", models.map { value($0, nil) })]
  }

  /// Returns a row for each purpose that memory has in a model.
  private static func byUse(
    _ quantity: Quantity, of models: [Inspection], _ use: KeyPath<Memory, Memory.Use?>
  ) -> [Row] {
    Memory.Use.parts.map { part in
      Row(
        quantity, nil, part.name,
        models.map { $0.memory[keyPath: use].map { Double($0[keyPath: part.bytes]) } })
    }.filter { row in row.values.contains { ($0 ?? 0) > 0 } }
  }

  /// Returns the kinds of tokens whose costs differ in a model, each with its label: any one if none do.
  private static func tokens(of models: [Inspection]) -> [(label: String?, modality: String?)] {
    guard models.contains(where: \.hasUnequalTokens) else { return [(nil, nil)] }
    return unique(models.flatMap(\.modalities)).map { ($0, $0) }
  }
}

extension Inspection {
  /// Returns the number of the modality called `name`, of the first one for no name; `nil` if there is none.
  fileprivate func number(of name: String?) -> Int? {
    guard let name else { return modalities.isEmpty ? nil : 0 }
    return modalities.firstIndex(of: name)
  }

  /// `true` iff a token of one modality costs more, or uses more, than one of another.
  fileprivate var hasUnequalTokens: Bool {
    modalities.indices.contains { modality in
      counts.components.contains {
        counts.active(modality, of: $0) != counts.active(0, of: $0)
      }
        || (costs?.components ?? []).contains {
          costs?.flops(modality: modality, component: $0)
            != costs?.flops(modality: 0, component: $0)
        }
    }
  }
}
