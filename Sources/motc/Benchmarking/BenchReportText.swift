// The report for people.
extension BenchReport {
  /// What was measured and where, then a line a case and part, or a line a stage.
  var text: String {
    guard let ablation else { return header + comparison(of: cases) }
    // The last stage is everything, and of it all is told.
    return header + stages(ablation) + "\nthe last stage\n" + comparison(of: cases.suffix(1))
  }

  private var header: String {
    let tokens = mix == "even" ? "" : ", \(mix) % by modality"
    var peaks = ["measured peak \(fixed(machine.peakGflops, 1)) GFLOP/s"]
    if let matrix = machine.matrixPeakGflops {
      peaks.append("of the matrix unit \(fixed(matrix, 1)) GFLOP/s")
    }
    if let memory = machine.memoryBandwidth { peaks.append("of memory \(fixed(memory, 1)) GB/s") }
    return """
      \(model): batch \(batch) x \(sequence) tokens\(tokens), \(precision), medians of \(repeats)
      \(machine.cpu), \(machine.threads) threads, \(peaks.joined(separator: ", ")), \
      OpenBLAS \(machine.openblas)

      """ + (memory.map { "\(text(of: $0))\n" } ?? "")
  }

  private func text(of memory: MemoryUse) -> String {
    func mebibytes(_ bytes: Int) -> String { "\(grouped(bytes >> 20)) MiB" }
    return "memory: \(mebibytes(memory.planned)) planned, \(mebibytes(memory.grown)) found, "
      + "\(mebibytes(memory.most)) at most with the program and the weights it began with"
  }

  // MARK: Cases

  private func comparison(of cases: some Collection<Case>) -> String {
    let hasMatrix = machine.matrixPeakGflops != nil
    var rows = [
      ["", "", "tokens/s", "GFLOP/s", "of peak"] + (hasMatrix ? ["of matrix"] : [])
        + (update == nil && decode == nil ? [] : ["GB/s", "of memory"]) + ["ms a step"]
    ]
    let width = rows[0].count
    func add(_ label: String, _ results: [String: Throughput]?, key: String, isWhole: Bool) {
      for one in cases {
        guard let result = results?[one.name] else { continue }
        let cells =
          [
            label, one.name, isWhole ? grouped(Int(result.tokensPerSecond.rounded())) : "",
            fixed(result.gflops, 1), percent(result.shareOfPeak),
          ] + (result.shareOfMatrixPeak.map { [percent($0)] } ?? [])
        rows.append(filled(cells, to: width, last: fixed(1000 * result.secondsPerStep, 2)))
      }
      rows += comparisons(in: cases, label, key)
    }
    add("train", train, key: "train", isWhole: true)
    add("  gradients", gradients, key: "gradients", isWhole: false)
    add("    layers", layers, key: "layers", isWhole: false)
    add("    head", head, key: "head", isWhole: false)
    func add(_ label: String, _ results: [String: Traffic]?) {
      for one in cases {
        guard let result = results?[one.name] else { continue }
        let speed = result.tokensPerSecond.map { fixed($0, $0 < 100 ? 1 : 0) } ?? ""
        let cells =
          filled([label, one.name, speed], to: width - 3, last: "")
          + [fixed(result.gigabytesPerSecond, 1), result.shareOfMemoryBandwidth.map(percent) ?? ""]
        rows.append(filled(cells, to: width, last: fixed(1000 * result.secondsPerStep, 2)))
      }
    }
    add("  update", update)
    add("forward", forward, key: "forward", isWhole: true)
    add("decode", decode)
    if decode != nil { rows += comparisons(in: cases, "decode", "decode") }
    return table(rows, right: Set(2..<width))
  }

  /// Returns the lines that set cases in relation.
  private func comparisons(
    in cases: some Collection<Case>, _ label: String, _ key: String
  ) -> [[String]] {
    let names = cases.map(\.name)
    if let ratio = ratios[key], names.count == 2 {
      return [[label, "\(names[0]) / \(names[1])", times(ratio)]]
    }
    return cases.compactMap { one in
      guard let base = one.comparedWith, let ratio = overFirst?[key]?[one.name] else { return nil }
      return [label, "\(one.name) / \(base)", "\(fixed(ratio, 3))x"]
    }
  }

  // MARK: Stages

  private func stages(_ ablation: [Stage]) -> String {
    let tasks = [("train", train), ("forward", forward)].filter { $0.1 != nil }
    var rows = [["stage"]]
    for (task, _) in tasks { rows[0] += ["\(task) tokens/s", "over before", "over first"] }
    rows[0] += ["kernels a step", "syncs"]
    for (index, stage) in ablation.enumerated() {
      var row = [index == 0 ? stage.stage : "+ \(stage.stage)"]
      for (task, results) in tasks {
        row.append(
          results?[stage.stage].map { grouped(Int($0.tokensPerSecond.rounded())) } ?? "")
        row += [stage.overBefore[task], stage.overFirst[task]].map { $0.map(times) ?? "" }
      }
      rows.append(row + ["\(stage.kernels)", "\(stage.syncs)"])
    }
    return table(rows, right: Set(1..<rows[0].count))
  }
}

/// Returns a ratio for a person.
func times(_ ratio: Double) -> String { "\(fixed(ratio, 2))x" }

/// Returns a share for a person.
private func percent(_ share: Double) -> String { "\(fixed(100 * share, 1)) %" }

/// Returns `cells` with empty ones up to `width`, of which the last is `last`.
private func filled(_ cells: [String], to width: Int, last: String) -> [String] {
  cells + [String](repeating: "", count: max(0, width - 1 - cells.count)) + [last]
}
