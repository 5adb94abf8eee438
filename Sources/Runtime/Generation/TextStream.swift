/// Turns bytes that come one by one into text that a terminal can be given.
///
/// Text comes out at the borders of characters. Bytes that are no UTF-8 become �, and so do control characters but
/// for newlines and tabs: a model may have learned what a terminal obeys.
package struct TextStream: Sendable {
  private var open: [UInt8] = []

  /// Creates an empty stream.
  package init() {}

  /// Returns the text that is complete with `byte`.
  package mutating func append(_ byte: UInt8) -> String {
    open.append(byte)
    guard let wanted = Self.length(startingWith: open[0]) else { return flush() }
    if open.count > 1, byte & 0xC0 != 0x80 {
      // Whatever was open stays incomplete, and the byte begins anew.
      open.removeLast()
      return flush() + append(byte)
    }
    return open.count < wanted ? "" : flush()
  }

  /// Returns what is left, however incomplete.
  package mutating func flush() -> String {
    defer { open = [] }
    let text = String(decoding: open, as: UTF8.self)
    var shown = ""
    for scalar in text.unicodeScalars { shown.unicodeScalars.append(Self.shown(scalar)) }
    return shown
  }

  /// Returns the bytes of a character that begins with `byte`, or `nil` if none does.
  private static func length(startingWith byte: UInt8) -> Int? {
    switch byte {
    case 0..<0x80: 1
    case 0xC2..<0xE0: 2
    case 0xE0..<0xF0: 3
    case 0xF0..<0xF5: 4
    default: nil
    }
  }

  private static func shown(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    switch scalar.properties.generalCategory {
    case .control where scalar != "\n" && scalar != "\t": "\u{FFFD}"
    // Marks that turn the direction of what follows, and the like; joiners are part of what they join.
    case .format where scalar != "\u{200C}" && scalar != "\u{200D}": "\u{FFFD}"
    case .lineSeparator, .paragraphSeparator: "\u{FFFD}"
    default: scalar
    }
  }
}
