import Foundation

/// A run that is matched with another one, loss by loss.
struct RunMatch {
  /// The folder of the run that is matched.
  let run: RunName
  /// The losses that both runs have.
  let losses: [StepMatch]
  /// The losses of the base run that this one has not.
  let absent: [String]

  /// Matches `other` with `base`.
  init(_ base: Evaluations, _ other: Evaluations) {
    run = other.run
    losses = base.names.compactMap { name in
      guard let one = base.curves[name], let two = other.curves[name] else { return nil }
      return StepMatch(name, of: one, two)
    }
    absent = base.names.filter { other.curves[$0] == nil }
  }
}

/// Runs that are matched with one run.
struct MatchReport {
  /// The run that they are matched with.
  let base: RunName
  let matches: [RunMatch]

  private var names: [RunName] { [base] + matches.map(\.run) }

  /// Returns what a run is called.
  func label(_ run: RunName) -> String { run.label(among: names) }

  // MARK: For people

  /// A table a run, and what it lacks.
  var text: String {
    matches.map { match in
      let title = "\(label(match.run)), of what \(label(base)) takes for the same validation loss\n"
      return title + table(of: match) + notes(on: match).map { "  \($0)\n" }.joined()
    }.joined(separator: "\n")
  }

  private func table(of match: RunMatch) -> String {
    let axes = CurvesPlot.Axis.allCases
    let head =
      [""] + axes.map(\.rawValue) + ["last pair, steps", "pairs", "not reached", "too early"]
    let rows = match.losses.map { loss in
      [loss.name] + axes.map { percent(loss.share($0)) } + [percent(loss.lastShare(.steps))]
        + [loss.pairs.count, loss.missed, loss.early].map(grouped)
    }
    return motc.table([head] + rows, right: Set(1..<head.count))
  }

  private func notes(on match: RunMatch) -> [String] {
    let few = match.losses.filter { $0.pairs.count < StepMatch.fewest }.map { loss in
      "\(loss.name): no line, which takes \(StepMatch.fewest) pairs and has \(loss.pairs.count)"
    }
    return few + match.absent.map { "\($0): \(label(match.run)) has no such loss" }
  }

  private func percent(_ share: Double?) -> String {
    share.map { "\(fixed(100 * $0, 1)) %" } ?? "–"
  }

  // MARK: For programs

  /// The shares and pairs as JSON.
  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let runs = matches.map { match in
      Answer.Run(run: match.run.path, losses: match.losses.map(Answer.Loss.init))
    }
    return try encoder.encode(Answer(base: base.path, runs: runs)) + Data("\n".utf8)
  }

  /// What JSON holds.
  private struct Answer: Encodable {
    struct Run: Encodable {
      let run: String
      let losses: [Loss]
    }

    struct Loss: Encodable {
      let loss: String
      /// By axis; what has no line is missing.
      let share: [String: Double]
      let lastShare: [String: Double]
      let notReached: Int
      let tooEarly: Int
      let pairs: [Pair]

      init(_ match: StepMatch) {
        loss = match.name
        share = byAxis { match.share($0) }
        lastShare = byAxis { match.lastShare($0) }
        (notReached, tooEarly) = (match.missed, match.early)
        pairs = match.pairs.map { pair in
          Pair(
            loss: pair.loss, base: byAxis { pair.base[$0] }, other: byAxis { pair.other[$0] })
        }
      }
    }

    struct Pair: Encodable {
      let loss: Double
      let base: [String: Double]
      let other: [String: Double]
    }

    let base: String
    let runs: [Run]
  }
}

/// Returns what `value` gives for the axes, by their names.
private func byAxis(_ value: (CurvesPlot.Axis) -> Double?) -> [String: Double] {
  var values: [String: Double] = [:]
  for axis in CurvesPlot.Axis.allCases { values[axis.rawValue] = value(axis) }
  return values
}
