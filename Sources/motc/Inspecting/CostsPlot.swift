import Lowering
import MoTIR

/// Parameters and arithmetic of some models by component, a panel each: a bar a model.
struct CostsPlot {
  /// One panel.
  private struct Panel {
    /// Below the axis.
    let label: String
    /// By component, then by model; `nil` where a model has none.
    let values: [[Double?]]
    /// Returns a value for a person.
    let text: (Double) -> String
  }

  /// The models.
  let comparison: Comparison

  /// Creates the chart of `comparison`.
  ///
  /// - Throws: `Diagnostic` if the models have too many components for it.
  init(_ comparison: Comparison) throws(Diagnostic) {
    self.comparison = comparison
    guard names.count > 40 else { return }
    throw Diagnostic(
      "\(names.count - 1) components do not fit into a chart",
      suggestion: "leave --svg out: the table has them all")
  }

  /// The components, those with parameters first, and all together.
  private var names: [String] {
    let models = comparison.models
    return unique(
      models.flatMap(\.counts.components) + models.flatMap { $0.costs?.components ?? [] }) + [
        "total"
      ]
  }

  /// How large the picture is.
  var size: (width: Int, height: Int) {
    (1000, top + 70 + names.count * (14 + 18 * comparison.models.count))
  }

  /// The height of what stands above the panels: the title, and a line for each of several models.
  private var top: Int {
    comparison.models.count == 1 ? 45 : 45 + 20 * comparison.models.count
  }

  private var panels: [Panel] {
    let models = comparison.models
    let components = names.dropLast().map(Optional.some) + [nil]
    return [
      Panel(
        label: "parameters",
        values: components.map { component in
          models.map { Double($0.counts.count(of: component)) }
        }, text: { millions(Int($0)) }),
      Panel(
        label: "forward FLOPs a token, mean over the modalities",
        values: components.map { component in
          models.map { $0.costs?.mean(component: component) }
        }, text: Comparison.Quantity.flopsPerToken.text),
    ]
  }

  /// What gnuplot is told.
  var script: [String] {
    let labels = comparison.labels
    let title = labels.count == 1 ? "\(labels[0]): what it is made of" : "models side by side"
    var script = [
      "set multiplot title \(plotText(title)) font 'sans-serif,15'",
      "set style fill solid noborder", "set border 1 lc rgb '#888888'",
      "set yrange [\(names.count)-0.4:-0.6]", "set tics nomirror scale 0.5",
      "set tics textcolor rgb '#333333'", "set ytics scale 0", "set grid xtics lc rgb '#dddddd'",
      "set format x '%.0s%c'", "set tmargin at screen \(1 - Double(top) / Double(size.height))",
      "set bmargin at screen \(60 / Double(size.height))",
    ]
    // The names of the components stand once, at the left; the panels share the rest.
    let left = 0.15
    let width = (0.99 - left) / 2
    for (index, panel) in panels.enumerated() {
      let start = left + width * Double(index)
      script += ["set lmargin at screen \(start)", "set rmargin at screen \(start + width - 0.03)"]
      script += draw(panel, "$panel\(index)", isFirst: index == 0)
    }
    return script + ["unset multiplot"]
  }

  /// Returns what draws `panel`, with its data in the block `name`.
  private func draw(_ panel: Panel, _ name: String, isFirst: Bool) -> [String] {
    let count = comparison.models.count
    let longest = panel.values.joined().reduce(1) { max($0, $1 ?? 0) }
    // Beyond the longest bar there is room for what is written at its end.
    let end = longest * (count == 1 ? 1.25 : 1.45)
    let ticks = zip(names, 0...).map { "\(plotText(isFirst ? $0 : "")) \($1)" }
    var script = ["\(name) << EOD"]
    for (row, values) in panel.values.enumerated() {
      for (model, value) in values.enumerated() {
        let middle = Double(row) - 0.4 + 0.8 * (Double(model) + 0.5) / Double(count)
        let text = label(value, beside: model == 0 ? nil : values[0], panel.text)
        script.append("\(value ?? 0) \(middle) \(model) \"\(text)\"")
      }
    }
    let half = 0.4 / Double(count)
    script += [
      "EOD", "set xrange [0:\(end)]", "set xtics 0,\(step(for: end))",
      "set ytics (\(ticks.joined(separator: ", ")))", "set xlabel \(plotText(panel.label))",
      isFirst && count > 1
        ? "set key at screen 0.15,\(1 - 35 / Double(size.height)) left top reverse Left"
        : "unset key",
    ]
    return script + [
      "plot " + bars(name, half, hasKey: isFirst && count > 1).joined(separator: ", ")
    ]
  }

  /// Returns what draws a panel's bars, each `half` high up and down, and what is written behind them.
  private func bars(_ name: String, _ half: Double, hasKey: Bool) -> [String] {
    var plots: [String] = []
    for (model, label) in comparison.labels.enumerated() {
      let colour = "lc rgb '\(plotColours[model % plotColours.count])'"
      plots.append(
        "\(name) using ($3==\(model)?$1/2:NaN):2:(0):1:($2-\(half)):($2+\(half)) "
          + "with boxxyerror \(colour) notitle")
      if hasKey { plots.append("keyentry with boxes \(colour) title \(plotText(label))") }
    }
    return plots + [
      "\(name) using 1:2:4 with labels left offset 0.5,0 font 'sans-serif,11' notitle"
    ]
  }

  /// Returns what stands behind a bar: the value, and how many times `other` it is.
  private func label(_ value: Double?, beside other: Double?, _ text: (Double) -> String) -> String
  {
    guard let value, value > 0 else { return "" }
    guard let other, other > 0 else { return text(value) }
    return "\(text(value))  \(times(value / other))"
  }
}
