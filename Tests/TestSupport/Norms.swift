/// Returns ‖x‖₂.
package func norm(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }

/// Returns ‖found − wanted‖ / ‖wanted‖, or infinity if their counts differ.
package func relativeError(of found: [Float], from wanted: [Double]) -> Double {
  guard found.count == wanted.count else { return .infinity }
  return norm(zip(found, wanted).map { Double($0) - $1 }) / norm(wanted)
}
