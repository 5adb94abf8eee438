internal import Foundation
package import MoTIR
internal import Yams

/// How a model is trained: the keys of a configuration file, with their defaults.
package struct TrainingSettings: Hashable, Sendable {
  /// How the learning rate goes on after the warm-up.
  package enum Schedule: String, Hashable, Sendable, CaseIterable {
    /// Down to `finalFraction` along half a cosine.
    case cosine
    /// As it is.
    case constant
  }

  /// Updates of the weights.
  package var steps = 1000
  /// Batches of an update: their gradients are added up.
  package var accumulate = 1
  /// The highest learning rate.
  package var learningRate = 1e-3
  /// Steps in which the rate rises from 0.
  package var warmup = 20
  /// How it goes on.
  package var schedule = Schedule.cosine
  /// The rate of the last step over the highest.
  package var finalFraction = 0.1
  /// β₁, the decay of the first moments.
  package var beta1 = 0.9
  /// β₂, the decay of the second moments.
  package var beta2 = 0.95
  /// ε
  package var epsilon = 1e-8
  /// The weight decay, of matrices alone.
  package var weightDecay = 0.1
  /// The largest norm of all gradients together; 0 for no limit.
  package var clip = 1.0
  /// How likely a span of continuous tokens is learned without what stands before it (`ConditionDropout`).
  package var conditionDropout = 0.0
  /// Equal seeds give equal first weights and equal batches.
  package var seed = 0
  /// Steps between two lines of progress.
  package var logEvery = 10
  /// Steps between two validations; 0 for none.
  package var validateEvery = 100
  /// The most batches of a validation.
  package var validationBatches = 16
  /// Steps between two checkpoints; 0 for one at the end.
  package var checkpointEvery = 200
  /// How many of the last checkpoints are kept, besides the best.
  package var keep = 2

  /// Where a setting is kept, and what it may be.
  private enum Place: Sendable {
    case integer(any WritableKeyPath<TrainingSettings, Int> & Sendable, atLeast: Int)
    case number(any WritableKeyPath<TrainingSettings, Double> & Sendable, ClosedRange<Double>)
    case schedule
  }

  /// The name of a setting in files and, with `-` for `_`, of its option.
  package struct Key: Hashable, Sendable {
    /// The name.
    package let name: String
    /// `true` iff the result of training depends on it.
    package let shapesResult: Bool
  }

  /// All settings, in the order of a file.
  private static let table: [(key: Key, place: Place)] = {
    func shaping(_ name: String, _ place: Place) -> (Key, Place) {
      (Key(name: name, shapesResult: true), place)
    }
    func reporting(_ name: String, _ place: Place) -> (Key, Place) {
      (Key(name: name, shapesResult: false), place)
    }
    let large = 0...Double(Float.greatestFiniteMagnitude)
    // Below 1 as f32 too: AdamW divides by 1 - βᵗ.
    let belowOne = 0...Double(Float(1).nextDown)
    return [
      shaping("steps", .integer(\.steps, atLeast: 1)),
      shaping("accumulate", .integer(\.accumulate, atLeast: 1)),
      shaping("learning_rate", .number(\.learningRate, large)),
      shaping("warmup", .integer(\.warmup, atLeast: 0)),
      shaping("schedule", .schedule),
      shaping("final_fraction", .number(\.finalFraction, 0...1)),
      shaping("beta1", .number(\.beta1, belowOne)),
      shaping("beta2", .number(\.beta2, belowOne)),
      // As f32 it must not be 0, by which AdamW would divide.
      shaping("epsilon", .number(\.epsilon, 1e-30...large.upperBound)),
      shaping("weight_decay", .number(\.weightDecay, large)),
      shaping("clip", .number(\.clip, large)),
      shaping("condition_dropout", .number(\.conditionDropout, 0...1)),
      shaping("seed", .integer(\.seed, atLeast: 0)),
      reporting("log_every", .integer(\.logEvery, atLeast: 1)),
      reporting("validate_every", .integer(\.validateEvery, atLeast: 0)),
      reporting("validation_batches", .integer(\.validationBatches, atLeast: 1)),
      reporting("checkpoint_every", .integer(\.checkpointEvery, atLeast: 0)),
      reporting("keep", .integer(\.keep, atLeast: 1)),
    ]
  }()

  /// The keys of all settings, in the order of a file.
  package static var keys: [Key] { table.map(\.key) }

  /// Creates the defaults.
  package init() {}

  // MARK: Meaning

  /// Returns the settings of update `step`, from 1.
  package func optimizer(step: Int) -> AdamW {
    var settings = AdamW(rate: Float(rate(step: step)))
    (settings.beta1, settings.beta2) = (Float(beta1), Float(beta2))
    (settings.epsilon, settings.decay) = (Float(epsilon), Float(weightDecay))
    settings.clip = Float(clip)
    return settings
  }

  /// Returns the learning rate of update `step`, from 1.
  package func rate(step: Int) -> Double {
    if step <= warmup { return learningRate * Double(step) / Double(warmup) }
    guard schedule == .cosine, steps > warmup else { return learningRate }
    let progress = min(1, Double(step - warmup) / Double(steps - warmup))
    return learningRate * (finalFraction + (1 - finalFraction) * (1 + cos(.pi * progress)) / 2)
  }

  // MARK: Files

  /// The settings as a configuration file.
  package var yaml: String {
    Self.keys.map { "\($0.name): \(self[$0])\n" }.joined()
  }

  /// The value of a setting as text.
  package subscript(key: Key) -> String {
    switch Self.table.first(where: { $0.key == key })?.place {
    case .integer(let path, _): "\(self[keyPath: path])"
    case .number(let path, _): "\(self[keyPath: path])"
    case .schedule: schedule.rawValue
    case nil: preconditionFailure("no setting \(key.name)")
    }
  }

  /// Reads settings: those of `overrides` over those of the file at `path` over the defaults.
  ///
  /// - Parameter overrides: values as text, by name.
  /// - Throws: `Diagnostics` with every key that is unknown, and every value that is no such thing or out of range.
  package init(path: String?, overrides: [String: String] = [:]) throws(Diagnostics) {
    self.init()
    let texts = try path.map(Self.entries) ?? [:]
    var problems: [Diagnostic] = []
    for (key, place) in Self.table {
      guard let entry = overrides[key.name].map({ ($0, nil) }) ?? texts[key.name] else { continue }
      if let rule = set(place, to: entry.0) {
        problems.append(
          Diagnostic("\(key.name) is \(rule), not \(quoted(entry.0))", at: entry.1))
      }
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
  }

  /// Sets what is at `place` to what `text` says, or returns the rule that it breaks.
  private mutating func set(_ place: Place, to text: String) -> String? {
    switch place {
    case .integer(let path, let least):
      // Sums and products of two such numbers fit.
      guard let value = Int(text), (least...1 << 31).contains(value) else {
        return "an integer of at least \(least)"
      }
      self[keyPath: path] = value
    case .number(let path, let range):
      guard let value = Double(text), range.contains(value) else {
        return range.upperBound > 1
          ? "a number of at least \(range.lowerBound)"
          : "a number of at least 0 and \(range.upperBound < 1 ? "below" : "at most") 1"
      }
      self[keyPath: path] = value
    case .schedule:
      guard let value = Schedule(rawValue: text) else {
        return Schedule.allCases.map(\.rawValue).joined(separator: " or ")
      }
      schedule = value
    }
    return nil
  }

  /// Returns the values in the file at `path`, and where they stand.
  private static func entries(
    _ path: String
  ) throws(Diagnostics) -> [String: (String, Location?)] {
    let mapping = try Diagnostics.collecting { () throws(Diagnostic) -> Yams.Node.Mapping in
      try YAMLFile.mapping(path)
    }
    var entries: [String: (String, Location?)] = [:]
    var problems: [Diagnostic] = []
    let known = keys.map(\.name)
    for (key, value) in mapping {
      let place = YAMLFile.place(of: key, path)
      let name = key.string ?? ""
      if !known.contains(name) {
        problems.append(
          Diagnostic(
            "there is no setting \(quoted(name))", at: place,
            suggestion: suggestion(for: name, among: known)
              ?? "settings are \(known.joined(separator: ", "))"))
      } else if let text = value.scalar?.string {
        entries[name] = (text, place)
      } else {
        problems.append(Diagnostic("\(name) is one value", at: place))
      }
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    return entries
  }
}
