import Foundation

// Text for people: columns and numbers.

/// Returns `text` with spaces up to `width`: behind it, or before it for a negative width.
func padded(_ text: String, _ width: Int) -> String {
  let space = String(repeating: " ", count: max(0, abs(width) - text.count))
  return width < 0 ? space + text : text + space
}

/// Returns `value` with `digits` digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  // What is no number has no sign that means anything.
  value.isNaN
    ? "NaN"
    : String(format: "%.\(digits)f", locale: Locale(identifier: "en_US_POSIX"), value)
}

/// Returns `value` with commas between thousands.
func grouped(_ value: Int) -> String {
  let digits = String(value.magnitude)
  var result = ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index).isMultiple(of: 3) { result += "," }
    result.append(digit)
  }
  return value < 0 ? "-\(result)" : result
}

/// Returns a number of parameters as papers write it, such as `37.0M` or `1,059M`.
func millions(_ count: Int) -> String {
  let value = Double(count) / 1e6
  guard value >= 1 else { return scaled(Double(count)) }
  return value < 999.95 ? "\(fixed(value, 1))M" : "\(grouped(Int(value.rounded())))M"
}

/// Returns a number with a unit of its size, such as `48.8 M`.
func scaled(_ value: Double, _ units: [String] = ["", " k", " M", " G", " T"], step: Double = 1000)
  -> String
{
  var value = value
  var index = 0
  while abs(value) >= step, index < units.count - 1 {
    value /= step
    index += 1
  }
  return fixed(value, index == 0 ? 0 : 1) + units[index]
}

/// Returns a size in bytes for a person.
func bytes(_ count: Int) -> String {
  scaled(Double(count), [" B", " KiB", " MiB", " GiB", " TiB"], step: 1024)
}

/// Returns a number of floating-point operations for a person.
func operations(_ count: Double) -> String {
  scaled(count, [" FLOP", " kFLOP", " MFLOP", " GFLOP", " TFLOP"])
}

/// Returns rows as text, the columns aligned: the first to the left, those in `right` to the right.
func table(_ rows: [[String]], right: Set<Int> = [], indent: String = "  ") -> String {
  let count = rows.map(\.count).max() ?? 0
  let widths = (0..<count).map { column in
    rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
  }
  var text = ""
  for row in rows {
    let cells = row.enumerated().map { index, cell in
      padded(cell, right.contains(index) ? -widths[index] : widths[index])
    }
    var line = indent + cells.joined(separator: "  ")
    while line.last == " " { line.removeLast() }
    text += line + "\n"
  }
  return text
}

/// Returns a number with three digits and its power of ten, such as `1.00e-03`.
func scientific(_ value: Double) -> String {
  String(format: "%.2e", locale: Locale(identifier: "en_US_POSIX"), value).lowercased()
}

/// Returns `names`, each where it stands first.
func unique(_ names: [String]) -> [String] {
  names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
}
