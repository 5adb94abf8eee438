package import MoTIR

/// The numbers of a run's `metrics.jsonl`, line by line: the file may be larger than memory.
package struct MetricsReader {
  /// A number with its name.
  package typealias Number = (name: String, value: Double)

  /// Bytes of a line, at most.
  private static let lineLimit = 1 << 16

  private let path: String
  private let file: MappedFile

  /// Opens the metrics of the run in the folder at `path`.
  ///
  /// - Throws: `Diagnostic` if there are none.
  package init(run path: String) throws(Diagnostic) {
    self.path = "\(path)/\(MetricsFile.names[0])"
    do throws(Diagnostic) { file = try MappedFile(path: self.path) } catch {
      throw Diagnostic(error.message, suggestion: "name the folder of a run (motc train --out)")
    }
  }

  /// Calls `body` with the finite numbers of each line, in its order, and its number from 1.
  ///
  /// - Returns: `true` iff the last line ends early: the run was killed while it was written.
  /// - Throws: `Diagnostic` with the first line that is no object of numbers, and what `body` throws.
  package func forEachLine(
    _ body: (_ line: Int, [Number]) throws(Diagnostic) -> Void
  ) throws(Diagnostic) -> Bool {
    defer { withExtendedLifetime(file) {} }
    var rest = file.bytes[...]
    var line = 0
    while let end = rest.prefix(Self.lineLimit).firstIndex(of: UInt8(ascii: "\n")) {
      line += 1
      let text = UnsafeRawBufferPointer(rebasing: rest[..<end])
      try body(line, try numbers(text, line))
      rest = rest[(end + 1)...]
    }
    guard rest.count < Self.lineLimit else {
      throw problem("has more than \(Self.lineLimit) bytes", line + 1)
    }
    return !rest.isEmpty
  }

  private func numbers(
    _ text: UnsafeRawBufferPointer, _ line: Int
  ) throws(Diagnostic) -> [Number] {
    let value: StrictJSON
    do throws(Diagnostic) { value = try StrictJSON.parse(text, depth: 2) } catch {
      throw problem("is damaged: \(error.message)", line)
    }
    guard case .object(let members) = value else { throw problem("is no JSON object", line) }
    var numbers: [Number] = []
    for member in members {
      switch member.value {
      case .number(let text):
        // What is too large for a number has no place in a picture either.
        if let number = Double(text), number.isFinite { numbers.append((member.key, number)) }
      case .null: continue
      case .boolean, .string, .array, .object:
        throw problem("has something else than a number for \(quoted(member.key))", line)
      }
    }
    return numbers
  }

  /// Returns the error that `line` is wrong.
  private func problem(_ text: String, _ line: Int) -> Diagnostic {
    Diagnostic("\(path): line \(line) \(text)")
  }
}
