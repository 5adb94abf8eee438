import Dispatch
import Foundation
import Logging
import MoTIR
import Runtime
import Synchronization
import Testing

/// `true` iff specs are evaluated in a sandbox here.
private let isSandboxed = SpecContainment.probed().isSandbox

/// What is kept of specs, and that no spec can spoil it for others.
@Suite(.serialized, .enabled(if: isSandboxed, "nothing is kept without a sandbox"))
struct SpecCacheTests {
  private static let limits = SpecLimits(processor: .seconds(60), memory: 1 << 30)
  private let folder: TemporaryFolder
  private let cache: ObjectCache

  init() throws {
    folder = try TemporaryFolder()
    cache = ObjectCache(folder: folder.file("cache"), logger: Logger(label: "test"))
  }

  /// Returns a spec whose model has the name that the Swift text `name` yields.
  private func spec(name: String, before: String = "") -> String {
    """
    import Glibc
    import MoTIR
    \(before)
    let text = Modality("text", vocabulary: 0..<258)
    let model = Model(\(name), modalities: [text], width: 16, batch: 2, sequence: 8) {
      Embedding()
      Head()
    } objectives: {
      NextToken(on: text)
    }

    """
  }

  /// A spec that is different whenever it runs.
  private var dice: String { spec(name: "\"m\\(UInt64.random(in: 0...UInt64.max))\"") }

  private func evaluate(
    _ text: String, isFresh: Bool = false, batch: Int? = nil, containment: SpecContainment? = nil
  ) throws -> Module {
    let path = try folder.write(Array(text.utf8), to: "a.swift-spec")
    let evaluator = SpecEvaluator(
      limits: Self.limits, containment: containment, cache: cache, isFresh: isFresh,
      print: { _ in })
    return try evaluator.evaluate(path: path, sizes: SpecSizes(batch: batch))
  }

  /// The files of the cache, by path, with what they hold.
  private func files(_ suffix: String) throws -> [String: Data] {
    let root = folder.file("cache")
    let paths = try FileManager.default.subpathsOfDirectory(atPath: root)
    return Dictionary(
      uniqueKeysWithValues: try paths.filter { $0.hasSuffix(suffix) }.map {
        ($0, try Data(contentsOf: URL(fileURLWithPath: "\(root)/\($0)")))
      })
  }

  @Test func aKeptModelIsNotRunAgain() throws {
    let first = try evaluate(dice)
    #expect(try evaluate(dice) == first)
    let other = try evaluate(dice, batch: 3)
    #expect(other.name != first.name, "other sizes are another model")
    #expect(other.batch == 3)
    #expect(try evaluate(dice + "// another text\n").name != first.name)
    let fresh = try evaluate(dice, isFresh: true)
    #expect(fresh.name != first.name)
    #expect(try evaluate(dice) == fresh, "the latest is kept")
  }

  @Test func whatPrintsOrSeesFilesIsRunAgain() throws {
    let loud = dice + "print(\"hello\")\n"
    #expect(try evaluate(loud).name != evaluate(loud).name)
    let open = SpecContainment.limitsOnly("a test")
    #expect(
      try evaluate(dice, containment: open).name != evaluate(dice, containment: open).name)
    #expect(try files(".motco").isEmpty)
  }

  @Test func errorsAreNotKept() throws {
    let wrong = spec(name: "3")
    for _ in 0..<2 { #expect(throws: Diagnostics.self) { try evaluate(wrong) } }
    #expect(try files(".motco").isEmpty)
  }

  @Test func damagedModelsAreMadeAgain() throws {
    let first = try evaluate(dice)
    let path = try #require(try files(".motco").keys.first)
    var bytes = Array(try #require(try files(".motco")[path]))
    bytes[bytes.count / 2] ^= 1
    _ = try folder.write(bytes, to: "cache/\(path)")
    let second = try evaluate(dice)
    #expect(second.name != first.name)
    #expect(try evaluate(dice) == second)
  }

  @Test func noSpecChangesWhatIsKept() throws {
    let good = try evaluate(dice)
    let (models, modules) = (try files(".motco"), try files(".pcm"))
    #expect(!modules.isEmpty)
    let attack = """
      func spoil(_ path: String) {
        if let folder = opendir(path) {
          while let item = readdir(folder) {
            let name = withUnsafePointer(to: &item.pointee.d_name) {
              $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { spoil(path + "/" + name) }
          }
          closedir(folder)
          close(open(path + "/more", O_CREAT | O_WRONLY, 0o600))
        } else {
          // What is cut off under the compiler's hands would crash it.
          let file = open(path, O_WRONLY | O_APPEND)
          if file >= 0 { write(file, "spoiled", 7); close(file) }
          unlink(path)
        }
      }
      for path in ["/tmp", "\(folder.path)"] { spoil(path) }
      precondition(access("/tmp/kept/more", F_OK) != 0, "writes to what is kept")
      """
    let hostile = spec(name: "\"hostile\"", before: attack)
    #expect(try evaluate(hostile).name == "hostile")
    #expect(try files(".pcm") == modules)
    let kept = try files(".motco")
    #expect(models.allSatisfy { kept[$0.key] == $0.value })
    #expect(kept.count == models.count + 1)
    #expect(try evaluate(dice) == good)
    #expect(try evaluate(spec(name: "\"after\"")).name == "after")
  }

  @Test func damagedModulesAreMadeAnew() throws {
    _ = try evaluate(spec(name: "\"first\""))
    for path in try files(".pcm").keys { _ = try folder.write([1, 2, 3], to: "cache/\(path)") }
    #expect(try evaluate(spec(name: "\"second\"")).name == "second")
  }

  @Test func manyMayFillIt() throws {
    let path = try folder.write(Array(spec(name: "\"many\"").utf8), to: "many.swift-spec")
    let good = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { [cache] index in
      let evaluator = SpecEvaluator(limits: Self.limits, cache: cache, print: { _ in })
      let module = try? evaluator.evaluate(path: path, sizes: SpecSizes(batch: index + 1))
      if module?.batch == index + 1 { good.add(1, ordering: .relaxed) }
    }
    #expect(good.load(ordering: .relaxed) == 4)
    #expect(try files(".tmp").isEmpty)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.file("cache"))
    #expect(names.count { $0.hasPrefix("modules-") } == 1)
    #expect(names.count { $0.hasSuffix(".motco") } == 4)
  }

  @Test func aFolderOfOthersIsNotUsed() throws {
    let path = folder.file("cache")
    mkdir(path, 0o777)
    chmod(path, 0o777)
    #expect(try evaluate(spec(name: "\"open\"")).name == "open")
    #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
  }
}
