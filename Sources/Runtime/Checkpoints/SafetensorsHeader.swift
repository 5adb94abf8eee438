internal import MoTIR

/// The header of a safetensors file: what tensors it has and where their bytes are.
///
/// A file is the header's length (u64), the header (JSON, padded by spaces) and the data:
/// `{"__metadata__": {"KEY": "TEXT"}, "NAME": {"dtype": "F32", "shape": [2, 3],
/// "data_offsets": [BEGIN, END]}}`, with offsets from the end of the header.
///
/// What is checked: the length (8 bytes to 100 MB, inside the file); the header begins with `{`, is UTF-8
/// and JSON without repeated keys; every tensor has these three members and no other; names are neither
/// empty nor long and hold no control characters; sizes fit their shapes without overflow; tensors begin
/// at a multiple of their element size; and their bytes cover the data without hole, overlap or rest.
struct SafetensorsHeader {
  /// The largest header, as in the reference implementation.
  static let limit = 100_000_000

  /// A tensor's description.
  struct Entry {
    let name: String
    let format: ElementFormat
    let shape: [Int]
    /// Its bytes, from the start of the file.
    let bytes: Range<Int>
  }

  /// The tensors in the order of their bytes.
  let entries: [Entry]
  /// The free text that the file carries, in its order.
  let metadata: [(key: String, value: String)]

  /// Reads the header of a file that holds `file`.
  ///
  /// - Throws: `Diagnostic` with the first rule that is broken.
  init(file: UnsafeRawBufferPointer) throws(Diagnostic) {
    guard file.count >= 8 else {
      throw Diagnostic("the file has \(file.count) bytes, but the header's length alone takes 8")
    }
    let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(Self.limit) else {
      throw Diagnostic("the header would have \(length) bytes; at most \(Self.limit) are read")
    }
    guard length <= UInt64(file.count - 8) else {
      throw Diagnostic("the header would have \(length) bytes, but the file ends before")
    }
    let start = 8 + Int(length)
    let text = UnsafeRawBufferPointer(rebasing: file[8..<start])
    guard text.first == UInt8(ascii: "{") else {
      throw Diagnostic("the header does not begin with '{'")
    }
    guard case .object(let members) = try StrictJSON.parse(text, depth: 4) else {
      throw Diagnostic("the header is not a JSON object")
    }
    var metadata: [(key: String, value: String)] = []
    var entries: [Entry] = []
    for member in members {
      if member.key == "__metadata__" {
        metadata = try Self.metadata(member.value)
      } else {
        entries.append(try Self.entry(member, start: start))
      }
    }
    entries.sort {
      ($0.bytes.lowerBound, $0.bytes.upperBound) < ($1.bytes.lowerBound, $1.bytes.upperBound)
    }
    try Self.checkCoverage(entries, data: start..<file.count)
    self.entries = entries
    self.metadata = metadata
  }

  /// `true` iff a tensor may be called `name`.
  static func allows(name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 1024 && name != "__metadata__"
      && name.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
  }

  private static func metadata(
    _ value: StrictJSON
  ) throws(Diagnostic) -> [(key: String, value: String)] {
    guard case .object(let members) = value else {
      throw Diagnostic("__metadata__ is not a JSON object")
    }
    var result: [(key: String, value: String)] = []
    for member in members {
      guard case .string(let text) = member.value else {
        throw Diagnostic("__metadata__: \(quoted(member.key)) is not a string")
      }
      result.append((member.key, text))
    }
    return result
  }

  private static func entry(
    _ member: StrictJSON.Member, start: Int
  ) throws(Diagnostic) -> Entry {
    let name = member.key
    let place = "tensor \(quoted(name))"
    guard allows(name: name) else {
      throw Diagnostic("\(place): a name has 1 to 1024 bytes and no control characters")
    }
    guard case .object(let fields) = member.value else {
      throw Diagnostic("\(place) is not a JSON object")
    }
    let format = try format(fields, place)
    let shape = try naturals("shape", fields, place)
    let offsets = try naturals("data_offsets", fields, place)
    if let extra = fields.first(where: { !["dtype", "shape", "data_offsets"].contains($0.key) }) {
      throw Diagnostic("\(place) has a member \(quoted(extra.key)), which the format does not know")
    }
    guard offsets.count == 2, offsets[0] <= offsets[1], offsets[1] <= Int.max - start else {
      throw Diagnostic("\(place): data_offsets \(offsets) are not a begin and an end after it")
    }
    let size = try size(shape, format, place)
    guard size == offsets[1] - offsets[0] else {
      throw Diagnostic(
        "\(place): \(format.rawValue) \(shape) takes \(size) bytes, but data_offsets \(offsets) hold "
          + "\(offsets[1] - offsets[0])")
    }
    guard size == 0 || (start + offsets[0]).isMultiple(of: format.size) else {
      throw Diagnostic(
        "\(place) begins at byte \(start + offsets[0]), which is no multiple of its element size",
        suggestion:
          "write the file again with a current version of safetensors, which aligns tensors")
    }
    return Entry(
      name: name, format: format, shape: shape, bytes: start + offsets[0]..<start + offsets[1])
  }

  private static func format(
    _ fields: [StrictJSON.Member], _ place: String
  ) throws(Diagnostic) -> ElementFormat {
    guard case .string(let text)? = fields.first(where: { $0.key == "dtype" })?.value else {
      throw Diagnostic("\(place): dtype is missing or not a string")
    }
    guard let format = ElementFormat(rawValue: text) else {
      let known = ElementFormat.allCases.map(\.rawValue).joined(separator: ", ")
      throw Diagnostic("\(place): dtype \(quoted(text)) is not known; known are \(known)")
    }
    return format
  }

  /// Returns the numbers in the array `key`, which must be integers that are not negative.
  private static func naturals(
    _ key: String, _ fields: [StrictJSON.Member], _ place: String
  ) throws(Diagnostic) -> [Int] {
    guard case .array(let elements)? = fields.first(where: { $0.key == key })?.value else {
      throw Diagnostic("\(place): \(key) is missing or not an array")
    }
    let numbers = elements.compactMap(\.natural)
    guard numbers.count == elements.count else {
      throw Diagnostic("\(place): \(key) holds something else than integers from 0 to \(Int.max)")
    }
    return numbers
  }

  private static func size(
    _ shape: [Int], _ format: ElementFormat, _ place: String
  ) throws(Diagnostic) -> Int {
    var size = format.size
    for extent in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: extent)
      guard !overflow else { throw Diagnostic("\(place): the size of \(shape) overflows") }
      size = product
    }
    return size
  }

  private static func checkCoverage(
    _ entries: [Entry], data: Range<Int>
  ) throws(Diagnostic) {
    var end = data.lowerBound
    for entry in entries {
      guard entry.bytes.lowerBound == end else {
        let what = entry.bytes.lowerBound < end ? "overlaps" : "leaves a hole after"
        throw Diagnostic("tensor \(quoted(entry.name)) \(what) the tensor before it")
      }
      end = entry.bytes.upperBound
    }
    guard end == data.upperBound else {
      let relation = end < data.upperBound ? "more" : "less"
      throw Diagnostic(
        "the tensors take \(end - data.lowerBound) bytes, but the file has \(relation): \(data.count)"
      )
    }
  }
}
