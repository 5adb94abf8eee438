import Foundation
package import MoTIR

/// Evaluates specs: it runs them with Swift's interpreter, contained, and reads the IR they hand back.
///
/// What a spec hands back depends on its text, the sizes asked for, the compiler and MoTIR: a sandbox has no
/// files and no network. So it is kept in the cache under a digest of these, unless the spec printed
/// something or there is no sandbox, and the next evaluation runs no Swift.
package struct SpecEvaluator: Sendable {
  /// What the process may use.
  private let limits: SpecLimits
  /// What keeps it from the rest of the machine; found when it is needed if `nil`.
  private let containment: SpecContainment?
  /// Where models and compiled modules are kept.
  private let cache: ObjectCache?
  /// Whether a spec is run although its model is kept.
  private let isFresh: Bool
  /// Takes what the spec prints, for its author.
  private let forward: @Sendable (String) -> Void

  /// Creates an evaluator.
  ///
  /// - Parameters:
  ///   - cache: where models and compiled modules are kept; `nil` keeps nothing.
  ///   - isFresh: whether a spec is run although its model is kept, as one that asks for the time may want.
  ///   - print: takes what specs print to stdout; by default it goes to stderr.
  package init(
    limits: SpecLimits = SpecLimits(), containment: SpecContainment? = nil,
    cache: ObjectCache? = nil, isFresh: Bool = false,
    print: @escaping @Sendable (String) -> Void = {
      try? FileHandle.standardError.write(contentsOf: Data($0.utf8))
    }
  ) {
    self.limits = limits
    self.containment = containment
    self.cache = cache
    self.isFresh = isFresh
    self.forward = print
  }

  /// Returns the model that the spec at `path` declares, at concrete sizes.
  ///
  /// - Throws: `Diagnostics` with places in the spec.
  package func evaluate(path: String, sizes: SpecSizes) throws(Diagnostics) -> Module {
    let source: SpecSource
    let toolchain: SpecToolchain
    do throws(Diagnostic) {
      source = SpecSource(path: path, text: try SpecFile.read(path, limit: SpecFile.specBytes))
      toolchain = try SpecToolchain.found()
    } catch {
      throw Diagnostics([error])
    }
    let program = source.wrapped(sizes)
    let key = toolchain.identity.map { Digest(fields: [Array($0.utf8), Array(program.utf8)]) }
    let module: Module
    if let kept = kept(key, source) {
      module = kept
    } else {
      module = try run(program, of: source, toolchain, key)
    }
    try module.requireSizes(sizes, path: path)
    return module
  }

  /// Returns the model that is kept under `key`, if there is one.
  private func kept(_ key: Digest?, _ source: SpecSource) -> Module? {
    guard !isFresh, let key, let answer = cache?.object(for: key) else { return nil }
    return try? module(answer, source)
  }

  /// Returns the model that `program` hands back when it is run, and keeps it under `key`.
  private func run(
    _ program: String, of source: SpecSource, _ toolchain: SpecToolchain, _ key: Digest?
  ) throws(Diagnostics) -> Module {
    let interpreter = SpecInterpreter(
      toolchain: toolchain, containment: containment ?? .probed(), limits: limits)
    let process: ContainedProcess
    do throws(Diagnostic) {
      process = try interpreter.run(program, modules: modules(for: interpreter))
    } catch {
      throw Diagnostics([error])
    }
    let output = String(decoding: process.written[0], as: UTF8.self)
    if !output.isEmpty { forward(SpecFile.printable(output)) }
    let module = try result(of: process, source)
    if interpreter.containment.isSandbox, output.isEmpty, let key {
      cache?.store(process.written[2], for: key)
    }
    return module
  }

  /// Returns where `interpreter` finds compiled modules.
  private func modules(for interpreter: SpecInterpreter) -> SpecContainment.Modules {
    guard interpreter.containment.isSandbox, let cache,
      let modules = ModuleCache(for: interpreter.toolchain, in: cache),
      modules.fill(with: interpreter)
    else { return .none }
    return .copied(modules.folder)
  }

  /// Returns the module that the process handed back.
  private func result(
    of process: ContainedProcess, _ source: SpecSource
  ) throws(Diagnostics) -> Module {
    let errors = String(decoding: process.written[1], as: UTF8.self)
    switch process.ending {
    case .exited(0): return try module(process.written[2], source)
    case .timedOut: throw Diagnostics([.specTimedOut(limits.wall, at: source.start)])
    case .signalled(SIGXCPU), .exited(128 + SIGXCPU):
      throw Diagnostics([.specTimedOut(limits.processor, ofCore: true, at: source.start)])
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
/// - Parameter evaluator: what runs specs.
package func loadModule(
  path: String, sizes: SpecSizes = SpecSizes(), evaluator: SpecEvaluator = SpecEvaluator()
) throws(Diagnostics) -> Module {
  guard path.hasSuffix(".motir") else { return try evaluator.evaluate(path: path, sizes: sizes) }
  let text: String
  do throws(Diagnostic) {
    text = try SpecFile.read(path, limit: IRLimits.textBytes)
  } catch {
    throw Diagnostics([error])
  }
  let module = try Module.parse(text, file: path)
  try module.requireSizes(sizes, path: path)
  return module
}

extension Module {
  /// Checks that the module has the sizes that were asked for.
  fileprivate func requireSizes(_ sizes: SpecSizes, path: String) throws(Diagnostics) {
    let (batch, sequence) = (sizes.batch ?? batch, sizes.sequence ?? sequence)
    guard batch == self.batch, sequence == self.sequence else {
      throw Diagnostics([
        Diagnostic(
          "'\(SpecFile.shown(path))' holds the model at batch \(self.batch) and sequence \(self.sequence), not"
            + " at batch \(batch) and sequence \(sequence)",
          suggestion: "IR text has fixed sizes: leave --batch and --sequence out, or give the spec")
      ])
    }
    switch (sizes.context, context) {
    case (.none, _), (.ofModel, _?): return
    case (.slots(let wanted), let held?) where wanted == held: return
    case (let wanted, let held):
      let found = held.map { "a context of \($0) tokens" } ?? "no context, and no @decode"
      let wayOut =
        wanted == .ofModel ? "write it with motc compile --context" : "leave --context out"
      throw Diagnostics([
        Diagnostic(
          "'\(SpecFile.shown(path))' holds the model with \(found)",
          suggestion: "IR text has fixed sizes: \(wayOut), or give the spec")
      ])
    }
  }
}

/// At which sizes a model is wanted; its own where nothing is said.
package struct SpecSizes: Hashable, Sendable {
  /// Sequences in a batch.
  package var batch: Int?
  /// Tokens in a sequence.
  package var sequence: Int?
  /// Slots of the caches for generation.
  package var context: Model.Context

  /// Creates sizes.
  package init(batch: Int? = nil, sequence: Int? = nil, context: Model.Context = .none) {
    self.batch = batch
    self.sequence = sequence
    self.context = context
  }
}
