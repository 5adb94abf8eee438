import Foundation
import MoTIR

/// What keeps a spec from the rest of the machine while it is evaluated.
package enum SpecContainment: Hashable, Sendable {
  /// bubblewrap at this path: no network, no files but the toolchain and libraries, all read-only.
  case bubblewrap(String)
  /// Limits of time, memory and output alone, for this reason.
  case limitsOnly(String)

  /// Where a sandboxed process finds compiled modules of C headers.
  enum Modules: Hashable {
    /// Nowhere: it makes its own.
    case none
    /// In a copy of this folder, which is the process's own.
    case copied(String)
    /// In this folder, which it fills; for programs of motc alone.
    case filled(String)
  }

  /// The folder of compiled modules in a sandbox.
  static let modulesFolder = "/tmp/modules"
  /// What is copied there, in a sandbox.
  private static let keptFolder = "/tmp/kept"

  /// `true` iff a process has no files of the user and no network.
  package var isSandbox: Bool { if case .bubblewrap = self { true } else { false } }

  /// Returns the best that works here, found by trying it.
  package static func probed() -> SpecContainment {
    guard let path = Executables.find("bwrap") else {
      return .limitsOnly("bubblewrap is not installed")
    }
    let command = [path] + sandbox(folders: []) + ["--", "/usr/bin/true"]
    guard let input = try? SpecFile.openNull() else { return .limitsOnly("no /dev/null") }
    defer { close(input) }
    let trial = try? ContainedProcess(
      command, environment: [], input: input, limits: SpecLimits(wall: .seconds(5)))
    guard let trial, trial.ending == .exited(0) else {
      let reason = trial.map { String(decoding: $0.written[1].prefix(200), as: UTF8.self) } ?? ""
      let line = reason.split(separator: "\n").first.map { ": \($0)" } ?? ""
      return .limitsOnly("bubblewrap does not run here\(line)")
    }
    return .bubblewrap(path)
  }

  /// One line for a person.
  package var summary: String {
    switch self {
    case .bubblewrap(let path): "bubblewrap (\(path)) and limits of time, memory and output"
    case .limitsOnly(let reason): "limits of time, memory and output only: \(reason)"
    }
  }

  /// Returns the command that runs `command` contained, seeing only `folders` and the system's.
  func command(
    _ command: [String], folders: [String], limits: SpecLimits, modules: Modules = .none
  ) -> [String] {
    let seconds = limits.processor.components.seconds
    // The shell's own limits need no other program. File sizes are in blocks of 512 bytes. At the soft limit of time
    // the signal says why, at the hard one it cannot be ignored.
    let script =
      "ulimit -c 0; ulimit -v \(limits.memory >> 10) && ulimit -S -t \(seconds)"
      + " && ulimit -H -t \(seconds + 1) && ulimit -n 256 && ulimit -f \(32 << 11) && exec \"$@\""
    let shell = ["/bin/sh", "-c", script, "sh"]
    switch self {
    case .bubblewrap(let path):
      return shell + [path] + Self.sandbox(folders: folders, modules) + ["--"]
        + Self.copying(modules) + command
    case .limitsOnly: return shell + command
    }
  }

  /// Returns bubblewrap's arguments for a view of the system that has `folders` and no home.
  private static func sandbox(folders: [String], _ modules: Modules = .none) -> [String] {
    var arguments = ["--unshare-all", "--die-with-parent", "--new-session"]
    arguments += ["--ro-bind", "/usr", "/usr"]
    for folder in ["/lib", "/lib64", "/bin"] { arguments += ["--ro-bind-try", folder, folder] }
    // No /dev/shm and no /proc: nothing that grows, nothing about other processes.
    for device in ["/dev/null", "/dev/urandom"] { arguments += ["--dev-bind", device, device] }
    arguments += ["--size", "\(64 << 20)", "--tmpfs", "/tmp"]
    for folder in folders where !folder.hasPrefix("/usr/") {
      arguments += ["--ro-bind", folder, folder]
    }
    switch modules {
    case .none: break
    case .copied(let folder): arguments += ["--ro-bind", folder, keptFolder]
    case .filled(let folder): arguments += ["--bind", folder, modulesFolder]
    }
    return arguments + ["--remount-ro", "/", "--chdir", "/tmp"]
  }

  /// Returns what stands before a command in the sandbox, to give it its copy of `modules`. Times are kept:
  /// the compiler takes a newer module for a changed one. If the copy fails, it makes its own.
  private static func copying(_ modules: Modules) -> [String] {
    guard case .copied = modules else { return [] }
    let script = "cp -rp \(keptFolder) \(modulesFolder) 2>/dev/null; exec \"$@\""
    return ["/bin/sh", "-c", script, "sh"]
  }
}
