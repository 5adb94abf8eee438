public import ArgumentParser
import Lowering
public import MoTIR
import Runtime

extension Precision: ExpressibleByArgument {}

extension CompletionKind {
  /// Files that describe models.
  static let model = CompletionKind.file(extensions: ["swift-spec", "motir"])
}

/// Which model, and at what sizes.
struct ModelArguments: ParsableArguments {
  @Argument(
    help: ArgumentHelp("The model: a .swift-spec or .motir file.", valueName: "spec"),
    completion: .model)
  var spec: String

  @Option(help: "Sequences in a batch, in place of the spec's number.")
  var batch: Int?

  @Option(help: "Tokens in a sequence, in place of the spec's number.")
  var sequence: Int?

  @Option(
    help: "Tokens of a sequence that @prefill and @decode keep, in place of the spec's number.")
  var context: Int?

  @Flag(help: "Run the spec even if its model is kept, as for one that asks for the time.")
  var fresh = false

  func validate() throws {
    for (name, value) in [
      ("--batch", batch), ("--sequence", sequence), ("--context", context),
    ] {
      guard let value, value < 1 else { continue }
      throw ValidationError("\(name) is at least 1, not \(value)")
    }
  }

  /// Returns the module that the file describes.
  ///
  /// - Parameters:
  ///   - other: a file in place of the argument's.
  ///   - batch: sequences in a batch where neither option nor IR text says.
  ///   - sequence: tokens in a sequence, likewise.
  ///   - context: what is kept for generation, likewise.
  func load(
    _ clock: StageClock, other: String? = nil, batch: Int? = nil, sequence: Int? = nil,
    context: Model.Context = .none
  ) throws -> Module {
    let spec = other ?? spec
    let isText = spec.hasSuffix(".motir")
    if !isText {
      do { _ = try SpecToolchain.found() } catch { throw CannotRun(error) }
    }
    return try clock.measure(isText ? "parse" : "evaluate") {
      let sizes = SpecSizes(
        batch: self.batch ?? (isText ? nil : batch),
        sequence: self.sequence ?? (isText ? nil : sequence),
        context: self.context.map(Model.Context.slots) ?? context)
      return try loadModule(
        path: spec, sizes: sizes,
        evaluator: SpecEvaluator(cache: objectCache, isFresh: fresh))
    }
  }
}

/// Which passes run.
enum Fusion: String, ExpressibleByArgument, CaseIterable {
  /// All passes, and motc's own matrix products.
  case all
  /// No pass, and OpenBLAS.
  case none
}

/// How a model is compiled.
struct CompileArguments: ParsableArguments {
  @Option(
    help: "all: every pass; none: the graph as built, one kernel an op, matmuls by OpenBLAS.")
  var fuse = Fusion.all

  @Option(
    help: ArgumentHelp(
      "Leave a pass out; repeat it, or separate names by commas (motc opt --list-passes).",
      valueName: "pass"))
  var disable: [String] = []

  @Option(help: "How matmul operands are held.")
  var precision = Precision.f32

  @Option(
    name: .customLong("target-cpu"),
    help: ArgumentHelp("native, x86-64-v2, x86-64-v3 or x86-64-v4.", valueName: "cpu"))
  var targetCPU = "native"

  func validate() throws {
    do throws(Diagnostic) {
      try Switch.check(disabledNames)
      _ = try TargetDescription(named: targetName)
    } catch {
      throw ValidationError(usage: error)
    }
  }

  private var targetName: String {
    targetCPU.hasPrefix("v") ? "x86-64-\(targetCPU)" : targetCPU
  }

  /// The names that `--disable` gave.
  var disabledNames: [String] { disable.flatMap(names) }

  /// Returns how to compile.
  ///
  /// - Parameters:
  ///   - fuse: in place of the option's value.
  ///   - more: what to leave out besides.
  func options(fuse: Fusion? = nil, without more: [Switch] = []) throws -> CompileOptions {
    let all = (fuse ?? self.fuse) == .none ? Switch.all : more
    return CompileOptions(
      disabled: Set(disabledNames + all.map(\.name)), precision: precision,
      target: try TargetDescription(named: targetName))
  }

  /// Returns how to compile code that is to run here.
  ///
  /// - Throws: `CannotRun` if this machine cannot execute it.
  func optionsToRun(fuse: Fusion? = nil, without more: [Switch] = []) throws -> CompileOptions {
    let options = try options(fuse: fuse, without: more)
    guard options.target.runsHere else {
      throw CannotRun(
        Diagnostic(
          "this machine cannot execute code for \(targetName)",
          suggestion: "leave --target-cpu out; motc compile --emit asm works for any level"))
    }
    return options
  }
}

/// How a compiled model is executed.
struct ExecutionArguments: ParsableArguments {
  @Option(help: "Threads; by default as many as this process may use.")
  var threads: Int?

  func validate() throws {
    guard let threads, !(1...1024).contains(threads) else { return }
    throw ValidationError("--threads is 1 to 1024, not \(threads)")
  }

  /// Creates the threads.
  func makePool() -> ThreadPool { ThreadPool(threads: threads) }
}

/// What a process that executes tells of itself.
struct ReportArguments: ParsableArguments {
  @Flag(help: "Print the time of each stage to stderr.")
  var time = false

  @Flag(
    name: .customLong("perf-map"),
    help: "Tell Linux's perf the names of kernels, in /tmp/perf-PID.map.")
  var perfMap = false
}

/// Returns the names in a list that is separated by commas.
func names(in list: String) -> [String] {
  list.split(separator: ",").map { String($0).trimming(" ") }.filter { !$0.isEmpty }
}

extension String {
  /// Returns the text without `character` at its ends.
  fileprivate func trimming(_ character: Character) -> String {
    let start = drop { $0 == character }
    return String(start.reversed().drop { $0 == character }.reversed())
  }
}

extension ValidationError {
  /// Creates an error of usage that says what `diagnostic` says.
  init(usage diagnostic: Diagnostic) {
    self.init(diagnostic.message + (diagnostic.suggestion.map { "; \($0)" } ?? ""))
  }
}
