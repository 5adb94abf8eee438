import Foundation
import Lowering
import MoTIR
import Runtime

/// Batches that are held back, and the losses on all of them together.
struct Validation {
  /// A mean over some rows of a batch.
  private struct Part {
    /// The name of the function's output.
    let output: String
    /// The rows.
    let rows: CountedRows
    /// Its factor in the total loss.
    let weight: Double
    /// `true` iff it is a mean square, of what is wrong with noise.
    let isSquare: Bool
  }

  /// The loss of some targets.
  struct Loss {
    /// The name: an objective's, or a modality's.
    let name: String
    /// How many targets there are.
    let targets: Int
    /// The mean, in nats; or the mean square of what is wrong with noise; 0 where there are none.
    let mean: Double
    /// `true` iff it is a mean square.
    let isSquare: Bool

    /// e to the mean of what is in nats; `nil` for a mean square, and where there are no targets.
    var perplexity: Double? { targets > 0 && !isSquare ? exp(mean) : nil }
  }

  private let batches: [Batch]
  private let parts: [Part]

  /// What losses are told apart by.
  enum Grouping {
    /// The objectives that are trained.
    case objectives
    /// The modalities of targets; the function `loss` is `Module.lossByModality()`.
    case modalities
  }

  /// Prepares at most `limit` batches of `shards`.
  ///
  /// - Throws: `Diagnostics` if they cannot be read.
  init(
    _ shards: TokenShards, _ module: Module, batches limit: Int, by grouping: Grouping = .objectives
  ) throws {
    switch grouping {
    case .objectives:
      parts = module.objectives.map { objective in
        Part(
          output: "loss.\(objective.name)", rows: module.countedRows(of: objective),
          weight: objective.weight, isSquare: objective.denoising != nil)
      }
    case .modalities:
      parts = module.modalities.map { modality in
        Part(
          output: Module.modalityLossPrefix + modality.name, rows: module.lossRows(of: modality),
          weight: 0, isSquare: module.denoisingObjective(of: modality) != nil)
      }
    }
    guard shards.count > 0, limit > 0 else {
      batches = []
      return
    }
    var source = try BatchSource(shards, module: module, seed: nil)
    batches = try source.epoch(limit: limit)
  }

  /// `true` iff nothing is held back.
  var isEmpty: Bool { batches.isEmpty }

  /// Returns the loss of each objective, a mean over all its targets, and their weighted sum as `loss`.
  func measure(_ model: CompiledModel) -> [String: Double] {
    var losses: [String: Double] = ["loss": 0]
    for (part, loss) in zip(parts, measureParts(model)) {
      losses[part.output] = loss.mean
      losses["loss", default: 0] += part.weight * loss.mean
    }
    return losses
  }

  /// Returns the losses of all batches together, in the order of objectives or modalities.
  func measureParts(_ model: CompiledModel) -> [Loss] {
    var sums = [Double](repeating: 0, count: parts.count)
    var counts = [Int](repeating: 0, count: parts.count)
    for batch in batches {
      model.setInputs(batch)
      model.run("loss")
      for (index, part) in parts.enumerated() {
        let count = batch.count(of: part.rows)
        let mean = model.output(part.output, of: "loss")?.first ?? .nan
        if count > 0 { sums[index] += Double(count) * Double(mean) }
        counts[index] += count
      }
    }
    return parts.indices.map { index in
      let name = parts[index].output.split(separator: ".", maxSplits: 1).last ?? ""
      return Loss(
        name: String(name), targets: counts[index],
        mean: counts[index] > 0 ? sums[index] / Double(counts[index]) : 0,
        isSquare: parts[index].isSquare)
    }
  }
}
