import Foundation

/// What an evaluation found.
struct EvaluationResults {
  /// The losses of held-back documents, by modality.
  var losses: [Validation.Loss] = []
  /// What the checker says, by what was scored.
  var scores: [(name: String, scores: [String: Double])] = []

  /// The losses for people.
  var lossTable: String {
    let rows =
      [["", "targets", "loss", "perplexity"]]
      + losses.map { loss in
        [
          loss.name, grouped(loss.targets), loss.targets > 0 ? fixed(loss.mean, 4) : "",
          loss.perplexity.map { fixed($0, 3) } ?? "",
        ]
      }
    return table(rows, right: [1, 2, 3])
  }

  /// The scores for people.
  var scoreText: String {
    let names = scores.flatMap(\.scores.keys).reduce(into: [String]()) { names, name in
      if !names.contains(name) { names.append(name) }
    }.sorted()
    guard !scores.isEmpty else { return "" }
    let rows =
      [[""] + scores.map(\.name)]
      + names.map { name in
        [name] + scores.map { one in one.scores[name].map { short($0) } ?? "" }
      }
    return table(rows, right: Set(1...scores.count))
  }

  /// Numbers of things have no digits behind the point.
  private func short(_ value: Double) -> String {
    value > 1 && value == value.rounded() ? fixed(value, 0) : fixed(value, 3)
  }

  /// The results as JSON: `losses` by modality with targets, loss and, where it is in nats, perplexity, and `scores`.
  func json() throws -> Data {
    struct Loss: Encodable {
      let targets: Int
      let loss: Double?
      let perplexity: Double?
    }
    struct Results: Encodable {
      let losses: [String: Loss]
      let scores: [String: [String: Double]]
    }
    let measured = losses.map { loss in
      let isMeasured = loss.targets > 0 && loss.mean.isFinite
      return (
        loss.name,
        Loss(
          targets: loss.targets, loss: isMeasured ? loss.mean : nil,
          perplexity: loss.perplexity.flatMap { $0.isFinite ? $0 : nil })
      )
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let results = Results(
      losses: Dictionary(measured, uniquingKeysWith: { first, _ in first }),
      scores: Dictionary(
        scores.map { ($0.name, $0.scores) }, uniquingKeysWith: { first, _ in first })
    )
    return try encoder.encode(results) + Data("\n".utf8)
  }
}
