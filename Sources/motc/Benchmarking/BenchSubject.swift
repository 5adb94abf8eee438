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
  /// One more token a sequence, behind as many as there are slots for.
  case decode
}

/// The seconds of a run.
struct BenchTimes {
  /// Everything.
  var all = 0.0
  /// The entry `gradients` of a training step.
  var gradients = 0.0
  /// Of these, head and loss where one kernel computes them, with the waiting for it.
  var head = 0.0
  /// The entry `gradients` without head and loss.
  var layers: Double { gradients - head }
  /// The entry `update` of a training step.
  var update = 0.0
}

/// A model compiled in one way, with weights.
final class BenchSubject {
  /// What is done to it.
  let tasks: [BenchTask]
  private let model: CompiledModel
  private let forward: String
  private let module: Module
  /// What to load when its turn comes; `nil` if it keeps its memory.
  private let tensors: [Tensor]?
  private var step = 0
  /// The modalities of the tokens that are decoded.
  private var decoded: [Int32] = []
  /// Where the time of all runs goes, if someone wants to know.
  private(set) var profile: KernelProfile?

  /// What a subject is made for.
  struct Wishes {
    /// What to measure.
    let tasks: [BenchTask]
    /// Whether someone wants to know where the time goes.
    let profiles: Bool
    /// What to load each time when its turn comes, if it has memory only then, for there are many subjects.
    let tensors: [Tensor]?
  }

  /// Returns the memory that the model takes, in a process that began to build it at `before`.
  func memoryUse(since before: ProcessMemory?) -> MemoryUse? {
    MemoryUse(planned: model.bytes, since: before)
  }

  /// Compiles, loads and runs everything once.
  ///
  /// - Throws: `Diagnostic` if the module can do none of the tasks.
  init(
    _ name: String, _ build: Build, _ batch: Batch, _ pool: ThreadPool, _ wishes: Wishes
  ) throws {
    let module = build.module
    let held = module.functions.map(\.name)
    let forward = ["logits", "loss"].first(where: held.contains)
    tasks = try Self.tasks(wishes.tasks, of: module)
    let trains = tasks.contains(.train)
    self.forward = forward ?? "gradients"
    self.module = module
    tensors = wishes.tensors
    let names =
      tasks.contains(.decode)
      ? ["decode"]
      : (tasks.contains(.forward) ? [self.forward] : []) + (trains ? ["gradients"] : [])
    if !tasks.contains(.decode) { try check(batch, for: build.functions(names), of: module) }
    model = try build.model(names, trains: trains, pool: pool)
    if let tensors {
      try model.load(tensors)
    } else {
      build.clock.measure("initialize") { model.initialize(seed: 0) }
    }
    setInputs(batch)
    try build.clock.measure("warm up \(name)") {
      for task in tasks { _ = try run(task) }
    }
    if wishes.profiles { profile = KernelProfile() }
    leave()
  }

  /// Returns those of `wanted` that `module` can do.
  ///
  /// - Throws: `Diagnostic` if it can do none.
  private static func tasks(_ wanted: [BenchTask], of module: Module) throws -> [BenchTask] {
    let held = module.functions.map(\.name)
    let tasks = wanted.filter { task in
      switch task {
      case .train: held.contains("gradients") || held.contains("loss")
      case .forward: held.contains("logits") || held.contains("loss")
      case .decode: held.contains("decode")
      }
    }
    guard tasks.isEmpty else { return tasks }
    throw Diagnostic(
      "'\(module.name)' has nothing to measure: training takes @loss or @gradients, the forward pass "
        + "@logits or @loss, decoding @decode")
  }

  /// Matrix arithmetic of one run.
  func flops(_ task: BenchTask) -> Double {
    calls(task).reduce(0) { $0 + $1.flops }
  }

  /// Matrix arithmetic of head and loss in a training step; `nil` if no kernel is theirs.
  var headFlops: Double? {
    let calls = calls(.train).filter(\.isHead)
    return calls.isEmpty ? nil : calls.reduce(0) { $0 + $1.flops }
  }

  /// Bytes that an update reads and writes.
  var updateBytes: Double { model.plan.entry("update")?.calls.reduce(0) { $0 + $1.bytes } ?? 0 }

  /// Bytes that a decoded token cannot do without: the weights of its group, and all keys and values.
  var decodeBytes: Double {
    let weights = calls(.decode).reduce(0.0) { sum, call in
      guard case .fewRowLinear(let shape) = call.kernel else { return sum }
      let share =
        shape.routing.map { routing in
          // Each row may be another expert's.
          guard routing.experts == nil else {
            return min(1, Double(shape.rows) / Double(routing.segments))
          }
          let groups = Set(decoded.map { routing.groups.ofSegment[Int($0)] })
          return Double(groups.count) / Double(routing.groups.count)
        } ?? 1
      return shape.outputs.indices.reduce(sum) { sum, index in
        guard case .buffer(let id, _) = call.arguments[1 + index] else { return sum }
        return sum + share * Double(model.plan[id].bytes)
      }
    }
    return weights + Double(model.plan.bytes(of: .caches))
  }

  /// The entry of the first task that multiplies matrices.
  var mainEntry: String { entry(of: tasks[0]) }

  private func entry(of task: BenchTask) -> String {
    switch task {
    case .train: "gradients"
    case .forward: forward
    case .decode: "decode"
    }
  }

  /// Returns how many kernels a run executes, the optimizer's among them, and how many of them wait for
  /// the size of a segment.
  func census(_ task: BenchTask) -> (kernels: Int, syncs: Int) {
    let updates = task == .train ? model.plan.entry("update")?.calls.count ?? 0 : 0
    let syncs = calls(task).filter { if case .sync = $0.kernel { true } else { false } }
    return (calls(task).count + updates, syncs.count)
  }

  private func calls(_ task: BenchTask) -> [KernelCall] {
    model.plan.entry(entry(of: task))?.calls ?? []
  }

  // MARK: Turns

  /// Begins a turn with `batch`.
  func enter(_ batch: Batch) throws {
    if let tensors {
      try CannotRun.unless { try model.reserveMemory() }
      try model.load(tensors)
      step = 0
    }
    setInputs(batch)
  }

  /// Sets the inputs of the tasks: of decoding, each sequence's first token in the last slot.
  private func setInputs(_ batch: Batch) {
    guard tasks.contains(.decode), let context = module.context else {
      return model.setInputs(batch)
    }
    let firsts = stride(from: 0, to: batch.tokens.count, by: batch.sequence)
    func all(_ value: Int) -> [Int32] { firsts.map { _ in Int32(value) } }
    decoded = firsts.map { batch.modality[$0] }
    let rows = [
      "tokens": firsts.map { batch.tokens[$0] }, "modality": decoded,
      "positions": all(context - 1), "slots": all(context - 1), "visible": all(context),
    ]
    let plan = RoutingPlan(modality: decoded, segments: module.modalities.count)
    model.setInputs(rows, plan: plan, of: "decode")
  }

  /// Ends a turn.
  func leave() { if tensors != nil { model.releaseMemory() } }

  /// Returns the time that one run takes, as the mean of runs that take a third of a second together.
  func measure(_ task: BenchTask) throws -> BenchTimes {
    var sum = BenchTimes()
    var count = 0.0
    while sum.all < 0.3 {
      let times = try run(task)
      sum.all += times.all
      sum.gradients += times.gradients
      sum.head += times.head
      sum.update += times.update
      count += 1
    }
    return BenchTimes(
      all: sum.all / count, gradients: sum.gradients / count, head: sum.head / count,
      update: sum.update / count)
  }

  private func run(_ task: BenchTask) throws -> BenchTimes {
    var times = BenchTimes()
    guard task == .train else {
      times.all = seconds { model.run(entry(of: task)) }
      noteProfile()
      return times
    }
    times.gradients = seconds { model.run("gradients") }
    times.head = model.timeline?.seconds(where: \.isHead) ?? 0
    noteProfile()
    step += 1
    var isRefused = false
    times.update = seconds { isRefused = model.update(AdamW(rate: 1e-4), step: step).isRefused }
    noteProfile()
    guard !isRefused else {
      throw Diagnostic("step \(step): the gradients of random tokens are not finite")
    }
    times.all = times.gradients + times.update
    return times
  }

  private func noteProfile() {
    if let timeline = model.timeline { profile?.add(timeline) }
  }

  private func seconds(_ body: () -> Void) -> Double {
    let start = ContinuousClock.now
    body()
    return (ContinuousClock.now - start).seconds
  }
}

extension KernelCall {
  /// `true` iff it computes the head and the loss.
  fileprivate var isHead: Bool { if case .headLoss = kernel { true } else { false } }
}

extension Timeline {
  /// Returns the seconds that calls of one kind took, waiting included, as the mean over threads.
  fileprivate func seconds(where isWanted: (KernelCall) -> Bool) -> Double {
    let wanted = entry.calls.map(isWanted)
    return spans.reduce(0) { $0 + (wanted[$1.call] ? $1.end - $1.arrival : 0) } / Double(threads)
  }
}
