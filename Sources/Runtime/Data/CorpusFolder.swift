internal import Foundation
internal import MoTIR

/// A picture or a piece of speech with what is said of it.
struct CorpusItem {
  /// The caption, with its newline.
  let caption: String
  /// The tokens of the picture or the speech, with their markers.
  let content: [Int]
}

/// The files of a corpus: `captions.txt` with lines `FILE<TAB>CAPTION`, or `manifest.json` with
/// `[{"file": FILE, "caption": CAPTION}, …]`, the PNG files that they name, and maybe
/// `speech-units.txt`, whose n-th line has the speech units of the n-th caption. Lines that begin with
/// `#` are comments.
struct CorpusFolder {
  /// The largest file that is read.
  private static let limit = 64 << 20

  private let path: String

  /// Creates a view of the folder at `path`.
  init(path: String) { self.path = path }

  /// Reads the items that `tokenizer` has modalities for: pictures first, then speech.
  ///
  /// - Throws: `Diagnostics` with everything that is wrong with the files.
  func items(_ tokenizer: Tokenizer, side: Int) throws(Diagnostics) -> [CorpusItem] {
    var problems: [Diagnostic] = []
    var items: [CorpusItem] = []
    do throws(Diagnostic) {
      let captions = try captions()
      if tokenizer.modality(.image) != nil {
        for (file, caption) in captions {
          do throws(Diagnostic) {
            let tokens = try picture(file, tokenizer, side: side)
            items.append(CorpusItem(caption: caption + "\n", content: tokens))
          } catch {
            problems.append(error)
          }
        }
      }
      if tokenizer.modality(.speech) != nil {
        items += try speech(captions.map(\.caption), tokenizer)
      }
      if items.isEmpty, problems.isEmpty {
        items = captions.map { CorpusItem(caption: $0.caption + "\n", content: []) }
      }
      _ = try tokenizer.tokens(text: "")
    } catch {
      problems.append(error)
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    return items
  }

  /// Returns the files and their captions.
  private func captions() throws(Diagnostic) -> [(file: String, caption: String)] {
    let manifest = "\(path)/manifest.json"
    let captions =
      FileManager.default.fileExists(atPath: manifest)
      ? try captions(manifest: manifest) : try captions(lines: "\(path)/captions.txt")
    guard !captions.isEmpty else { throw Diagnostic("\(path) has no captions") }
    return captions
  }

  private func captions(
    manifest: String
  ) throws(Diagnostic) -> [(file: String, caption: String)] {
    let value = try StrictJSON.parse(contents(manifest))
    guard case .array(let elements) = value else {
      throw Diagnostic("\(manifest) is not a JSON array")
    }
    var captions: [(file: String, caption: String)] = []
    for (index, element) in elements.enumerated() {
      guard case .object(let members) = element,
        case .string(let file)? = members.first(where: { $0.key == "file" })?.value,
        case .string(let caption)? = members.first(where: { $0.key == "caption" })?.value
      else {
        throw Diagnostic("\(manifest): element \(index) has no texts 'file' and 'caption'")
      }
      captions.append((file, caption))
    }
    return captions
  }

  private func captions(
    lines file: String
  ) throws(Diagnostic) -> [(file: String, caption: String)] {
    var captions: [(file: String, caption: String)] = []
    for (number, line) in try lines(file) {
      let fields = line.split(separator: "\t", maxSplits: 1)
      guard fields.count == 2 else {
        throw Diagnostic(
          "a line is FILE, a tab and a caption", at: Location(file: file, line: number, column: 1))
      }
      captions.append((String(fields[0]), String(fields[1])))
    }
    return captions
  }

  /// Returns the tokens of the picture called `file` in the folder.
  private func picture(
    _ file: String, _ tokenizer: Tokenizer, side: Int
  ) throws(Diagnostic) -> [Int] {
    guard !file.hasPrefix("/"), !file.split(separator: "/").contains("..") else {
      throw Diagnostic("\(path): the picture \(quoted(file)) is outside the folder")
    }
    let png = try contents("\(path)/\(file)")
    do throws(Diagnostic) {
      return try tokenizer.tokens(picture: Picture(png: png), side: side)
    } catch {
      throw Diagnostic("\(path)/\(file): \(error.message)", suggestion: error.suggestion)
    }
  }

  /// Returns the speech of `captions`, if the folder has any.
  private func speech(
    _ captions: [String], _ tokenizer: Tokenizer
  ) throws(Diagnostic) -> [CorpusItem] {
    let file = "\(path)/speech-units.txt"
    guard FileManager.default.fileExists(atPath: file) else { return [] }
    let lines = try lines(file)
    guard lines.count == captions.count else {
      throw Diagnostic("\(file) has \(lines.count) lines for \(captions.count) captions")
    }
    var items: [CorpusItem] = []
    for ((number, line), caption) in zip(lines, captions) {
      let place = Location(file: file, line: number, column: 1)
      let words = line.split(separator: " ")
      let units = words.compactMap { Int($0) }
      guard units.count == words.count else {
        throw Diagnostic("a speech unit is no integer", at: place)
      }
      do throws(Diagnostic) {
        items.append(
          CorpusItem(caption: caption + "\n", content: try tokenizer.tokens(speech: units)))
      } catch {
        throw Diagnostic(error.message, at: place, suggestion: error.suggestion)
      }
    }
    return items
  }

  /// Returns the lines of a text file that are neither empty nor comments, with their numbers from 1.
  private func lines(_ file: String) throws(Diagnostic) -> [(number: Int, text: Substring)] {
    guard let text = String(validating: try contents(file), as: UTF8.self) else {
      throw Diagnostic("\(file) is not UTF-8")
    }
    return text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated()
      .map { (number: $0.offset + 1, text: $0.element) }
      .filter { !$0.text.isEmpty && !$0.text.hasPrefix("#") }
  }

  /// Returns the bytes of a file of moderate size.
  private func contents(_ file: String) throws(Diagnostic) -> [UInt8] {
    let mapped = try MappedFile(path: file)
    guard mapped.bytes.count <= Self.limit else {
      throw Diagnostic("\(file) has \(mapped.bytes.count) bytes; at most \(Self.limit) are read")
    }
    return Array(mapped.bytes)
  }
}
