import Foundation

/// Arithmetic against memory: a dot a kernel, below the roof that the machine's peaks make.
struct RooflinePlot {
  /// What stands above the picture.
  let title: String
  /// The kernels of an entry, heaviest first.
  let groups: [KernelProfile.Group]
  /// The roof. GFLOP/s and GB/s
  let peak: Double
  /// A second roof; `nil` where the matrix unit is not used.
  let matrixPeak: Double?
  /// The slope. GB/s
  let bandwidth: Double

  /// How large the picture is.
  let size = (width: 1000, height: 560)
  /// How many kernels have their names beside the picture.
  private let labelled = 10

  /// A kernel in the picture.
  private struct Dot {
    let group: KernelProfile.Group
    /// FLOPs a byte.
    var x: Double { group.flops / group.bytes }
    /// GFLOP/s
    var y: Double { group.flops / group.seconds / 1e9 }
  }

  private var dots: [Dot] {
    groups.filter { $0.flops > 0 && $0.bytes > 0 && $0.seconds > 0 }.map(Dot.init)
  }

  /// What gnuplot is told.
  var script: [String] {
    let top = max(peak, matrixPeak ?? 0, dots.map(\.y).max() ?? 0)
    let ridge = top / bandwidth
    let x = (
      low: min(ridge, dots.map(\.x).min() ?? ridge) / 3,
      high: max(ridge, dots.map(\.x).max() ?? ridge) * 2
    )
    let y = (low: min(peak, dots.map(\.y).min() ?? peak) / 2.5, high: top * 1.6)
    let total = groups.reduce(0) { $0 + $1.seconds }
    var script = [
      "set title \(plotText(title)) font 'sans-serif,15'", "set logscale xy",
      "set xrange [\(x.low):\(x.high)]", "set yrange [\(y.low):\(y.high)]",
      "set xlabel 'FLOPs a byte of the buffers that a kernel reads and writes'",
      "set ylabel 'GFLOP/s'", "set grid lc rgb '#dddddd'", "set border 3 lc rgb '#888888'",
      "set tics nomirror", "set key at screen 0.62,0.02 bottom right", "set bmargin at screen 0.23",
      "set samples 1000",
      "set tics textcolor rgb '#333333'",
      "set rmargin at screen 0.66", "set lmargin at screen 0.09",
      "set xtics add (2, 5, 20, 50, 200, 500, 2000)",
      "set ytics add (20, 50, 200, 500, 2000, 5000)",
    ]
    script += labels(x: x, y: y, total: total)
    script += ["$dots << EOD"]
    script += dots.map { "\($0.x) \($0.y) \(0.5 + 2.5 * ($0.group.seconds / total).squareRoot())" }
    script += ["EOD"]
    var plots = [roof(peak, "vector unit", "#4477aa")]
    if let matrixPeak { plots.append(roof(matrixPeak, "matrix unit", "#aa3377")) }
    plots.append(
      "$dots using 1:2:3 with points pt 7 ps variable lc rgb '#cc6633' "
        + "title 'kernels, larger for more time'")
    script.append("plot " + plots.joined(separator: ", "))
    return script
  }

  private func roof(_ peak: Double, _ name: String, _ colour: String) -> String {
    let title = "\(name) \(fixed(peak, 0)) GFLOP/s, memory \(fixed(bandwidth, 0)) GB/s"
    return "(x * \(bandwidth) < \(peak) ? x * \(bandwidth) : \(peak)) with lines lw 2 "
      + "lc rgb '\(colour)' title \(plotText(title))"
  }

  /// Returns names of the heaviest kernels in a column at the right, in the order of their dots, each
  /// with a line to its dot.
  private func labels(
    x: (low: Double, high: Double), y: (low: Double, high: Double), total: Double
  ) -> [String] {
    let chosen = dots.prefix(labelled).sorted { $0.y > $1.y }
    let distance = 0.06
    var lowest = 1.0 + distance
    // From above: as high as its dot, or as the one before leaves room for; the last must fit too.
    var places = chosen.enumerated().map { index, dot in
      let height = log(dot.y / y.low) / log(y.high / y.low)
      lowest = min(lowest - distance, height)
      return lowest
    }
    // From below, for those that were pushed out.
    for index in places.indices.reversed() {
      let floor = distance * Double(places.count - 1 - index)
      places[index] = max(places[index], floor)
    }
    return zip(chosen, places).flatMap { dot, place in
      let share = fixed(100 * dot.group.seconds / total, 0)
      let calls = dot.group.calls == 1 ? "" : " × \(dot.group.calls)"
      return [
        "set arrow from first \(dot.x),\(dot.y) to graph 1.02,\(place) nohead back "
          + "lc rgb '#aaaaaa' lw 0.7",
        "set label \(plotText("\(dot.group.kernel)\(calls), \(share) %")) at graph 1.025,\(place) "
          + "left font 'sans-serif,11'",
      ]
    }
  }
}
