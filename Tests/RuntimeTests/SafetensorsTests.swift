import Foundation
import Glibc
import MoTIR
import Runtime
import Testing

@Suite struct SafetensorsTests {
  @Test func tensorsComeBack() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("a.safetensors")
    let tensors = [
      try Tensor(name: "b\"\\é", format: .u8, shape: [3], bytes: [1, 2, 3]),
      try Tensor(name: "scalar", shape: [], floats: [2.5]),
      try Tensor(name: "a", shape: [2, 3], floats: [1, 2, 3, 4, 5, 6]),
      try Tensor(name: "empty", shape: [0, 4], floats: [Float]()),
    ]
    #expect(throws: Never.self) {
      try SafetensorsWriter.write(
        tensors, metadata: ["z": "1", "a": "\u{1}\"é"], to: path)
    }
    let reader = try SafetensorsReader(path: path)
    #expect(reader.names == ["a", "empty", "scalar", "b\"\\é"])
    #expect(reader.metadata.map(\.key) == ["a", "z"])
    #expect(reader.metadata.map(\.value) == ["\u{1}\"é", "1"])
    #expect(try reader.tensor("a")?.floats() == [1, 2, 3, 4, 5, 6])
    #expect(try reader.tensor("scalar")?.floats() == [2.5])
    #expect(reader.tensor("empty")?.count == 0)
    #expect(reader.tensor("absent") == nil)
    let first = try Data(contentsOf: URL(fileURLWithPath: path))
    try SafetensorsWriter.write(
      tensors.reversed(), metadata: ["a": "\u{1}\"é", "z": "1"], to: path)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == first)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 1)
  }

  @Test func badWritesLeaveTheOldFile() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([1, 2, 3], to: "old")
    let tensor = try Tensor(name: "a", shape: [1], floats: [1])
    #expect(throws: Diagnostic.self) { try SafetensorsWriter.write([tensor, tensor], to: path) }
    #expect(throws: Diagnostic.self) {
      try SafetensorsWriter.write([tensor.renamed("")], to: path)
    }
    #expect(throws: Diagnostic.self) {
      try SafetensorsWriter.write([tensor.renamed("line\nbreak")], to: path)
    }
    #expect(throws: Diagnostic.self) {
      try SafetensorsWriter.write([tensor], to: folder.file("absent/file"))
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data([1, 2, 3]))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["old"])
  }

  @Test func linksStayAndTheirFileIsReplaced() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([1, 2, 3], to: "file")
    let link = folder.file("link")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "file")
    try SafetensorsWriter.write([try Tensor(name: "a", shape: [1], floats: [1])], to: link)
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "file")
    #expect(try SafetensorsReader(path: path).names == ["a"])
  }

  @Test func namesMayBeAsLongAsTheSystemAllows() throws {
    let folder = try TemporaryFolder()
    let path = folder.file(String(repeating: "n", count: 255))
    try SafetensorsWriter.write([try Tensor(name: "a", shape: [1], floats: [1])], to: path)
    #expect(try SafetensorsReader(path: path).names == ["a"])
  }

  @Test func pipesAreWrittenToAndNotReplaced() throws {
    let folder = try TemporaryFolder()
    let pipe = folder.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    // Open both ways, so that neither end waits for the other.
    let descriptor = open(pipe, O_RDWR | O_NONBLOCK | O_CLOEXEC)
    defer { close(descriptor) }
    let tensor = try Tensor(name: "a", shape: [1], floats: [1])
    try SafetensorsWriter.write([tensor], to: folder.file("plain"))
    try SafetensorsWriter.write([tensor], to: pipe)
    let plain = try Data(contentsOf: URL(fileURLWithPath: folder.file("plain")))
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(descriptor, &bytes, bytes.count)
    #expect(count > 0 && Data(bytes.prefix(max(0, count))) == plain)
    var status = stat()
    #expect(lstat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
  }

  @Test func loadingIsStrict() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("w.safetensors")
    try SafetensorsWriter.write(
      [
        try Tensor(name: "good", shape: [2], floats: [1, 2]),
        try Tensor(name: "wide", shape: [3], floats: [1, 2, 3]),
        try Tensor(name: "extra", shape: [1], floats: [1]),
        try Tensor(name: "whole", shape: [1], integers: [1]),
        try Tensor(name: "nan", shape: [2, 2], floats: [1, 2, 3, .nan]),
      ], to: path)
    let reader = try SafetensorsReader(path: path)
    #expect(throws: Diagnostics.self) { try reader.load(expected: [("good", [2])]) }
    do {
      _ = try reader.load(expected: [
        ("absent", [1]), ("good", [2]), ("wide", [2]), ("whole", [1]), ("nan", [2, 2]),
      ])
      Issue.record("nothing was thrown")
    } catch {
      let text = error.description
      #expect(error.all.count == 5)
      #expect(text.contains("'absent' [1] is missing"))
      #expect(text.contains("'wide' has shape [3], but the model wants [2]"))
      #expect(text.contains("no tensor 'extra'"))
      #expect(text.contains("'whole' holds I32"))
      #expect(text.contains("'nan' is not finite at [1, 1]"))
    }
    try SafetensorsWriter.write([try Tensor(name: "w", shape: [2], floats: [1, 2])], to: path)
    let weights = try SafetensorsReader(path: path).load(expected: [("w", [2])])
    #expect(try weights[0].floats() == [1, 2])
  }

  @Test func parametersAreSplitByGroup() throws {
    let module = Module.sample(parameters: [
      ParameterDeclaration(
        name: "embedding.weight", shape: [3, 2], groups: nil, component: "embedding",
        initialization: .normal(1), decays: true),
      ParameterDeclaration(
        name: "q.weight", shape: [2, 2], groups: [["text"], ["image", "speech"]],
        component: "attention", initialization: .normal(1), decays: true),
    ])
    let folder = try TemporaryFolder()
    let path = folder.file("w")
    let first = try ParameterInitializer(seed: 1).tensors(of: module)
    try SafetensorsWriter.write(first, to: path)
    let parameters = try module.grouped(
      SafetensorsReader(path: path).load(expected: module.expectedTensors))
    #expect(parameters.map(\.name) == ["embedding.weight", "q.weight"])
    #expect(try parameters[1].values == first[1].floats() + first[2].floats())
    let again = try module.tensors(of: parameters, prefix: "grad.")
    #expect(again.map(\.name) == first.map { "grad.\($0.name)" })
    #expect(try again.map { try $0.floats() } == first.map { try $0.floats() })
  }

  @Test func valuesInJSONAreBounded() throws {
    let text = Array("[0, [1, 2], {\"a\": \"\\u00e9\\ud83d\\ude00\\n\"}]".utf8)
    #expect(try StrictJSON.parse(text, depth: 3, limit: 7).natural == nil)
    #expect(throws: Diagnostic.self) { try StrictJSON.parse(text, depth: 3, limit: 6) }
    #expect(throws: Diagnostic.self) { try StrictJSON.parse(text, depth: 1) }
    guard case .array(let elements) = try StrictJSON.parse(text) else {
      Issue.record("no array")
      return
    }
    #expect(elements[0].natural == 0)
    #expect(elements[2] == .object([.init(key: "a", value: .string("é😀\n"))]))
    #expect(try StrictJSON.parse(Array("-1.5e+3".utf8)) == .number("-1.5e+3"))
    for bad in ["01", "1.", "+1", "nul", "[1,]", "\"\\q\"", "\"\t\"", "", "1 2"] {
      #expect(throws: Diagnostic.self, "\(bad)") { try StrictJSON.parse(Array(bad.utf8)) }
    }
  }
}
