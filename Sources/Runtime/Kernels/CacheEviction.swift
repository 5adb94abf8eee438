internal import Glibc

/// Keeps the object cache's folder below its limit.
struct CacheEviction {
  /// The folder, open.
  let folder: Int32
  /// The most bytes that the entries may take together.
  let limit: Int

  /// A file in the folder.
  private struct File {
    let name: String
    let size: Int
    let used: Int
  }

  /// Removes entries, the least recently used first, until the rest fits; never the one called `kept`.
  /// Temporary files of processes that died are removed too.
  func run(keeping kept: String) {
    let now = time(nil)
    var entries: [File] = []
    for file in files() {
      if file.name.hasSuffix(CacheEntry.suffix) {
        entries.append(file)
      } else if file.name.contains("\(CacheEntry.suffix)."), file.name.hasSuffix(".tmp"),
        now - file.used > 3600
      {
        unlinkat(folder, file.name, 0)
      }
    }
    var total = entries.reduce(0) { $0 + $1.size }
    for entry in entries.sorted(by: { ($0.used, $0.name) < ($1.used, $1.name) })
    where total > limit && entry.name != kept {
      unlinkat(folder, entry.name, 0)
      total -= entry.size
    }
  }

  /// Returns the regular files in the folder.
  private func files() -> [File] {
    // The stream owns its descriptor and its position, so it gets one of its own.
    let copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0 else { return [] }
    guard let stream = fdopendir(copy) else {
      close(copy)
      return []
    }
    defer { closedir(stream) }
    var files: [File] = []
    while let item = readdir(stream) {
      let name = withUnsafePointer(to: &item.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      var status = stat()
      guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0,
        status.st_mode & S_IFMT == S_IFREG
      else { continue }
      files.append(File(name: name, size: Int(status.st_size), used: status.st_mtim.tv_sec))
    }
    return files
  }
}
