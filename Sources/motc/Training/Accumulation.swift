import Lowering
import MoTIR
import Runtime

/// Updates by several batches, which are one to the weights: objectives are means over all of their targets.
struct Accumulation {
  /// The model, with the gradients that a step runs.
  let module: Module
  /// Batches of an update.
  private let batches: Int
  private let inputs: [(name: String, rows: CountedRows?)]

  /// Prepares `module` for updates by so many batches.
  ///
  /// - Throws: `Diagnostics` if its loss has no gradients.
  init(_ module: Module, batches: Int) throws {
    self.batches = batches
    guard batches > 1 else {
      (self.module, inputs) = (module, [])
      return
    }
    let gradients = try AccumulatedGradients(of: module)
    var changed = module
    changed.functions = module.functions.filter { $0.name != "gradients" } + [gradients.function]
    (self.module, inputs) = (changed, gradients.counts)
  }

  /// Returns how many rows of all `batches` the means are over, or how many batches these are, by the name of the
  /// input that is their number.
  func counts(of batches: [Batch]) -> [String: Int32] {
    var counts: [String: Int32] = [:]
    for (name, rows) in inputs {
      let numbers = batches.map { batch in rows.map(batch.count) ?? 1 }
      counts[name] = Int32(numbers.reduce(0, +))
    }
    return counts
  }

  /// What a line on sizes begins with.
  var text: String { batches > 1 ? "\(batches) x " : "" }
}
