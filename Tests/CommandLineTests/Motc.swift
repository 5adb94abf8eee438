import Foundation
import MoTIR
import Runtime
import TestSupport
import Testing

/// A folder with a small model, and the motc that was built beside these tests.
struct Motc {
  /// What a run of the program left.
  struct Result {
    /// The exit code; negative for a signal.
    let status: Int32
    let output: String
    let errors: String
  }

  /// The folder, which goes when the value does.
  let folder: Folder

  /// A temporary folder.
  final class Folder {
    let path: String

    init() throws {
      let url = FileManager.default.temporaryDirectory
        .appendingPathComponent("motc-cli-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
      path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  /// The model in `model.motir`: two modalities, B = 2, S = 9, V = 22.
  let module: Module

  init() throws {
    folder = try Folder()
    module = try TestModels.mixture()
    try write(module.text, to: "model.motir")
  }

  /// The repository.
  static let repository = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// The program.
  static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appendingPathComponent("motc").path

  /// Returns the path of `name` in the folder.
  func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  /// Writes `text` to the file `name`.
  func write(_ text: String, to name: String) throws {
    try text.write(toFile: path(name), atomically: true, encoding: .utf8)
  }

  /// Writes `tensors` of i32 to the file `name`.
  func write(_ tensors: [(String, [Int], [Int32])], to name: String) throws {
    try SafetensorsWriter.write(
      tensors.map { try Tensor(name: $0.0, shape: $0.1, integers: $0.2) }, to: path(name))
  }

  /// Writes a batch of tokens and targets that are in the vocabulary, and what else is given.
  func writeBatch(_ more: [(String, [Int], [Int32])] = [], to name: String = "in") throws {
    let tokens = (0..<18).map { Int32($0 * 7 % 22) }
    let targets = more.contains { $0.0 == "targets" } ? [] : [("targets", [2, 9], tokens)]
    try write([("tokens", [2, 9], tokens)] + targets + more, to: name)
  }

  /// Runs `motc` in the folder with an object cache of its own.
  func callAsFunction(
    _ arguments: String..., environment: [String: String] = [:]
  ) throws -> Result {
    try run(arguments, environment: environment)
  }

  /// Runs `motc` in the folder with an object cache of its own.
  ///
  /// - Parameter meanwhile: called with the process while it runs.
  func run(
    _ arguments: [String], environment: [String: String] = [:],
    meanwhile: (Process) throws -> Void = { _ in }
  ) throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    var all = ProcessInfo.processInfo.environment
    all["MOTC_CACHE"] = path("cache")
    process.environment = all.merging(environment) { $1 }
    // Files, for a pipe that nobody reads would stop the program.
    let files = try ["stdout", "stderr"].map { name in
      _ = FileManager.default.createFile(atPath: path(name), contents: nil)
      return try FileHandle(forWritingTo: URL(fileURLWithPath: path(name)))
    }
    (process.standardOutput, process.standardError) = (files[0], files[1])
    process.standardInput = FileHandle.nullDevice
    try process.run()
    try meanwhile(process)
    process.waitUntilExit()
    let isSignal = process.terminationReason == .uncaughtSignal
    return Result(
      status: isSignal ? -process.terminationStatus : process.terminationStatus,
      output: try text("stdout"), errors: try text("stderr"))
  }

  /// Returns the text of file `name`.
  func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path(name))), as: UTF8.self)
  }

  /// Returns the tensors of file `name` by name.
  func tensors(_ name: String) throws -> [String: Tensor] {
    let reader = try SafetensorsReader(path: path(name))
    return Dictionary(reader.all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Writes another model of 22 token ids in place of `model.motir`, its weights `w`, and the folder `shards` with 20
  /// documents for it.
  func prepareTraining(of module: Module) throws {
    try write(module.text, to: "model.motir")
    var writer = try ShardWriter(folder: path("shards"), module: module)
    for number in 0..<20 {
      try writer.append((0...7).map { (number * 3 + $0 * 7) % 22 }, to: .train)
    }
    _ = try writer.finish()
    #expect(try self("init", "model.motir", "--seed", "3", "-o", "w").status == 0)
  }
}
