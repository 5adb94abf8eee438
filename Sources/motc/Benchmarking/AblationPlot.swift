extension BenchReport {
  /// Throughput stage by stage, a panel a task; `nil` without stages.
  var ablationPlot: (script: [String], size: (width: Int, height: Int))? {
    guard let ablation else { return nil }
    let tasks = [("training", "train", train), ("forward pass", "forward", forward)].filter {
      $0.2 != nil
    }
    let title = "\(model), \(precision): throughput as passes are turned on one after the other"
    var script = [
      "set multiplot title \(plotText(title)) font 'sans-serif,15'",
      "set style fill solid noborder", "unset key", "set border 1 lc rgb '#888888'",
      "set yrange [\(ablation.count).0-0.4:-0.6]", "set tics nomirror scale 0.5",
      "set tics textcolor rgb '#333333'", "set grid xtics lc rgb '#dddddd'",
      "set tmargin at screen 0.89",
      "set bmargin at screen 0.13",
    ]
    // The names of the stages stand once, at the left; the panels share the rest.
    let left = 0.20
    let width = (0.99 - left) / Double(tasks.count)
    for (index, (label, key, results)) in tasks.enumerated() {
      let speeds = ablation.map { results?[$0.stage]?.tokensPerSecond ?? 0 }
      // Beyond the longest bar there is room for what is written at its end.
      let end = (speeds.max() ?? 1) * (tasks.count == 1 ? 1.2 : 1.45)
      let start = left + width * Double(index)
      script.append("$\(key) << EOD")
      for (row, stage) in ablation.enumerated() {
        let name = row == 0 ? stage.stage : "+ \(stage.stage)"
        let ratio = times(stage.overFirst[key] ?? 1)
        script.append(
          "\(row) \(speeds[row]) \"\(index == 0 ? name : "")\" "
            + "\"\(grouped(Int(speeds[row].rounded())))  \(ratio)\"")
      }
      script += [
        "EOD",
        "set lmargin at screen \(start)", "set rmargin at screen \(start + width - 0.02)",
        "set xrange [0:\(end)]", "set xtics 0,\(step(for: end))",
        "set xlabel \(plotText("\(label), tokens/s (and times the first stage)"))",
        "plot $\(key) using ($2/2):1:(0):2:($1-0.36):($1+0.36):ytic(3) with boxxyerror "
          + "lc rgb '\(index == 0 ? "#4477aa" : "#228833")', "
          + "$\(key) using 2:1:4 with labels left offset 0.5,0 font 'sans-serif,11'",
      ]
    }
    script.append("unset multiplot")
    return (script, (tasks.count == 1 ? 720 : 1000, 110 + 32 * ablation.count))
  }
}
