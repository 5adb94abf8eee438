import Foundation
import Glibc
import MoTIR

/// Compiled modules of the C library's headers, which every spec needs and the compiler takes most of its
/// time to make: made once, by a program of motc's own, and copied into each sandbox.
///
/// No spec can write to it. A copy is the spec's own, so the compiler may make anew what is stale there, and
/// what a hostile spec does to it ends with the sandbox. Before it is copied, the folder is checked against
/// its digest.
struct ModuleCache {
  /// All that is compiled for the cache; it imports what the module of MoTIR imports.
  private static let program = "import MoTIR\nimport Glibc\n"
  /// The file in the folder that holds the digest of the others.
  private static let digestName = "digest"
  /// Seconds after which what a filling process left is taken to be abandoned.
  private static let abandoned = 3600

  /// The folder of all caches.
  private let parent: String
  /// The name of this one.
  private let name: String

  /// The cache for the compiler and headers that `toolchain` uses, in the folder of `cache`; `nil` if that
  /// is off or others may write to it.
  init?(for toolchain: SpecToolchain, in cache: ObjectCache) {
    guard let compiler = fileIdentity(toolchain.frontend), let folder = cache.trustedFolder() else {
      return nil
    }
    let headers = fileIdentity("/usr/include/stdio.h") ?? "none"
    let key = Digest(fields: [compiler, toolchain.frontend, headers].map { Array($0.utf8) })
    parent = folder
    name = "modules-\(key.description.prefix(32))"
  }

  /// Where the modules are once they are made.
  var folder: String { "\(parent)/\(name)" }

  /// Makes the modules with `interpreter` unless they are there; `true` iff they are there now.
  func fill(with interpreter: SpecInterpreter) -> Bool {
    if isWhole { return true }
    removeAbandoned()
    let temporary = "\(folder).\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp"
    guard mkdir(temporary, 0o700) == 0 else { return false }
    defer { try? FileManager.default.removeItem(atPath: temporary) }
    guard let process = try? interpreter.run(Self.program, modules: .filled(temporary)),
      process.ending == .exited(0), let digest = digest(of: temporary),
      FileManager.default.createFile(
        atPath: "\(temporary)/\(Self.digestName)", contents: Data("\(digest)".utf8))
    else { return false }
    // Whole or not at all; where another process was first, its modules are as good.
    if rename(temporary, folder) == 0 || isWhole { return true }
    // What is there is damaged, and makes room.
    let damaged = "\(temporary).damaged.tmp"
    defer { try? FileManager.default.removeItem(atPath: damaged) }
    return rename(folder, damaged) == 0 && rename(temporary, folder) == 0
  }

  /// `true` iff the folder is there, is what was made, and nobody else may write to it.
  private var isWhole: Bool {
    var status = stat()
    guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
      status.st_uid == geteuid(), status.st_mode & (S_IWGRP | S_IWOTH) == 0,
      let kept = FileManager.default.contents(atPath: "\(folder)/\(Self.digestName)")
    else { return false }
    return digest(of: folder).map { Data("\($0)".utf8) } == kept
  }

  /// Returns the digest of the names and contents of the files in `folder`.
  private func digest(of folder: String) -> Digest? {
    guard let paths = try? FileManager.default.subpathsOfDirectory(atPath: folder) else {
      return nil
    }
    // A folder has no contents of its own.
    let fields = paths.sorted().filter { $0 != Self.digestName }.flatMap { path in
      FileManager.default.contents(atPath: "\(folder)/\(path)").map {
        [Array(path.utf8), Array($0)]
      } ?? []
    }
    return Digest(fields: fields)
  }

  /// Removes what processes left that died while they filled a cache.
  private func removeAbandoned() {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
    for name in names where name.hasPrefix("modules-") && name.hasSuffix(".tmp") {
      var status = stat()
      guard lstat("\(parent)/\(name)", &status) == 0,
        time(nil) - status.st_mtim.tv_sec > Self.abandoned
      else { continue }
      try? FileManager.default.removeItem(atPath: "\(parent)/\(name)")
    }
  }
}
