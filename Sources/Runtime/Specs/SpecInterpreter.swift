import Foundation
import MoTIR

/// Swift's interpreter in a process of its own, as specs and nothing else are run.
struct SpecInterpreter {
  /// The compiler and the module of MoTIR.
  let toolchain: SpecToolchain
  /// What keeps the process from the rest of the machine.
  let containment: SpecContainment
  /// What it may use.
  let limits: SpecLimits

  /// Runs the program `text`.
  ///
  /// - Parameter modules: where compiled modules of C headers come from.
  /// - Throws: `Diagnostic` if the process cannot be started.
  func run(
    _ text: String, modules: SpecContainment.Modules = .none
  ) throws(Diagnostic) -> ContainedProcess {
    let input = try SpecFile.open(text)
    defer { close(input) }
    // Compiled modules hold the path at which they were made, so in the sandbox it is always this one.
    var folder = SpecContainment.modulesFolder
    var temporary: String?
    defer { if let temporary { try? FileManager.default.removeItem(atPath: temporary) } }
    if case .limitsOnly = containment {
      folder = FileManager.default.temporaryDirectory.path + "/motc-modules-\(UUID().uuidString)"
      temporary = folder
    }
    let command = [
      toolchain.frontend, "-interpret", "-swift-version", "6", "-suppress-warnings",
      "-diagnostic-style", "llvm", "-resource-dir", "\(toolchain.root)/lib/swift",
      "-module-cache-path", folder, "-I", toolchain.modules, "-L",
      toolchain.library.folderOfPath, "-lMoTIR", "-",
    ]
    let folders = [toolchain.root, toolchain.modules, toolchain.library]
    return try ContainedProcess(
      containment.command(command, folders: folders, limits: limits, modules: modules),
      environment: [
        "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "SWIFT_BACKTRACE=enable=no",
        "LD_LIBRARY_PATH=\(toolchain.libraryFolders.joined(separator: ":"))",
      ], input: input, limits: limits)
  }
}
