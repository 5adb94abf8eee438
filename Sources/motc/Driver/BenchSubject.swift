import Lowering
import MoTIR
import Runtime

/// How a model is compiled for a comparison.
enum BenchMode: String, CaseIterable {
  /// Every pass, and motc's own matrix products.
  case fused
  /// The graph as built, one kernel an op, matrix products by OpenBLAS.
  case unfused

  /// The option that asks for it.
  var fusion: Fusion { self == .fused ? .all : .none }
}

/// What is measured.
enum BenchTask: String, CaseIterable {
  /// Forward, backward and the optimizer's step.
  case train
  /// The forward pass alone.
  case forward
}

/// A model compiled in one mode, with weights and a batch in place.
final class BenchSubject {
  /// How it was compiled.
  let mode: BenchMode
  /// What it can do.
  let tasks: [BenchTask]
  private let model: CompiledModel
  private let forward: String
  private var step = 0
  /// Where the time of all runs goes, if someone wants to know.
  private(set) var profile: KernelProfile?

  /// Compiles, loads and runs everything once.
  ///
  /// - Throws: `Diagnostic` if the module can do none of the `wanted` tasks.
  init(
    _ mode: BenchMode, _ build: Build, _ tensors: [Tensor], _ batch: Batch, _ pool: ThreadPool,
    _ wanted: [BenchTask], profiles: Bool
  ) throws {
    let module = build.module
    let held = module.functions.map(\.name)
    let forward = ["logits", "loss"].first(where: held.contains)
    tasks = wanted.filter {
      $0 == .forward ? forward != nil : held.contains("gradients") || held.contains("loss")
    }
    guard !tasks.isEmpty else {
      throw Diagnostic(
        "'\(module.name)' has nothing to measure: training takes @loss or @gradients, the forward pass "
          + "@logits or @loss")
    }
    let trains = tasks.contains(.train)
    self.mode = mode
    self.forward = forward ?? "gradients"
    let names = (tasks.contains(.forward) ? [self.forward] : []) + (trains ? ["gradients"] : [])
    try check(batch, for: build.functions(names), of: module)
    model = try build.model(names, trains: trains, pool: pool)
    try model.load(tensors)
    model.setInputs(batch)
    try build.clock.measure("warm up \(mode.rawValue)") {
      for task in tasks { try run(task) }
    }
    if profiles { profile = KernelProfile() }
  }

  /// Matrix arithmetic of one run.
  func flops(_ task: BenchTask) -> Double {
    let entry = model.plan.entry(task == .train ? "gradients" : forward)
    return entry?.calls.reduce(0) { $0 + $1.flops } ?? 0
  }

  /// Returns the seconds that one run takes, as the mean of runs that take a third of a second together.
  func measure(_ task: BenchTask) throws -> Double {
    let start = ContinuousClock.now
    var count = 0.0
    var seconds = 0.0
    while seconds < 0.3 {
      try run(task)
      count += 1
      seconds = (ContinuousClock.now - start).seconds
    }
    return seconds / count
  }

  private func noteProfile() {
    if let timeline = model.timeline { profile?.add(timeline) }
  }

  private func run(_ task: BenchTask) throws {
    model.run(task == .train ? "gradients" : forward)
    noteProfile()
    guard task == .train else { return }
    step += 1
    defer { noteProfile() }
    if model.update(AdamW(rate: 1e-4), step: step).isRefused {
      throw Diagnostic("step \(step): the gradients of random tokens are not finite")
    }
  }
}

/// Measures the arithmetic peak of the machine.
final class PeakMeter {
  private let model: CompiledModel
  private let flops: Double

  /// Compiles the loop.
  init(_ options: CompileOptions, _ pool: ThreadPool) throws {
    (model, flops) = try CannotRun.unless {
      let probe = try PeakProbe(target: options.target, precision: options.precision)
      let model = try CompiledModel(
        plan: probe.plan, objects: [probe.object], scratchBytes: probe.scratchBytes, pool: pool)
      return (model, probe.flops * Double(pool.threads))
    }
    _ = measure()
  }

  /// Returns floating-point operations a second, all threads together, over as long a time as steps are
  /// measured: a CPU is faster in the first moments after a rest.
  func measure() -> Double {
    let start = ContinuousClock.now
    var count = 0.0
    var seconds = 0.0
    while seconds < 0.3 {
      model.run("peak")
      count += 1
      seconds = (ContinuousClock.now - start).seconds
    }
    return count * flops / seconds
  }
}

/// Returns the middle of `values`, which are not empty.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
