internal import Glibc
package import Logging
internal import Synchronization

/// Machine code and models of specs on disk, found by a digest of everything they were made from.
///
/// What is in the folder gets executed, so it must be ours alone to write, and every file is checked
/// against its own digest when read. A cache never fails a compile: what goes wrong is a miss and a
/// message in the log. Processes may share a folder: files appear whole, by renaming.
package struct ObjectCache: Sendable {
  /// The folder, or `nil` for a cache that is off.
  package let folder: String?
  /// The most bytes that the files may take together; the least recently used go first.
  package let limit: Int
  private let logger: Logger
  /// What was logged: each message once, however often the folder is asked.
  private let said = Said()

  /// Messages that were logged.
  private final class Said: Sendable {
    private let messages = Mutex<Set<String>>([])

    /// `true` iff `message` was not logged before.
    func isNew(_ message: String) -> Bool { messages.withLock { $0.insert(message).inserted } }
  }

  /// Creates the cache in `folder`; `nil` turns it off.
  package init(folder: String?, limit: Int = 1 << 30, logger: Logger) {
    self.folder = folder
    self.limit = limit
    self.logger = logger
  }

  /// Creates the cache that `environment` asks for: the folder `MOTC_CACHE`, which is `off` for none,
  /// else `motc` in `XDG_CACHE_HOME` or in `~/.cache`.
  package init(environment: [String: String], logger: Logger) {
    self.init(folder: Self.folder(environment), logger: logger)
  }

  /// Returns the folder that `environment` asks for.
  private static func folder(_ environment: [String: String]) -> String? {
    if let path = environment["MOTC_CACHE"], !path.isEmpty { return path == "off" ? nil : path }
    // The specification of the base folders says to ignore relative ones.
    if let base = environment["XDG_CACHE_HOME"], base.hasPrefix("/") { return "\(base)/motc" }
    if let home = environment["HOME"], home.hasPrefix("/") { return "\(home)/.cache/motc" }
    return nil
  }

  /// Returns the object stored under `key`, or `nil` if there is none that can be trusted.
  package func object(for key: Digest) -> [UInt8]? {
    guard let folder = openFolder(creating: false) else { return nil }
    defer { close(folder) }
    let name = fileName(key)
    let file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard file >= 0 else {
      if errno != ENOENT { report("cannot open \(name)") }
      return nil
    }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, isOurs(status) else {
      warn("\(name) is not a file of this user, so it is not used")
      return nil
    }
    guard status.st_size <= limit, let bytes = readAll(file, count: Int(status.st_size)),
      let object = CacheEntry.object(in: bytes, key: key)
    else {
      warn("\(name) is damaged, so it is made again")
      return nil
    }
    // Marks the file as used, so that others are evicted before it.
    futimens(file, nil)
    return object
  }

  /// Stores `object` under `key`, in place of what is there.
  package func store(_ object: [UInt8], for key: Digest) {
    let entry = CacheEntry.bytes(of: object, key: key)
    guard entry.count <= limit, let folder = openFolder(creating: true) else { return }
    defer { close(folder) }
    let name = fileName(key)
    let temporary = "\(name).\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp"
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
    let file = openat(folder, temporary, flags, 0o600)
    guard file >= 0 else { return report("cannot create \(temporary)") }
    defer { close(file) }
    guard entry.withUnsafeBytes({ writeAll($0, to: file) }), fsync(file) == 0,
      renameat(folder, temporary, folder, name) == 0
    else {
      report("cannot write \(name)")
      unlinkat(folder, temporary, 0)
      return
    }
    CacheEviction(folder: folder, limit: limit).run(keeping: name)
  }

  /// Returns the folder, created if need be, for what else is kept there; `nil` if the cache is off, or
  /// others may write to the folder.
  func trustedFolder() -> String? {
    guard let descriptor = openFolder(creating: true) else { return nil }
    close(descriptor)
    return folder
  }

  /// Returns the name of the file for `key`.
  private func fileName(_ key: Digest) -> String { "\(key)\(CacheEntry.suffix)" }

  /// Logs that `action` failed, with the system's reason.
  private func report(_ action: String) {
    warn("\(action): \(String(cString: strerror(errno)))")
  }

  private func warn(_ message: String) {
    if said.isNew(message) { logger.warning("object cache: \(message)") }
  }

  /// Opens the folder if nobody else may write to it.
  private func openFolder(creating: Bool) -> Int32? {
    guard let folder else { return nil }
    if creating { createFolders(folder) }
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if creating || errno != ENOENT { report("cannot open \(folder)") }
      return nil
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, isOurs(status) else {
      close(descriptor)
      warn("others may write to \(folder), so it is not used; try chmod 700 \(folder)")
      return nil
    }
    return descriptor
  }

  /// Creates the folder and those around it, for this user only. A failure shows when it is opened.
  private func createFolders(_ folder: String) {
    for index in folder.indices.dropFirst() where folder[index] == "/" {
      mkdir(String(folder[..<index]), 0o700)
    }
    mkdir(folder, 0o700)
  }

  /// `true` iff this user owns the file and nobody else may write to it.
  private func isOurs(_ status: stat) -> Bool {
    status.st_uid == geteuid() && status.st_mode & (S_IWGRP | S_IWOTH) == 0
  }
}
