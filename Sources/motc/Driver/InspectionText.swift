// The report of `motc inspect` for people.
extension Inspection {
  /// The report as text.
  var text: String {
    let kinds = modalities.joined(separator: ", ")
    return """
      \(name): \(scaled(Double(parameterCount))) parameters, \(modalities.count) modalities (\(kinds)), \
      batch \(batch) x \(sequence) tokens

      Parameters
      \(parameterTable)
      \(totalsTable)
      Forward arithmetic for a token (matmuls; causal attention at half)
      \(costTable)
      Memory of \(routing.function == "gradients" ? "a training step" : "@\(routing.function)") \
      (scratch for \(threads) threads)
      \(memoryTable)
      Routing of @\(routing.function): n = \(routing.routedOps) routed ops, K = \(routing.modalities)
      \(routingTable)
      """
  }

  private var parameterTable: String {
    let rows = parameters.map { parameter in
      [
        parameter.name, parameter.shape.map(String.init).joined(separator: " x "),
        parameter.dtype, parameter.modality, parameter.component, grouped(parameter.count),
      ]
    }
    return table(
      [["name", "shape", "dtype", "modality", "component", "count"]] + rows, right: [5])
  }

  private var totalsTable: String {
    func rows(_ title: String, _ totals: [Total]) -> [[String]] {
      totals.map { total in
        let share = 100 * Double(total.count) / Double(max(1, parameterCount))
        return [title, total.name, grouped(total.count), "\(fixed(share, 1)) %"]
      }
    }
    let all = ["total", "", grouped(parameterCount), ""]
    return table(
      rows("component", byComponent) + rows("modality", byModality) + [all], right: [2, 3])
  }

  private var costTable: String {
    var components: [String] = []
    for cost in flopsPerToken where !components.contains(cost.component) {
      components.append(cost.component)
    }
    func total(_ modality: String) -> Double {
      flopsPerToken.reduce(0) { $0 + ($1.modality == modality ? $1.flops : 0) }
    }
    func cell(_ flops: Double, _ modality: String) -> String {
      let share = 100 * flops / max(1, total(modality))
      return "\(scaled(flops))FLOP (\(fixed(share, 0)) %)"
    }
    let rows = components.map { component in
      [component]
        + modalities.map { modality in
          let items = flopsPerToken.filter {
            $0.component == component && $0.modality == modality
          }
          return cell(items.reduce(0) { $0 + $1.flops }, modality)
        }
    }
    let last = ["total"] + modalities.map { "\(scaled(total($0)))FLOP" }
    return table(
      [["component"] + modalities] + rows + [last], right: Set(1...max(1, modalities.count)))
  }

  private var memoryTable: String {
    let rows = [
      ("parameters", memory.parameters), ("gradients", memory.gradients),
      ("moments", memory.moments), ("packed weights", memory.packed),
      ("arena", memory.arena), ("inputs", memory.inputs), ("tables", memory.constants),
      ("scratch", memory.scratch), ("total", memory.total),
    ]
    return table(rows.map { [$0.0, bytes($0.1)] }, right: [1])
  }

  /// Counts beside what docs/passes.md derives for the graph as built.
  private var routingTable: String {
    let (n, k) = (routing.routedOps, routing.modalities)
    let moves = routing.function == "gradients" ? 2 : 1
    func formula(_ factor: Int, _ text: String) -> String { "\(text) = \(factor * n)" }
    let (a, b) = (routing.naive, routing.optimized)
    let times = moves == 2 ? "2 n" : "n"
    return table(
      [
        ["", "as built", "expected", "optimized"],
        ["routes", "\(a.routes)", formula(1, "n"), "\(b.routes)"],
        ["syncs", "\(a.syncs)", formula(k, "K n"), "\(b.syncs)"],
        ["gathers", "\(a.gathers)", formula(moves, times), "\(b.gathers)"],
        ["scatters", "\(a.scatters)", formula(moves, times), "\(b.scatters)"],
        ["moves at attention", "\(a.movesAtAttention)", "", "\(b.movesAtAttention)"],
        ["moves at outputs", "\(a.movesAtOutputs)", "", "\(b.movesAtOutputs)"],
        ["moves elsewhere", "\(a.movesElsewhere)", "", "\(b.movesElsewhere)"],
      ], right: [1, 2, 3])
  }
}
