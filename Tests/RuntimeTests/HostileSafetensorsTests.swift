import Foundation
import MoTIR
import Runtime
import Testing

/// A file that breaks one rule of the format.
struct HostileFile: Sendable, CustomTestStringConvertible {
  let name: String
  let bytes: [UInt8]
  /// What the message must say.
  let says: String

  var testDescription: String { name }

  init(_ name: String, _ bytes: [UInt8], says: String) {
    self.name = name
    self.bytes = bytes
    self.says = says
  }

  /// A file with this header, padded to 8 bytes unless `pads` is `false`, and this many bytes of data.
  init(_ name: String, header: String, data: Int = 8, pads: Bool = true, says: String) {
    var text = Array(header.utf8)
    while pads, !text.count.isMultiple(of: 8) { text.append(0x20) }
    self.init(
      name, Self.length(UInt64(text.count)) + text + [UInt8](repeating: 0, count: data), says: says)
  }

  /// A file with one tensor `t` that has these members and two floats of data.
  init(_ name: String, tensor: String, data: Int = 8, says: String) {
    self.init(name, header: "{\"t\":{\(tensor)}}", data: data, says: says)
  }

  /// A file with a tensor `t` of this shape at these offsets.
  init(_ name: String, shape: String, offsets: String, data: Int = 8, says: String) {
    self.init(
      name, tensor: "\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":\(offsets)", data: data,
      says: says)
  }

  /// A file with a tensor of this name, as JSON.
  init(_ name: String, key: String, says: String) {
    self.init(name, header: "{\"\(key)\":\(Self.good)}", says: says)
  }

  /// The description of a tensor of two floats at the start.
  static let good = "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

  static func length(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Returns the description of a tensor of bytes at `offsets`.
  static func bytes(_ begin: Int, _ end: Int) -> String {
    "{\"dtype\":\"U8\",\"shape\":[\(end - begin)],\"data_offsets\":[\(begin),\(end)]}"
  }

  static let framing = [
    HostileFile("empty", [], says: "0 bytes"),
    HostileFile("shorter than the length", [1, 0, 0], says: "3 bytes"),
    HostileFile("length 0", length(0) + [0, 0], says: "begin with '{'"),
    HostileFile("length beyond the file", length(64) + [0x7B], says: "the file ends"),
    HostileFile("length above the limit", length(100_000_001) + [0x7B], says: "at most"),
    HostileFile("length 2^64 - 1", length(.max) + [0x7B], says: "at most"),
    HostileFile("length 2^63", length(1 << 63) + [0x7B], says: "at most"),
    HostileFile(
      "not UTF-8", length(8) + [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D, 0x20], says: "UTF-8"),
    HostileFile(
      "overlong UTF-8", length(8) + [0x7B, 0x22, 0xC0, 0x80, 0x22, 0x3A, 0x31, 0x7D], says: "UTF-8"),
    HostileFile("not JSON", header: "{t: 1}", says: "is missing"),
    HostileFile("an array", header: "[1, 2]", says: "begin with '{'"),
    HostileFile("leading garbage", header: "  {\"t\":\(good)}", says: "begin with '{'"),
    HostileFile("byte order mark", header: "\u{FEFF}{\"t\":\(good)}", says: "begin with '{'"),
    HostileFile("two values", header: "{\"t\":\(good)}{}", says: "text after"),
    HostileFile("NUL padding", header: "{\"t\":\(good)}\u{0}\u{0}", says: "text after"),
    HostileFile("unfinished JSON", header: "{\"t\":\(good)", says: "is missing"),
    HostileFile("unfinished string", header: "{\"t", says: "does not end"),
    HostileFile("trailing comma", header: "{\"t\":\(good),}", says: "is missing"),
    HostileFile("lone surrogate", key: "\\uD800", says: "is missing"),
    HostileFile("low surrogate first", key: "\\uDC00", says: "surrogate"),
    HostileFile("bad escape", key: "\\x41", says: "is missing"),
    HostileFile(
      "JSON bomb of arrays",
      header: "{\"t\":" + String(repeating: "[", count: 1_000_000), says: "nested deeper"),
    HostileFile(
      "JSON bomb of objects",
      header: String(repeating: "{\"t\":", count: 200_000), says: "nested deeper"),
  ]

  static let names = [
    HostileFile("repeated key", header: "{\"t\":\(good),\"t\":\(good)}", says: "twice"),
    HostileFile("repeated by escape", header: "{\"t\":\(good),\"\\u0074\":\(good)}", says: "twice"),
    HostileFile(
      "repeated member", tensor: "\"dtype\":\"F32\",\"dtype\":\"I32\"", says: "twice"),
    HostileFile("empty name", key: "", says: "1 to 1024 bytes"),
    HostileFile("long name", key: String(repeating: "n", count: 1025), says: "1 to 1024 bytes"),
    HostileFile("control character in a name", key: "a\\u001b[2J", says: "control"),
    HostileFile("metadata is text", header: "{\"__metadata__\":\"x\"}", data: 0, says: "object"),
    HostileFile(
      "metadata holds a number", header: "{\"__metadata__\":{\"a\":1}}", data: 0, says: "string"),
    HostileFile(
      "metadata is nested", header: "{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", data: 0,
      says: "string"),
    HostileFile("tensor is a number", header: "{\"t\":1}", says: "not a JSON object"),
    HostileFile("missing dtype", tensor: "\"shape\":[2],\"data_offsets\":[0,8]", says: "dtype"),
    HostileFile(
      "missing shape", tensor: "\"dtype\":\"F32\",\"data_offsets\":[0,8]", says: "shape"),
    HostileFile("missing offsets", tensor: "\"dtype\":\"F32\",\"shape\":[2]", says: "data_offsets"),
    HostileFile(
      "extra member",
      tensor: "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"strides\":[1]",
      says: "strides"),
    HostileFile(
      "unknown dtype", tensor: "\"dtype\":\"F7\",\"shape\":[2],\"data_offsets\":[0,8]",
      says: "not known"),
    HostileFile(
      "dtype is a number", tensor: "\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]",
      says: "dtype"),
  ]

  static let sizes = [
    HostileFile("shape is no array", shape: "2", offsets: "[0,8]", says: "shape"),
    HostileFile("negative extent", shape: "[-2]", offsets: "[0,8]", says: "integers"),
    HostileFile("fraction", shape: "[2.0]", offsets: "[0,8]", says: "integers"),
    HostileFile("exponent", shape: "[2e0]", offsets: "[0,8]", says: "integers"),
    HostileFile("leading zero", shape: "[02]", offsets: "[0,8]", says: "is missing"),
    HostileFile("huge extent", shape: "[99999999999999999999]", offsets: "[0,8]", says: "integers"),
    HostileFile("null extent", shape: "[null]", offsets: "[0,8]", says: "integers"),
    HostileFile(
      "product overflows", shape: "[4294967296,4294967296]", offsets: "[0,8]", says: "overflows"),
    HostileFile(
      "product wraps to fit", shape: "[4611686018427387904,2]", offsets: "[0,0]", data: 0,
      says: "overflows"),
    HostileFile("bytes do not fit the shape", shape: "[3]", offsets: "[0,8]", says: "takes 12"),
    HostileFile("one offset", shape: "[2]", offsets: "[8]", says: "data_offsets"),
    HostileFile("three offsets", shape: "[2]", offsets: "[0,8,8]", says: "data_offsets"),
    HostileFile("reversed offsets", shape: "[2]", offsets: "[8,0]", says: "data_offsets"),
    HostileFile("negative offset", shape: "[2]", offsets: "[-8,0]", says: "integers"),
    HostileFile(
      "offset near the largest integer", shape: "[0]",
      offsets: "[9223372036854775807,9223372036854775807]", says: "data_offsets"),
    HostileFile("trailing bytes", shape: "[2]", offsets: "[0,8]", data: 9, says: "more"),
    HostileFile("truncated", shape: "[2]", offsets: "[0,8]", data: 7, says: "less"),
    HostileFile("hole at the start", shape: "[2]", offsets: "[4,12]", data: 12, says: "hole"),
    HostileFile(
      "hole between", header: "{\"a\":\(bytes(0, 2)),\"b\":\(bytes(3, 8))}", says: "hole"),
    HostileFile(
      "overlap", header: "{\"a\":\(bytes(0, 4)),\"b\":\(bytes(3, 8))}", says: "overlaps"),
    HostileFile("same bytes twice", header: "{\"a\":\(good),\"b\":\(good)}", says: "overlaps"),
    HostileFile("misaligned header", header: "{\"t\":\(good)} ", pads: false, says: "multiple"),
    HostileFile(
      "misaligned tensor",
      header:
        "{\"a\":\(bytes(0, 1)),\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}",
      data: 5, says: "multiple"),
  ]
}

@Suite struct HostileSafetensorsTests {
  @Test(arguments: HostileFile.framing + HostileFile.names + HostileFile.sizes)
  func isRejected(file: HostileFile) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(file.bytes, to: "hostile.safetensors")
    do {
      _ = try SafetensorsReader(path: path)
      Issue.record("\(file.name) was read")
    } catch {
      #expect(error.message.contains(file.says), "\(error.message)")
      #expect(error.message.contains(path))
      #expect(!error.message.unicodeScalars.contains { $0.value < 0x20 })
    }
  }

  @Test func onlyRegularFilesAreRead() throws {
    let folder = try TemporaryFolder()
    let pipe = folder.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [folder.path, pipe, "/dev/zero", folder.file("absent")] {
      #expect(throws: Diagnostic.self) { try SafetensorsReader(path: path) }
    }
  }

  @Test func everyCutAndFlipIsHandled() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("a")
    try SafetensorsWriter.write([try Tensor(name: "t", shape: [2], floats: [1, 2])], to: path)
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    for count in bytes.indices {
      let cut = try folder.write(Array(bytes[..<count]), to: "b")
      #expect(throws: Diagnostic.self) { try SafetensorsReader(path: cut) }
      for bit in 0..<8 {
        var flipped = bytes
        flipped[count] ^= 1 << bit
        // Either is fine; a crash is not.
        _ = try? SafetensorsReader(path: try folder.write(flipped, to: "b")).all.map { $0.count }
      }
    }
  }
}
