import Foundation

/// How much memory a model was planned to have, and how much there is.
struct MemoryUse: Encodable {
  /// Bytes of the plan's regions and of all threads' scratch memory.
  let planned: Int
  /// Bytes by which the process has grown by building, loading and running the model once.
  let grown: Int
  /// The most bytes that the process has had by then, with the program and the weights it loaded from.
  let most: Int

  /// `nil` where the system does not tell.
  init?(planned: Int, since before: ProcessMemory?) {
    guard let before, let now = ProcessMemory.now else { return nil }
    self.planned = planned
    grown = now.resident - before.resident
    most = now.most
  }
}

/// The memory of this process, as Linux tells it.
struct ProcessMemory {
  /// Bytes in memory.
  let resident: Int
  /// The most that there have been.
  let most: Int

  /// The present state; `nil` where there is no `/proc`.
  static var now: ProcessMemory? {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
      return nil
    }
    func bytes(_ name: String) -> Int? {
      let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
      return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
        .map { $0 << 10 }
    }
    guard let resident = bytes("VmRSS"), let most = bytes("VmHWM") else { return nil }
    return ProcessMemory(resident: resident, most: most)
  }
}
