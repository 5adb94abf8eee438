/// Returns `text` in quotes as a message can show it: control characters escaped, and cut where it
/// is long, since it may come from a hostile file.
package func quoted(_ text: some StringProtocol) -> String {
  let limit = 200
  var result = "'"
  for scalar in text.unicodeScalars.prefix(limit) {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
      .unassigned:
      result += "\\u{\(String(scalar.value, radix: 16))}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + (text.unicodeScalars.dropFirst(limit).isEmpty ? "'" : "…'")
}
