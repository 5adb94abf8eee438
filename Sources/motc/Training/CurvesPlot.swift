import Runtime

/// Metrics of some runs, a panel a metric: a line of the training steps, and points of the validations.
struct CurvesPlot {
  /// What stands on the horizontal axis.
  enum Axis: String, CaseIterable {
    case steps
    case flops
    case seconds
    case tokens

    /// Its column in the metrics.
    var column: String { self == .steps ? "step" : rawValue }

    /// Its units from the smallest, with their names.
    private var units: [(size: Double, name: String)] {
      switch self {
      case .steps: [(1, "steps")]
      case .flops: [(1e9, "GFLOPs"), (1e12, "TFLOPs"), (1e15, "PFLOPs"), (1e18, "EFLOPs")]
      case .seconds:
        [(1, "seconds of training"), (60, "minutes of training"), (3600, "hours of training")]
      case .tokens: [(1, "tokens"), (1e3, "thousand tokens"), (1e6, "million tokens")]
      }
    }

    /// Returns the unit of an axis that goes to `end`.
    func unit(upTo end: Double) -> (size: Double, name: String) {
      units.last { $0.size * 2 <= end } ?? units[0]
    }
  }

  /// The runs.
  let runs: [RunCurves]
  /// The metrics that have a panel.
  let metrics: [String]
  /// What stands on the horizontal axis.
  let axis: Axis

  private var panels: Panels { Panels(count: metrics.count) }

  /// How large the picture is.
  var size: (width: Int, height: Int) { panels.size }

  /// What gnuplot is told.
  var script: [String] {
    let unit = axis.unit(upTo: runs.map(\.end).max() ?? 0)
    var script = panels.begin(title: caption) + ["set xlabel \(plotText(unit.name))"]
    for (panel, metric) in metrics.enumerated() {
      script.append("set title \(plotText(metric))")
      var plots: [String] = []
      for (index, run) in runs.enumerated() {
        guard let pair = run.curves[metric] else { continue }
        let place = "$p\(panel)r\(index)"
        script += data("\(place)t", pair.training, unit.size)
        script += data("\(place)v", pair.validation, unit.size)
        plots += self.plots(place, pair, index)
      }
      script.append("plot " + plots.joined(separator: ", "))
    }
    return script + ["unset multiplot"]
  }

  /// What lines and points are.
  private var caption: String {
    let pairs = runs.flatMap { run in metrics.compactMap { run.curves[$0] } }
    let steps = pairs.map(\.training.size).max() ?? 1
    let lines =
      steps == 1
      ? "lines: training, step by step" : "lines: training, means of up to \(steps) steps"
    let most = pairs.map(\.validation.size).max() ?? 1
    let points = most == 1 ? "validation" : "validation, means of up to \(most)"
    let hasPoints = pairs.contains { !$0.validation.points.isEmpty }
    return hasPoints ? "\(lines); points: \(points)" : lines
  }

  private func data(_ name: String, _ curve: Curve, _ unit: Double) -> [String] {
    ["\(name) << EOD"] + curve.points.map { "\($0.x / unit) \($0.y)" } + ["EOD"]
  }

  /// Returns what draws the curves of the run `index`, and what says which these are.
  private func plots(_ place: String, _ pair: RunCurves.Pair, _ index: Int) -> [String] {
    let (colour, shape) = (Panels.colour(index), Panels.shape(index))
    let label = plotText(runs[index].run.label(among: runs.map(\.run)))
    var plots = ["keyentry with linespoints lw 1.5 \(shape) \(colour) title \(label)"]
    let count = pair.training.points.count
    if count > 0 {
      // A line of one point cannot be seen.
      let style = count == 1 ? "points pt 1" : "lines lw 1.5"
      plots.append("\(place)t using 1:2 with \(style) \(colour) notitle")
    }
    if !pair.validation.points.isEmpty {
      plots.append("\(place)v using 1:2 with points \(shape) ps 0.9 \(colour) notitle")
    }
    return plots
  }
}
