import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// The steps of a run, and what is kept of them.
final class TrainingRun {
  private let model: CompiledModel
  private let build: Build
  private let settings: TrainingSettings
  private let accumulation: Accumulation
  private let folder: RunFolder
  private let identity: RunIdentity
  private let metrics: MetricsFile
  private let losses: [String]
  private let stepFlops: Double
  /// Updates that were made.
  private var step: Int
  /// Tokens that were trained on, padding not counted.
  private var tokens: Int
  private var position: DataPosition
  /// The validation loss of the present weights, if it was measured.
  private var validationLoss: Double?
  /// Seconds of training before this process, and when this one began; validation and checkpoints do not count.
  private let secondsBefore: Double
  private var began = ContinuousClock.now
  private var peak: Double?
  private var log: TrainingLog

  private var module: Module { build.module }

  /// Creates the run of `model`, from its beginning or from `checkpoint`, which was loaded.
  ///
  /// - Throws: `CannotRun` if the metrics cannot be opened.
  init(
    _ model: CompiledModel, _ build: Build, _ settings: TrainingSettings,
    _ accumulation: Accumulation, _ folder: RunFolder, identity: RunIdentity,
    from checkpoint: Checkpoint?
  ) throws {
    self.model = model
    self.build = build
    self.settings = settings
    self.accumulation = accumulation
    self.folder = folder
    self.identity = identity
    let outputs = model.plan.entry("gradients")?.outputs ?? []
    losses = outputs.map(\.name).filter { $0 == "loss" || $0.hasPrefix("loss.") }
    let flops = model.plan.entry("gradients")?.calls.reduce(0) { $0 + $1.flops } ?? 0
    stepFlops = Double(settings.accumulate) * flops
    step = checkpoint?.step ?? 0
    tokens = checkpoint?.tokens ?? 0
    position = checkpoint?.position ?? DataPosition()
    validationLoss = checkpoint?.validation
    secondsBefore = checkpoint?.seconds ?? 0
    log = TrainingLog(
      losses: losses, flops: stepFlops, steps: settings.steps)
    let columns =
      ["step", "tokens", "flops"] + losses + ["gradient_norm", "learning_rate"]
      + losses.map { "validation.\($0)" } + ["seconds"]
    metrics = try CannotRun.unless {
      try MetricsFile(folder, columns: columns, lengths: checkpoint?.metrics)
    }
  }

  /// Writes down what is trained, and how, and the weights that it begins with.
  ///
  /// - Parameter files: what the folder of a new run keeps; `nil` for one that goes on.
  /// - Throws: `CannotRun` if it cannot be written.
  func begin(_ files: RunFiles?) throws {
    try CannotRun.unless {
      try writeFile(Array(settings.yaml.utf8), to: folder.file(RunFolder.configName))
      // The run may have stopped before its last checkpoint had these names.
      guard let files else { return try nameCheckpoint() }
      for (name, bytes) in files.all { try writeFile(bytes, to: folder.file(name)) }
    }
    if files != nil { try save() }
  }

  /// Trains to the last step, or until someone wants the process to end.
  ///
  /// - Throws: `Diagnostic` if a gradient is not finite, `ExitCode` if the run was interrupted.
  func train(_ source: sending BatchSource, validation shards: TokenShards) throws {
    let validation = try Validation(shards, module, batches: settings.validationBatches)
    Interruption.watch()
    let queue = BatchQueue(source, count: settings.accumulate)
    guard step < settings.steps else { return say("\(folder.path) is at its last step, \(step)") }
    say(
      "\(module.name): \(accumulation.text)\(module.batch) x \(module.sequence) tokens a step, "
        + "\(model.pool.threads) threads, steps \(step + 1) to \(settings.steps) → \(folder.path)")
    began = .now
    var saved = step
    while step < settings.steps, Interruption.exitCode == nil {
      try takeStep(queue, validation)
      if isDue(settings.checkpointEvery) {
        try pause { try save() }
        saved = step
      }
      if peak == nil, seconds > 5 { try pause { peak = try measurePeak() } }
    }
    if saved < step { try save() }
    try end()
  }

  /// Makes a step, and validates if that is due; tells the metrics, and people, of it.
  private func takeStep(_ queue: BatchQueue, _ validation: Validation) throws {
    var numbers = try advance(queue)
    if isDue(settings.validateEvery), !validation.isEmpty {
      pause { numbers.merge(validate(validation)) { $1 } }
    }
    numbers["seconds"] = seconds
    try CannotRun.unless { try metrics.add(numbers) }
    if isDue(settings.logEvery) || step == 1 { say(log.line(step, rate: rate, peak: peak)) }
  }

  /// Says why training stops, and where the weights are.
  ///
  /// - Throws: `ExitCode` if someone wanted the process to end.
  private func end() throws {
    if let code = Interruption.exitCode, step < settings.steps {
      say("interrupted behind step \(step); go on by --resume auto")
      throw ExitCode(code)
    }
    say("weights → \(folder.file("latest"))/weights.safetensors")
  }

  /// The rate of the present step.
  private var rate: Double { settings.rate(step: step) }

  /// Seconds of training.
  private var seconds: Double { secondsBefore + (ContinuousClock.now - began).seconds }

  /// `true` iff the present step is one of those that `every` names, or the last.
  private func isDue(_ every: Int) -> Bool {
    every > 0 && (step.isMultiple(of: every) || step == settings.steps)
  }

  /// Does what is no training: it counts as no time.
  private func pause<Result>(_ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer {
      began += ContinuousClock.now - start
      log.skip(since: start)
    }
    return try body()
  }

  /// Makes a step and returns its numbers.
  private func advance(_ queue: BatchQueue) throws -> [String: Double] {
    let (batches, next) = try queue.next()
    let counts = accumulation.counts(of: batches)
    var values = [Double](repeating: 0, count: losses.count)
    for (number, batch) in batches.enumerated() {
      model.setInputs(batch, counts: counts)
      model.run("gradients")
      for (index, loss) in losses.enumerated() {
        values[index] += Double(model.output(loss, of: "gradients")?.first ?? .nan)
      }
      guard values.allSatisfy(\.isFinite) else { throw fault(of: [batch], counts) }
      if batches.count > 1 { model.accumulateGradients(isFirst: number == 0) }
    }
    if batches.count > 1 { model.takeAccumulatedGradients() }
    let outcome = model.update(settings.optimizer(step: step + 1), step: step + 1)
    guard !outcome.isRefused else { throw fault(of: batches, counts) }
    step += 1
    validationLoss = nil
    let fresh = batches.reduce(0) { $0 + $1.modality.count { $0 >= 0 } }
    tokens += fresh
    position = next
    log.add(values, norm: Double(outcome.gradientNorm), tokens: fresh)
    var numbers = Dictionary(zip(losses, values), uniquingKeysWith: { first, _ in first })
    numbers["step"] = Double(step)
    numbers["tokens"] = Double(tokens)
    numbers["flops"] = Double(step) * stepFlops
    numbers["gradient_norm"] = Double(outcome.gradientNorm)
    numbers["learning_rate"] = rate
    return numbers
  }

  /// Returns what is to say of a step whose loss or gradients are not finite; the weights are as before it.
  private func fault(of batches: [Batch], _ counts: [String: Int32]) -> any Error {
    let refusal = Diagnostic(
      "step \(step + 1): the loss or a gradient is not finite; the weights were left as they were")
    do {
      let search = try FaultSearch(build, of: model)
      for batch in batches {
        if let found = search.diagnosis(of: batch, counts) { return Diagnostics([refusal, found]) }
      }
      return Diagnostics([refusal, .finiteUnfused])
    } catch {
      return Diagnostics([refusal])
    }
  }

  private func validate(_ validation: Validation) -> [String: Double] {
    let found = validation.measure(model)
    validationLoss = found["loss"].flatMap { $0.isFinite ? $0 : nil }
    // What layers add to the loss is for training alone.
    let parts = losses.compactMap { name in
      found[name].map { "\(name.replacing("loss.", with: "")) \(fixed($0, 4))" }
    }
    say("validation at step \(step)  \(parts.joined(separator: "  "))")
    return Dictionary(
      found.map { ("validation.\($0.key)", $0.value) }, uniquingKeysWith: { first, _ in first })
  }

  /// Writes a checkpoint, and removes those that are too old.
  private func save() throws {
    try CannotRun.unless {
      let checkpoint = Checkpoint(
        step: step, tokens: tokens, position: position, identity: identity.dictionary,
        metrics: try metrics.flushed(), seconds: seconds, validation: validationLoss)
      let path = folder.checkpoint(step: step)
      try checkpoint.write(model, of: module, to: path)
      try nameCheckpoint()
      folder.prune(keeping: settings.keep, last: step)
    }
  }

  /// Makes the present checkpoint the latest, and the best if it is.
  private func nameCheckpoint() throws {
    try folder.link("latest", to: step)
    if isBest { try folder.link("best", to: step) }
  }

  /// `true` iff the present weights were validated, and those of no checkpoint have a lower loss.
  private var isBest: Bool {
    guard let validationLoss else { return false }
    let best = folder.step(of: "best").flatMap { step in
      try? Checkpoint(stateOf: folder.checkpoint(step: step)).validation
    }
    return best.map { validationLoss < $0 } ?? true
  }

  /// Measures FLOP/s that the machine reaches at most.
  private func measurePeak() throws -> Double {
    let peaks = try MachineMeters(
      build.compiler.options.target, model.plan.operands, model.pool, memory: nil
    ).measure()
    return peaks.matrix ?? peaks.vector
  }
}
