/// The panels of a picture of several runs, and how the runs are told apart.
struct Panels {
  /// How many panels there are.
  let count: Int

  /// Shapes of points, that differ without any colour.
  private static let shapes = [7, 5, 9, 11, 13, 6, 4, 8, 10]

  /// Panels in a row.
  private var columns: Int { count == 4 ? 2 : min(3, count) }
  private var rows: Int { (count + columns - 1) / columns }

  /// How large the picture is.
  var size: (width: Int, height: Int) { (max(640, 440 * columns), 60 + 360 * rows) }

  /// Returns what gnuplot is told before the first panel.
  func begin(title: String) -> [String] {
    [
      // The names of runs stand below the title, in a line that it must leave them.
      "set multiplot layout \(rows),\(columns) title \"\(title)\\n \" font 'sans-serif,12'",
      "set border 3 lc rgb '#888888'", "set tics nomirror textcolor rgb '#333333'",
      "set grid lt 1 lc rgb '#e5e5e5'", "set key tmargin center horizontal",
    ]
  }

  /// Returns the colour of the run `index`.
  static func colour(_ index: Int) -> String {
    "lc rgb '\(plotColours[index % plotColours.count])'"
  }

  /// Returns the shape of the points of the run `index`.
  static func shape(_ index: Int) -> String { "pt \(shapes[index % shapes.count])" }
}
