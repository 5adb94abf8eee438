import MoTIR
import Runtime

/// Batches that are held back, and the losses on all of them together.
struct Validation {
  private let batches: [Batch]
  private let module: Module

  /// Prepares at most `limit` batches of `shards`.
  ///
  /// - Throws: `Diagnostics` if they cannot be read.
  init(_ shards: TokenShards, _ module: Module, batches limit: Int) throws {
    self.module = module
    guard shards.count > 0 else {
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
    var sums = [Double](repeating: 0, count: module.objectives.count)
    var counts = sums
    for batch in batches {
      model.setInputs(batch)
      model.run("loss")
      for (index, objective) in module.objectives.enumerated() {
        let ranges = module.modalities.filter { objective.modalities.contains($0.name) }
          .map(\.vocabulary)
        let count = Double(batch.targets.count { id in ranges.contains { $0.contains(Int(id)) } })
        let mean = model.output("loss.\(objective.name)", of: "loss")?.first ?? .nan
        if count > 0 { sums[index] += count * Double(mean) }
        counts[index] += count
      }
    }
    var losses: [String: Double] = ["loss": 0]
    for (index, objective) in module.objectives.enumerated() {
      let mean = counts[index] > 0 ? sums[index] / counts[index] : 0
      losses["loss.\(objective.name)"] = mean
      losses["loss", default: 0] += objective.weight * mean
    }
    return losses
  }
}
