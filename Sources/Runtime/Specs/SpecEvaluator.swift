import Foundation
package import MoTIR

/// Evaluates specs: it runs them with Swift's interpreter, contained, and reads the IR they hand back.
package struct SpecEvaluator: Sendable {
  /// What the process may use.
  private let limits: SpecLimits
  /// What keeps it from the rest of the machine.
  package let containment: SpecContainment
  /// Takes what the spec prints, for its author.
  private let forward: @Sendable (String) -> Void

  /// Creates an evaluator.
  ///
  /// - Parameter print: takes what specs print to stdout; by default it goes to stderr.
  package init(
    limits: SpecLimits = SpecLimits(), containment: SpecContainment = .probed(),
    print: @escaping @Sendable (String) -> Void = {
      try? FileHandle.standardError.write(contentsOf: Data($0.utf8))
    }
  ) {
    self.limits = limits
    self.containment = containment
    self.forward = print
  }

  /// Returns the model that the spec at `path` declares, at concrete sizes.
  ///
  /// - Parameters:
  ///   - batch: sequences in a batch; the spec's number by default.
  ///   - sequence: tokens in a sequence; the spec's number by default.
  /// - Throws: `Diagnostics` with places in the spec.
  package func evaluate(
    path: String, batch: Int?, sequence: Int?
  ) throws(Diagnostics) -> Module {
    let process: ContainedProcess
    let source: SpecSource
    do throws(Diagnostic) {
      source = SpecSource(path: path, text: try SpecFile.read(path, limit: SpecFile.specBytes))
      process = try run(source.wrapped(batch: batch, sequence: sequence))
    } catch {
      throw Diagnostics([error])
    }
    let output = String(decoding: process.written[0], as: UTF8.self)
    if !output.isEmpty { forward(SpecFile.printable(output)) }
    let module = try result(of: process, source)
    try module.requireSizes(batch: batch, sequence: sequence, path: path)
    return module
  }

  /// Runs the program `text` in the interpreter.
  private func run(_ text: String) throws(Diagnostic) -> ContainedProcess {
    let toolchain = try SpecToolchain.found()
    let input = try SpecFile.open(text)
    defer { close(input) }
    // Clang's modules of Swift's own headers are built here, for nothing but this run.
    var cache = "/tmp/modules"
    var temporary: String?
    defer { if let temporary { try? FileManager.default.removeItem(atPath: temporary) } }
    if case .limitsOnly = containment {
      let folder =
        FileManager.default.temporaryDirectory.path + "/motc-modules-\(UUID().uuidString)"
      (cache, temporary) = (folder, folder)
    }
    let command = [
      toolchain.frontend, "-interpret", "-swift-version", "6", "-suppress-warnings",
      "-diagnostic-style", "llvm", "-resource-dir", "\(toolchain.root)/lib/swift",
      "-module-cache-path", cache, "-I", toolchain.modules, "-L",
      toolchain.library.folderOfPath, "-lMoTIR", "-",
    ]
    let folders = [toolchain.root, toolchain.modules, toolchain.library]
    return try ContainedProcess(
      containment.command(command, folders: folders, limits: limits),
      environment: [
        "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "SWIFT_BACKTRACE=enable=no",
        "LD_LIBRARY_PATH=\(toolchain.libraryFolders.joined(separator: ":"))",
      ], input: input, limits: limits)
  }

  /// Returns the module that the process handed back.
  private func result(
    of process: ContainedProcess, _ source: SpecSource
  ) throws(Diagnostics) -> Module {
    let errors = String(decoding: process.written[1], as: UTF8.self)
    switch process.ending {
    case .exited(0): return try module(process.written[2], source)
    case .timedOut, .signalled(SIGXCPU), .exited(128 + SIGXCPU):
      throw Diagnostics([.specTimedOut(limits.wall, at: source.start)])
    case .wroteTooMuch(let descriptor):
      let limit = descriptor == 3 ? limits.answer : limits.output
      throw Diagnostics([.specWroteTooMuch(descriptor, limit, at: source.start)])
    case .signalled, .exited(128...): throw Diagnostics([source.crash(errors)])
    case .exited(let status):
      let found = source.compileErrors(errors)
      guard found.isEmpty else { throw Diagnostics(found) }
      throw Diagnostics([.specExited(status, errors, at: source.start)])
    }
  }

  /// Returns the module that `bytes`, written by a process of unknown intent, describe.
  private func module(_ bytes: [UInt8], _ source: SpecSource) throws(Diagnostics) -> Module {
    guard !bytes.isEmpty else { throw Diagnostics([.specEndedEarly(at: source.start)]) }
    guard let text = String(validating: bytes, as: UTF8.self), let answer = SpecAnswer(text) else {
      throw Diagnostics([.specAnswersGarbage(at: source.start)])
    }
    switch answer {
    case .errors(let errors): throw Diagnostics(errors.map(source.placed))
    case .module(let text):
      do {
        return try Module.parse(text, file: source.path)
      } catch {
        let first = error.all.first.map { SpecFile.shown($0.message) } ?? "unknown"
        throw Diagnostics([.specAnswersNoModel(first, at: source.start)])
      }
    }
  }
}

/// Returns the model in the file at `path`: IR text (`.motir`), which is read, or a spec, which is run.
///
/// - Parameters:
///   - batch: sequences in a batch; the file's number by default.
///   - sequence: tokens in a sequence; the file's number by default.
package func loadModule(
  path: String, batch: Int? = nil, sequence: Int? = nil
) throws(Diagnostics) -> Module {
  guard path.hasSuffix(".motir") else {
    return try SpecEvaluator().evaluate(path: path, batch: batch, sequence: sequence)
  }
  let text: String
  do throws(Diagnostic) {
    text = try SpecFile.read(path, limit: IRLimits.textBytes)
  } catch {
    throw Diagnostics([error])
  }
  let module = try Module.parse(text, file: path)
  try module.requireSizes(batch: batch, sequence: sequence, path: path)
  return module
}

extension Module {
  /// Checks that the module has the sizes that were asked for.
  fileprivate func requireSizes(
    batch wantedBatch: Int?, sequence wantedSequence: Int?, path: String
  ) throws(Diagnostics) {
    guard wantedBatch ?? batch == batch, wantedSequence ?? sequence == sequence else {
      throw Diagnostics([
        Diagnostic(
          "'\(SpecFile.shown(path))' holds the model at batch \(batch) and sequence \(sequence), not at"
            + " batch \(wantedBatch ?? batch) and sequence \(wantedSequence ?? sequence)",
          suggestion: "IR text has fixed sizes: leave --batch and --sequence out, or give the spec")
      ])
    }
  }
}
