import Lowering
import MoTIR

/// The memory that a model takes, beside what the program itself does.
struct Memory: Encodable {
  /// Bytes while some functions run, by what they are for.
  struct Use: Encodable {
    let functions: [String]
    let parameters: Int
    let gradients: Int
    let moments: Int
    /// The forms of matrices that matmuls read.
    let packed: Int
    let arena: Int
    let caches: Int
    let inputs: Int
    let constants: Int
    /// Working memory of all threads.
    let scratch: Int
    let total: Int

    /// The parts with their names, the total last.
    static var parts: [(name: String, bytes: KeyPath<Use, Int>)] {
      [
        ("parameters", \.parameters), ("gradients", \.gradients), ("moments", \.moments),
        ("packed weights", \.packed), ("arena", \.arena), ("caches", \.caches),
        ("inputs", \.inputs), ("tables", \.constants), ("scratch", \.scratch), ("total", \.total),
      ]
    }

    /// Plans optimised functions of `build`.
    init(_ build: Build, _ functions: [Function], threads: Int) throws {
      self.functions = functions.map(\.name)
      let plan = try build.plan(functions)
      parameters = plan.bytes(of: .parameters)
      gradients = plan.memory(of: .gradients)
      moments = plan.memory(of: .firstMoments) + plan.memory(of: .secondMoments)
      packed = plan.bytes(of: .packed)
      arena = plan.bytes(of: .arena)
      caches = plan.bytes(of: .caches)
      inputs = plan.bytes(of: .inputs)
      constants = plan.bytes(of: .constants)
      scratch = try build.emit(plan).scratchBytes * threads
      total =
        parameters + gradients + moments + packed + arena + caches + inputs + constants + scratch
    }
  }

  /// A training step; `nil` without a loss.
  let training: Use?
  /// Generation where the module has a context, or else the logits of a batch; `nil` without either.
  let inference: Use?
  /// Keys and values that generation keeps of each token; `nil` without a forward function.
  let cacheBytesPerToken: Int?

  /// Finds the memory of a module.
  ///
  /// - Parameter main: its main function after the passes: the gradients if it has a loss.
  init(
    _ build: Build, main: [Function], cacheBytesPerToken: Int?, threads: Int
  ) throws {
    self.cacheBytesPerToken = cacheBytesPerToken
    let trains = main.contains { $0.name == "gradients" }
    training = trains ? try Use(build.withoutContext, main, threads: threads) : nil
    let wanted = build.module.context == nil ? ["logits"] : ["prefill", "decode"]
    let names = wanted.filter { build.module.function($0) != nil }
    if names.isEmpty {
      inference = trains ? nil : try Use(build, main, threads: threads)
    } else {
      let functions = try build.optimize(try build.functions(names))
      inference = try Use(build, functions, threads: threads)
    }
  }
}

extension Build {
  /// The build of a module that does not generate: training chooses its kernels without regard to it.
  fileprivate var withoutContext: Build {
    guard module.context != nil else { return self }
    let functions = module.functions.filter { !["prefill", "decode"].contains($0.name) }
    let trained = Module(
      name: module.name, batch: module.batch, sequence: module.sequence,
      modalities: module.modalities, parameters: module.parameters,
      objectives: module.objectives, functions: functions)
    return Build(trained, compiler.options, clock: clock)
  }
}
