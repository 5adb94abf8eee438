/// Matched runs, a panel a loss: a point a pair, and the lines that fit them.
struct MatchPlot {
  let report: MatchReport
  /// What both axes are.
  let axis: CurvesPlot.Axis

  /// The losses that have a panel.
  private var names: [String] {
    report.matches.flatMap { $0.losses.filter { !$0.places(axis).isEmpty }.map(\.name) }
      .reduce(into: []) { names, name in if !names.contains(name) { names.append(name) } }
  }

  private var panels: Panels { Panels(count: names.count) }

  /// How many panels there are.
  var count: Int { panels.count }

  /// How large the picture is.
  var size: (width: Int, height: Int) { panels.size }

  /// What gnuplot is told.
  var script: [String] {
    let losses = report.matches.flatMap(\.losses)
    let ends = losses.flatMap { $0.places(axis) }.reduce((base: 0.0, other: 0.0)) { ends, place in
      (max(ends.base, place.base), max(ends.other, place.other))
    }
    let unit = axis.unit(upTo: max(ends.base, ends.other))
    var script = panels.begin(
      title: "points: the same validation loss; lines: fitted through the origin")
    script += [
      "set xlabel \(plotText("\(unit.name), \(report.label(report.base))"))",
      "set ylabel \(plotText("\(unit.name), the others"))",
      // Behind it there is nothing to extrapolate to.
      "set xrange [0:\(ends.base > 0 ? "\(1.03 * ends.base / unit.size)" : "*")]",
      "set yrange [0:*]",
    ]
    for (panel, name) in names.enumerated() {
      script += self.panel(panel, of: name, unit: unit.size)
    }
    return script + ["unset multiplot"]
  }

  /// Returns what draws the panel of the loss `name`.
  private func panel(_ panel: Int, of name: String, unit: Double) -> [String] {
    var script = ["set title \(plotText(name))"]
    var plots = ["x with lines lc rgb '#999999' dt 2 title 'as many'"]
    for (index, match) in report.matches.enumerated() {
      guard let loss = match.losses.first(where: { $0.name == name }) else { continue }
      let place = "$p\(panel)r\(index)"
      let points = loss.places(axis).map { "\($0.base / unit) \($0.other / unit)" }
      guard !points.isEmpty else { continue }
      script += ["\(place) << EOD"] + points + ["EOD"]
      plots += self.plots(place, loss, index)
    }
    return script + ["plot " + plots.joined(separator: ", ")]
  }

  /// Returns what draws the pairs and the line of the run `index`.
  private func plots(_ place: String, _ loss: StepMatch, _ index: Int) -> [String] {
    let (colour, shape) = (Panels.colour(index), Panels.shape(index))
    let name = report.label(report.matches[index].run)
    let points = "\(place) using 1:2 with points \(shape) ps 0.7 \(colour)"
    guard let share = loss.share(axis) else { return ["\(points) title \(plotText(name))"] }
    let title = plotText("\(name) \(fixed(100 * share, 0)) %")
    return ["\(points) title \(title)", "\(share) * x with lines lw 1.5 \(colour) notitle"]
  }
}
