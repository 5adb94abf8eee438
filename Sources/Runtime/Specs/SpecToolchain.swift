import Foundation
package import MoTIR

/// Programs on the search path.
package enum Executables {
  /// Returns the path of the program `name`, or `nil` if no folder of PATH has it.
  package static func find(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first {
      $0.hasPrefix("/") && FileManager.default.isExecutableFile(atPath: $0)
    }
  }
}

/// What evaluates specs: Swift's compiler, and the MoTIR module and library that specs import.
package struct SpecToolchain: Hashable, Sendable {
  /// The path of `swift-frontend`.
  package let frontend: String
  /// The folder of the toolchain, which holds `bin` and `lib`.
  package let root: String
  /// The folder that holds `MoTIR.swiftmodule`.
  package let modules: String
  /// The path of the library of MoTIR.
  package let library: String

  /// Finds the toolchain on PATH, and the module beside the executable or in the folder MOTC_MODULES.
  ///
  /// - Throws: `Diagnostic` that says what is missing and where it was looked for.
  package static func found() throws(Diagnostic) -> SpecToolchain {
    guard let frontend = findFrontend() else {
      throw Diagnostic(
        "evaluating a spec needs Swift's compiler, and PATH has no swift-frontend",
        suggestion: "install Swift 6.2 or later, or give the model as IR text (.motir)")
    }
    let bin = frontend.folderOfPath
    let folders = moduleFolders()
    for folder in folders {
      guard let (modules, library) = module(in: folder) else { continue }
      return SpecToolchain(
        frontend: frontend, root: bin.folderOfPath, modules: modules,
        library: library)
    }
    throw Diagnostic(
      "found no MoTIR.swiftmodule with libMoTIR.so in \(folders.joined(separator: ", "))",
      suggestion: "build all products, or set MOTC_MODULES to the folder that holds them")
  }

  /// The folders of the compiler's own libraries.
  var libraryFolders: [String] { ["\(root)/lib/swift/linux", "\(root)/lib/swift/host/compiler"] }

  /// What tells this toolchain and this build of MoTIR from others; `nil` if a file has gone.
  var identity: String? {
    let paths = [frontend, "\(modules)/MoTIR.swiftmodule", library]
    let identities = paths.compactMap(fileIdentity)
    guard identities.count == paths.count else { return nil }
    return zip(paths, identities).map { "\($0) \($1)" }.joined(separator: "\n")
  }

  /// Returns the path of swift-frontend on PATH or beside swift, links resolved.
  private static func findFrontend() -> String? {
    if let path = Executables.find("swift-frontend") { return resolved(path) }
    guard let swift = Executables.find("swift") else { return nil }
    let bin = resolved(swift).folderOfPath
    let path = "\(bin)/swift-frontend"
    return FileManager.default.isExecutableFile(atPath: path) ? resolved(path) : nil
  }

  /// Returns the folders that may hold the module: a checkout's build folder, or an installation's.
  private static func moduleFolders() -> [String] {
    if let folder = ProcessInfo.processInfo.environment["MOTC_MODULES"] { return [folder] }
    let folder = resolved("/proc/self/exe").folderOfPath
    let above = folder.folderOfPath
    return [folder, "\(above)/lib/motc"]
  }

  /// Returns module folder and library in `folder`, or `nil` if one of them is missing.
  private static func module(in folder: String) -> (modules: String, library: String)? {
    let library = "\(folder)/libMoTIR.so"
    guard FileManager.default.fileExists(atPath: library) else { return nil }
    return [folder, "\(folder)/Modules"].first {
      FileManager.default.fileExists(atPath: "\($0)/MoTIR.swiftmodule")
    }.map { (resolved($0), resolved(library)) }
  }

  /// Returns `path` with links resolved.
  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}
