import MoTIR
import Runtime

/// What the validations of a run found, as curves that fall.
struct Evaluations {
  /// The folder.
  let run: RunName
  /// The names of the losses, in the file's order.
  private(set) var names: [String] = []
  private(set) var curves: [String: FallingCurve] = [:]

  private static let prefix = "validation."
  /// Losses, and validations, at most.
  private static let most = (losses: 256, validations: 100_000)
  /// What no number of a run is beyond: products of two, and sums of them, are finite.
  private static let limit = 1e30

  /// Reads the metrics of the run in the folder at `path`.
  ///
  /// - Throws: `Diagnostic` if there are none, no validation is among them, or they are no run's.
  init(path: String) throws(Diagnostic) {
    run = RunName(path: path)
    var (before, count) = (FallingCurve.Places(), 0)
    try run.forEachStep { line, numbers throws(Diagnostic) in
      let losses = numbers.filter { $0.name.hasPrefix("\(Self.prefix)loss") }
      guard !losses.isEmpty else { return }
      let places = Self.places(numbers)
      if let problem = Self.problem(numbers, losses, places, behind: before) {
        throw Diagnostic("\(path): line \(line) of the metrics \(problem)")
      }
      (before, count) = (places, count + 1)
      for loss in losses { add(loss, at: places) }
      guard count <= Self.most.validations, names.count <= Self.most.losses else {
        throw Diagnostic(
          "\(path): the metrics have more than \(grouped(Self.most.validations)) validations or "
            + "\(Self.most.losses) losses")
      }
    }
    guard !names.isEmpty else {
      throw Diagnostic(
        "\(path): the run was never validated",
        suggestion: "train with --validate-every, on shards that hold documents back")
    }
  }

  /// Returns what of a validation no run can have, if anything.
  private static func problem(
    _ numbers: [MetricsReader.Number], _ losses: [MetricsReader.Number],
    _ places: FallingCurve.Places, behind before: FallingCurve.Places
  ) -> String? {
    if let number = numbers.first(where: { abs($0.value) > limit }) {
      return "has \(number.value) for \(quoted(number.name)), which no run can have"
    }
    // Names are shown, and may come from anywhere.
    if let loss = losses.first(where: { quoted($0.name) != "'\($0.name)'" }) {
      return "names a loss \(quoted(loss.name)), as no objective is called"
    }
    for axis in CurvesPlot.Axis.allCases {
      guard let place = places[axis], place < before[axis] ?? 0 else { continue }
      return "has less of '\(axis.column)' than the validation before it"
    }
    guard let step = places[.steps] else { return "has no number 'step'" }
    return step > before[.steps] ?? 0 ? nil : "is of a step that was before"
  }

  private static func places(_ numbers: [MetricsReader.Number]) -> FallingCurve.Places {
    var places = FallingCurve.Places()
    for axis in CurvesPlot.Axis.allCases {
      places[axis] = numbers.first { $0.name == axis.column }?.value
    }
    return places
  }

  private mutating func add(_ number: MetricsReader.Number, at places: FallingCurve.Places) {
    let name = String(number.name.dropFirst(Self.prefix.count))
    if curves[name] == nil { names.append(name) }
    curves[name, default: FallingCurve()].add(number.value, at: places)
  }
}
