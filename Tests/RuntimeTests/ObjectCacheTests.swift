import Dispatch
import Foundation
import Logging
import Runtime
import Synchronization
import Testing

/// Keeps the messages of a logger.
private final class Messages: Sendable {
  private let all = Mutex<[String]>([])

  func add(_ message: String) { all.withLock { $0.append(message) } }
  var text: String { all.withLock { $0.joined(separator: "\n") } }
}

/// Hands what is logged to a test.
private struct Recorder: LogHandler {
  let messages: Messages
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.trace

  init(messages: Messages) { self.messages = messages }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { messages.add("\(event.message)") }
}

@Suite struct ObjectCacheTests {
  private let messages = Messages()
  private var logger: Logger {
    Logger(label: "test") { [messages] _ in Recorder(messages: messages) }
  }

  private func cache(_ folder: String?, limit: Int = 1 << 20) -> ObjectCache {
    ObjectCache(folder: folder, limit: limit, logger: logger)
  }

  private func entries(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  @Test func digestsAreThoseOfTheStandard() {
    let text = Array("abc".utf8).withUnsafeBytes { Digest(of: $0) }
    #expect("\(text)" == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let none = [UInt8]().withUnsafeBytes { Digest(of: $0) }
    #expect("\(none)" == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(Digest(fields: [[1], [2, 3]]) != Digest(fields: [[1, 2], [3]]))
    #expect(Digest(fields: [[1]]) != Digest(fields: [[1], []]))
  }

  @Test func objectsComeBack() throws {
    let folder = try TemporaryFolder()
    let cache = cache(folder.file("a/b"))
    let key = Digest(fields: [[1]])
    #expect(cache.object(for: key) == nil)
    cache.store([1, 2, 3], for: key)
    #expect(cache.object(for: key) == [1, 2, 3])
    #expect(cache.object(for: Digest(fields: [[2]])) == nil)
    cache.store([], for: key)
    #expect(cache.object(for: key) == [])
    #expect(try entries(folder.file("a/b")) == ["\(key).motco"])
    let attributes = try FileManager.default.attributesOfItem(atPath: folder.file("a/b"))
    #expect(attributes[.posixPermissions] as? Int == 0o700)
    #expect(messages.text.isEmpty)
  }

  @Test func damagedFilesAreMissesAndAreReplaced() throws {
    let folder = try TemporaryFolder()
    let cache = cache(folder.path)
    let key = Digest(fields: [[1]])
    let path = folder.file("\(key).motco")
    cache.store([1, 2, 3], for: key)
    let good = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    for index in good.indices {
      var bad = good
      bad[index] ^= 1
      _ = try folder.write(bad, to: "\(key).motco")
      #expect(cache.object(for: key) == nil, "byte \(index)")
      _ = try folder.write(Array(good[..<index]), to: "\(key).motco")
      #expect(cache.object(for: key) == nil, "cut at \(index)")
    }
    _ = try folder.write(good + [0], to: "\(key).motco")
    #expect(cache.object(for: key) == nil)
    #expect(messages.text.contains("damaged"))
    cache.store([4], for: key)
    #expect(cache.object(for: key) == [4])
  }

  @Test func foreignFilesAreMisses() throws {
    let folder = try TemporaryFolder()
    let cache = cache(folder.path)
    let (key, other) = (Digest(fields: [[1]]), Digest(fields: [[2]]))
    let path = folder.file("\(key).motco")
    cache.store([1], for: key)
    try FileManager.default.copyItem(atPath: path, toPath: folder.file("\(other).motco"))
    #expect(cache.object(for: other) == nil, "an entry of another key")
    chmod(path, 0o666)
    #expect(cache.object(for: key) == nil, "others may write to the file")
    unlink(path)
    symlink(folder.file("\(other).motco"), path)
    #expect(cache.object(for: key) == nil, "a symbolic link")
    unlink(path)
    mkfifo(path, 0o600)
    #expect(cache.object(for: key) == nil, "a pipe")
    cache.store([7], for: key)
    #expect(cache.object(for: key) == [7])
  }

  @Test func foldersOfOthersAreRefused() throws {
    let folder = try TemporaryFolder()
    let key = Digest(fields: [[1]])
    for mode in [0o777, 0o702, 0o720] as [mode_t] {
      chmod(folder.path, mode)
      cache(folder.path).store([1], for: key)
      #expect(try entries(folder.path).isEmpty)
      #expect(cache(folder.path).object(for: key) == nil)
    }
    #expect(messages.text.contains("others may write"))
    chmod(folder.path, 0o700)
    let file = try folder.write([1], to: "file")
    cache(file).store([1], for: key)
    #expect(cache(file).object(for: key) == nil)
  }

  @Test func aWarningIsSaidOnce() throws {
    let folder = try TemporaryFolder()
    chmod(folder.path, 0o777)
    let cache = cache(folder.path)
    for byte in 0..<3 as Range<UInt8> {
      cache.store([1], for: Digest(fields: [[byte]]))
      #expect(cache.object(for: Digest(fields: [[byte]])) == nil)
    }
    #expect(messages.text.split(separator: "\n").count == 1)
  }

  @Test func theOldestGoFirst() throws {
    let folder = try TemporaryFolder()
    let cache = cache(folder.path, limit: 3 * 1_100)
    let keys = (0..<5).map { Digest(fields: [[UInt8($0)]]) }
    for (index, key) in keys.prefix(3).enumerated() {
      cache.store([UInt8](repeating: 1, count: 1_000), for: key)
      let date = Date(timeIntervalSince1970: 1_000_000 + Double(index))
      try FileManager.default.setAttributes(
        [.modificationDate: date], ofItemAtPath: folder.file("\(key).motco"))
    }
    #expect(cache.object(for: keys[0]) != nil, "now the first is the last used")
    cache.store([UInt8](repeating: 1, count: 1_000), for: keys[3])
    #expect(cache.object(for: keys[1]) == nil)
    for kept in [0, 2, 3] { #expect(cache.object(for: keys[kept]) != nil) }
    cache.store([UInt8](repeating: 1, count: 10_000), for: keys[4])
    #expect(cache.object(for: keys[4]) == nil, "larger than the cache")
  }

  @Test func manyMayUseOneKey() throws {
    let folder = try TemporaryFolder()
    let cache = cache(folder.file("shared"))
    let key = Digest(fields: [[1]])
    let object = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let wrong = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 8) { _ in
      for _ in 0..<10 {
        cache.store(object, for: key)
        if cache.object(for: key) != object { wrong.add(1, ordering: .relaxed) }
      }
    }
    #expect(wrong.load(ordering: .relaxed) == 0)
    #expect(try entries(folder.file("shared")).count == 1)
    #expect(messages.text.isEmpty, "\(messages.text)")
  }

  @Test func theEnvironmentChooses() {
    func folder(_ environment: [String: String]) -> String? {
      ObjectCache(environment: environment, logger: logger).folder
    }
    #expect(folder(["MOTC_CACHE": "/a", "HOME": "/h"]) == "/a")
    #expect(folder(["MOTC_CACHE": "off", "HOME": "/h"]) == nil)
    #expect(folder(["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/motc")
    #expect(folder(["XDG_CACHE_HOME": "relative", "HOME": "/h"]) == "/h/.cache/motc")
    #expect(folder([:]) == nil)
    let off = cache(nil)
    off.store([1], for: Digest(fields: []))
    #expect(off.object(for: Digest(fields: [])) == nil)
  }
}
