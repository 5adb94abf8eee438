import Lowering

// The report of `motc inspect` for people.
extension Inspection {
  /// The report as text.
  var text: String {
    let kinds = modalities.joined(separator: ", ")
    return """
      \(name): \(millions(parameterCount)) parameters (\(millions(matrixParameterCount)) in matrices), \
      \(modalities.count) modalities (\(kinds)), batch \(batch) x \(sequence) tokens

      Parameters
      \(parameterTable)
      Parameters by whose tokens use them
      \(totalsTable)
      Parameters that a token uses
      \(activeTable)
      Forward arithmetic for a token (matmuls; causal attention at half)
      \(costTable)
      Memory (scratch for \(threads) threads)
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
    let columns = counts.users.map(Optional.some) + [nil]
    func cells(_ component: String?) -> [String] {
      columns.map { users in
        let count = users.map { counts.count(of: component, usedBy: $0) }
        return cell(count ?? counts.count(of: component))
      } + [share(counts.count(of: component))]
    }
    return table(
      [["component"] + byModality.map(\.name) + ["total", ""]]
        + counts.components.map { [$0] + cells($0) } + [["total"] + cells(nil)],
      right: Set(1...(columns.count + 1)))
  }

  private var activeTable: String {
    var columns = modalities.indices.map { modality in
      (modalities[modality], { counts.active(modality, of: $0) } as (String?) -> Int)
    }
    columns.append(("added by modality", { counts.addedByModality(of: $0) }))
    if counts.addedByExperts() > 0 {
      columns.append(("added by experts", { counts.addedByExperts(of: $0) }))
    }
    func row(_ name: String, _ component: String?) -> [String] {
      [name] + columns.map { cell($0.1(component)) }
    }
    return table(
      [["component"] + columns.map(\.0)] + counts.components.map { row($0, $0) }
        + [row("total", nil), [""] + columns.map { share($0.1(nil)) }],
      right: Set(1...columns.count))
  }

  /// Returns a count; nothing for none.
  private func cell(_ count: Int) -> String { count == 0 ? "" : grouped(count) }

  /// Returns the share of `count` in all parameters.
  private func share(_ count: Int) -> String {
    "\(fixed(100 * Double(count) / Double(max(1, parameterCount)), 1)) %"
  }

  private var costTable: String {
    guard let costs else { return "" }
    func cell(_ flops: Double, of total: Double) -> String {
      "\(operations(flops)) (\(fixed(100 * flops / max(1, total), 0)) %)"
    }
    func cells(_ component: String?) -> [String] {
      modalities.indices.map { modality in
        cell(
          costs.flops(modality: modality, component: component),
          of: costs.flops(modality: modality))
      } + [cell(costs.mean(component: component), of: costs.mean())]
    }
    return table(
      [["component"] + modalities + ["mean"]] + costs.components.map { [$0] + cells($0) }
        + [["total"] + cells(nil)],
      right: Set(1...(modalities.count + 1)))
  }

  private var memoryTable: String {
    let uses = [("a training step", memory.training), (inferenceTitle, memory.inference)]
      .compactMap { title, use in use.map { (title, $0) } }
    let rows = Memory.Use.parts.map { part in
      [part.name]
        + uses.map { $0.1[keyPath: part.bytes] == 0 ? "" : bytes($0.1[keyPath: part.bytes]) }
    }
    let caches = memory.cacheBytesPerToken.map { "  Keys and values of a token: \(bytes($0))\n" }
    return table(
      [[""] + uses.map(\.0)] + rows.filter { $0.dropFirst().contains { !$0.isEmpty } },
      right: [1, 2]) + (caches ?? "")
  }

  private var inferenceTitle: String {
    context.map { "generation up to \(grouped($0)) tokens" }
      ?? "@\(memory.inference?.functions.first ?? "")"
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
