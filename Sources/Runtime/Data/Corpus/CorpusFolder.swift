internal import Foundation
package import MoTIR

/// What a folder holds to be learned: a text by itself, or content with a caption that says what it is.
package struct CorpusItem: Hashable, Sendable {
  /// What the text goes with.
  package enum Content: Hashable, Sendable {
    /// The picture in the PNG file of this path.
    case picture(String)
    /// Speech as units.
    case speech([Int])
    /// Speech in the WAV file of this path.
    case recording(String)
  }

  /// The name of the file that the caption is of, without its folder and ending; empty for a text by itself.
  package let name: String
  /// The text, or the caption with its newline.
  package let text: String
  /// What the text goes with: nothing, a picture, speech, or several.
  package fileprivate(set) var contents: [Content]

  /// Returns `items`, with the contents of all that have one name and one text joined where the first of them stands.
  ///
  /// Texts by themselves stay apart.
  package static func joined(_ items: [CorpusItem]) -> [CorpusItem] {
    var places: [[String]: Int] = [:]
    var result: [CorpusItem] = []
    for item in items {
      let key = [item.name, item.text]
      if let place = places[key], !item.contents.isEmpty {
        result[place].contents += item.contents
      } else {
        places[key] = result.count
        result.append(item)
      }
    }
    return result
  }
}

/// The files of a corpus.
///
/// Either captions: `captions.txt` with lines `FILE<TAB>CAPTION`, or `manifest.json` with
/// `[{"file": FILE, "caption": CAPTION}, …]`, and the PNG files and recordings (`.wav`) that they name. In place of
/// recordings there may be `speech-units.txt`, whose n-th line has the speech units of the n-th caption; lines that
/// begin with `#` are comments. Or plain text: every file of the folder that ends in `.txt` is a document.
package struct CorpusFolder {
  /// The largest file that is read.
  private static let limit = 64 << 20

  private let path: String

  /// Creates a view of the folder at `path`.
  package init(path: String) { self.path = path }

  /// Returns the items that a model with these modalities has a use for: pictures, then speech, and captions alone
  /// if it has neither.
  ///
  /// - Throws: `Diagnostic` for the first file that is missing or malformed.
  package func items(
    pictures: Bool, speech wantsSpeech: Bool
  ) throws(Diagnostic) -> [CorpusItem] {
    guard hasCaptions else { return try texts() }
    let captions = try captions()
    var items: [CorpusItem] = []
    if pictures {
      items += try self.items(captions.filter { !isRecording($0.file) }) { .picture($0) }
    }
    if wantsSpeech { items += try speech(captions) }
    guard items.isEmpty else { return items }
    return captions.map { item($0, []) }
  }

  /// Returns the picture in the PNG file at `path`.
  ///
  /// - Throws: `Diagnostic` if it cannot be read.
  package static func picture(at path: String) throws(Diagnostic) -> Picture {
    try decoded(path) { bytes throws(Diagnostic) in try Picture(png: bytes) }
  }

  /// Returns the recording in the WAV file at `path`.
  ///
  /// - Throws: `Diagnostic` if it cannot be read.
  package static func recording(at path: String) throws(Diagnostic) -> Waveform {
    try decoded(path) { bytes throws(Diagnostic) in try Waveform(wav: bytes) }
  }

  /// Returns what `decode` makes of the file at `path`, whose errors get the path.
  private static func decoded<Content>(
    _ path: String, _ decode: ([UInt8]) throws(Diagnostic) -> Content
  ) throws(Diagnostic) -> Content {
    let bytes = try contents(path)
    do throws(Diagnostic) {
      return try decode(bytes)
    } catch {
      throw Diagnostic("\(path): \(error.message)", suggestion: error.suggestion)
    }
  }

  // MARK: Captions

  private var manifest: String { "\(path)/manifest.json" }
  private var captionLines: String { "\(path)/captions.txt" }

  private var hasCaptions: Bool {
    [manifest, captionLines].contains { FileManager.default.fileExists(atPath: $0) }
  }

  /// Returns the files and their captions.
  private func captions() throws(Diagnostic) -> [(file: String, caption: String)] {
    let captions =
      FileManager.default.fileExists(atPath: manifest)
      ? try captionsOfManifest() : try captionsOfLines()
    guard !captions.isEmpty else { throw Diagnostic("\(path) has no captions") }
    return captions
  }

  private func captionsOfManifest() throws(Diagnostic) -> [(file: String, caption: String)] {
    let value = try StrictJSON.parse(Self.contents(manifest))
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

  private func captionsOfLines() throws(Diagnostic) -> [(file: String, caption: String)] {
    var captions: [(file: String, caption: String)] = []
    for (number, line) in try lines(captionLines) {
      let fields = line.split(separator: "\t", maxSplits: 1)
      guard fields.count == 2 else {
        throw Diagnostic(
          "a line is FILE, a tab and a caption",
          at: Location(file: captionLines, line: number, column: 1))
      }
      captions.append((String(fields[0]), String(fields[1])))
    }
    return captions
  }

  /// Returns the path of the file called `name` in the folder.
  private func path(of name: String) throws(Diagnostic) -> String {
    guard !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else {
      throw Diagnostic("\(path): the file \(quoted(name)) is outside the folder")
    }
    return "\(path)/\(name)"
  }

  /// Returns items whose content is that of files.
  private func items(
    _ captions: [(file: String, caption: String)], _ content: (String) -> CorpusItem.Content
  ) throws(Diagnostic) -> [CorpusItem] {
    var items: [CorpusItem] = []
    for caption in captions { items.append(item(caption, [content(try path(of: caption.file))])) }
    return items
  }

  /// Returns the item of a caption.
  private func item(
    _ caption: (file: String, caption: String), _ contents: [CorpusItem.Content]
  ) -> CorpusItem {
    let name = caption.file.nameOfPath
    let end = name.lastIndex(of: ".") ?? name.endIndex
    return CorpusItem(
      name: String(name[..<end]), text: caption.caption + "\n", contents: contents)
  }

  /// `true` iff the file called `name` is a recording.
  private func isRecording(_ name: String) -> Bool { name.lowercased().hasSuffix(".wav") }

  /// Returns the speech of `captions`, if the folder has any: recordings or units.
  private func speech(
    _ captions: [(file: String, caption: String)]
  ) throws(Diagnostic) -> [CorpusItem] {
    let recordings = try items(captions.filter { isRecording($0.file) }) { .recording($0) }
    let units = try units(captions)
    guard recordings.isEmpty || units.isEmpty else {
      throw Diagnostic(
        "\(path) has recordings and speech-units.txt, whose units are not those of a codebook",
        suggestion: "leave one of them out")
    }
    return recordings + units
  }

  /// Returns the speech of `captions` in `speech-units.txt`, if it is there.
  private func units(
    _ captions: [(file: String, caption: String)]
  ) throws(Diagnostic) -> [CorpusItem] {
    let file = "\(path)/speech-units.txt"
    guard FileManager.default.fileExists(atPath: file) else { return [] }
    let lines = try lines(file)
    guard lines.count == captions.count else {
      throw Diagnostic("\(file) has \(lines.count) lines for \(captions.count) captions")
    }
    var items: [CorpusItem] = []
    for ((number, line), caption) in zip(lines, captions) {
      let words = line.split(separator: " ")
      let units = words.compactMap { Int($0) }
      guard units.count == words.count else {
        throw Diagnostic(
          "a speech unit is no integer", at: Location(file: file, line: number, column: 1))
      }
      items.append(item(caption, [.speech(units)]))
    }
    return items
  }

  // MARK: Files

  /// Returns every text file of the folder, in the order of their names.
  private func texts() throws(Diagnostic) -> [CorpusItem] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw fileError("cannot open", path)
    }
    var items: [CorpusItem] = []
    for name in names.sorted() where name.hasSuffix(".txt") {
      let text = try text("\(path)/\(name)")
      if !text.isEmpty { items.append(CorpusItem(name: "", text: text, contents: [])) }
    }
    guard !items.isEmpty else {
      throw Diagnostic(
        "\(path) has nothing to learn from",
        suggestion: "give it a captions.txt with lines FILE<TAB>CAPTION, or text files *.txt")
    }
    return items
  }

  private func text(_ file: String) throws(Diagnostic) -> String {
    let bytes = try Self.contents(file, wayOut: "split it into several files of the same form")
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Diagnostic("\(file) is not UTF-8")
    }
    return text
  }

  /// Returns the lines of a text file that are neither empty nor comments, with their numbers from 1.
  private func lines(_ file: String) throws(Diagnostic) -> [(number: Int, text: Substring)] {
    try text(file).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .enumerated().map { (number: $0.offset + 1, text: $0.element) }
      .filter { !$0.text.isEmpty && !$0.text.hasPrefix("#") }
  }

  /// Returns the bytes of a file of moderate size.
  private static func contents(
    _ file: String, wayOut: String? = nil
  ) throws(Diagnostic) -> [UInt8] {
    try MappedFile.contents(file, limit: limit, wayOut: wayOut)
  }
}
