/// The mean next-token loss over the targets of some modalities.
public struct NextToken: Sendable {
  /// The name, as in the output `loss.NAME`.
  let name: String
  /// The modalities whose targets count.
  let modalities: [Modality]
  /// The factor in the total loss.
  let weight: Double

  /// Creates an objective.
  ///
  /// - Parameters:
  ///   - weight: the factor in the total loss.
  ///   - name: by default the modalities' names, joined by `+`.
  public init(on modalities: Modality..., weight: Double = 1, name: String? = nil) {
    self.name = name ?? modalities.map(\.name).joined(separator: "+")
    self.modalities = modalities
    self.weight = weight
  }
}

/// An objective and where the spec says it.
public struct PlacedObjective: Sendable {
  /// The objective.
  let objective: NextToken
  /// The place.
  let location: Location
}

/// Collects objectives from statements.
@resultBuilder
public enum ObjectiveBuilder {
  /// Notes where the objective stands.
  public static func buildExpression(
    _ objective: NextToken, file: String = #filePath, line: Int = #line, column: Int = #column
  ) -> [PlacedObjective] {
    [
      PlacedObjective(
        objective: objective, location: Location(file: file, line: line, column: column))
    ]
  }

  /// Takes objectives that were collected before.
  public static func buildExpression(_ objectives: [PlacedObjective]) -> [PlacedObjective] {
    objectives
  }

  /// Puts objectives one after another.
  public static func buildBlock(_ objectives: [PlacedObjective]...) -> [PlacedObjective] {
    objectives.flatMap(\.self)
  }
  /// Takes the objectives of every turn of a loop.
  public static func buildArray(_ objectives: [[PlacedObjective]]) -> [PlacedObjective] {
    objectives.flatMap(\.self)
  }
  /// Takes the objectives of an `if`.
  public static func buildOptional(_ objectives: [PlacedObjective]?) -> [PlacedObjective] {
    objectives ?? []
  }
  /// Takes the objectives of one branch.
  public static func buildEither(first objectives: [PlacedObjective]) -> [PlacedObjective] {
    objectives
  }
  /// Takes the objectives of the other branch.
  public static func buildEither(second objectives: [PlacedObjective]) -> [PlacedObjective] {
    objectives
  }
}
