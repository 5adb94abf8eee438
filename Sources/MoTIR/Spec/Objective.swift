/// What an objective wants, whatever it is called in a spec.
struct Objective: Sendable {
  /// What a spec calls it.
  let word: String
  /// The name, as in the output `loss.NAME`.
  let name: String
  /// The modalities whose targets or tokens count.
  let modalities: [Modality]
  /// The factor in the total loss.
  let weight: Double
  /// How noise is taken out of tokens; `nil` for next tokens.
  let denoising: Denoising?

  /// What the module's header says of it.
  var declaration: ObjectiveDeclaration {
    ObjectiveDeclaration(
      name: name, modalities: modalities.map(\.name), weight: weight, denoising: denoising)
  }
}

/// The mean next-token loss over the targets of some modalities.
public struct NextToken: Sendable {
  /// What it wants.
  let objective: Objective

  /// Creates an objective.
  ///
  /// - Parameters:
  ///   - weight: the factor in the total loss.
  ///   - name: by default the modalities' names, joined by `+`.
  public init(on modalities: Modality..., weight: Double = 1, name: String? = nil) {
    objective = Objective(
      word: "NextToken", name: name ?? modalities.map(\.name).joined(separator: "+"),
      modalities: modalities, weight: weight, denoising: nil)
  }
}

/// The mean square of what is wrong with what the model says of noisy tokens of a continuous modality.
///
/// ```swift
/// Denoise(on: image, predict: .noise, schedule: .cosine, weight: 5)
/// ```
public struct Denoise: Sendable {
  /// What it wants.
  let objective: Objective

  /// Creates an objective.
  ///
  /// - Parameters:
  ///   - prediction: what the model says of a noisy token.
  ///   - schedule: how much noise there is by time.
  ///   - weight: the factor in the total loss.
  ///   - name: by default the modality's.
  public init(
    on modality: Modality, predict prediction: Denoising.Prediction = .noise,
    schedule: Denoising.Schedule = .cosine, weight: Double = 1, name: String? = nil
  ) {
    objective = Objective(
      word: "Denoise", name: name ?? modality.name, modalities: [modality], weight: weight,
      denoising: Denoising(prediction, schedule))
  }
}

/// An objective and where the spec says it.
public struct PlacedObjective: Sendable {
  /// The objective.
  let objective: Objective
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
        objective: objective.objective, location: Location(file: file, line: line, column: column))
    ]
  }

  /// Notes where the objective stands.
  public static func buildExpression(
    _ objective: Denoise, file: String = #filePath, line: Int = #line, column: Int = #column
  ) -> [PlacedObjective] {
    [
      PlacedObjective(
        objective: objective.objective, location: Location(file: file, line: line, column: column))
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
