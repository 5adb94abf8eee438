import Lowering
import MoTIR
import Runtime

/// What the cases of a benchmark are made of.
struct BenchMaker {
  /// How models are compiled.
  let compile: CompileArguments
  /// Whether Linux's perf is told the names of kernels.
  let perfMap: Bool
  /// Who executes.
  let pool: ThreadPool
  /// Measures the stages.
  let clock: StageClock
  /// What to measure.
  let tasks: [BenchTask]

  /// Returns a case for each mode, mix and module: in each mode all are compared with the first mix of
  /// the first module.
  func comparison(
    _ modules: [Module], modes: [BenchMode], mixes: [TokenMix], profiles: Bool
  ) throws -> [BenchCase] {
    var cases: [BenchCase] = []
    var bases: [BenchMode: Int] = [:]
    for (index, module) in modules.enumerated() {
      let batches = try mixes.map { try $0.batch(for: module) }
      for mode in modes {
        let mode = (case: mode, options: try compile.optionsToRun(fuse: mode.fusion))
        let subject = try self.subject(
          "\(mode.case)", module, mode.options, batches[0],
          .init(tasks: tasks, profiles: profiles, tensors: nil))
        for (number, batch) in batches.enumerated() {
          let more =
            (index > 0 ? [module.name] : []) + (number > 0 ? [mixes[number].text] : [])
          cases.append(
            BenchCase(
              name: ([mode.case.rawValue] + more).joined(separator: " "), subject: subject,
              batch: batch, base: bases[mode.case]))
          bases[mode.case] = bases[mode.case] ?? cases.count - 1
        }
      }
    }
    return cases
  }

  /// Returns a case for each stage of an ablation: nothing, then one more of what can be left out.
  ///
  /// - Parameter profiles: whether someone wants to know where the time of the last stage goes.
  func ablation(_ module: Module, mix: TokenMix, profiles: Bool) throws -> [BenchCase] {
    let splits = try compile.optionsToRun(fuse: .all, without: []).operands(of: module) == .splitF32
    let switches = Switch.ablation.filter {
      // Where f32 stays on vectors, its stage would be the one before once more.
      !compile.disabledNames.contains($0.name) && ($0 != .splitF32 || splits)
    }
    let tensors = try clock.measure("initialize") { try initialTensors(of: module, seed: 0) }
    let batch = try mix.batch(for: module)
    return try (0...switches.count).map { count in
      let name = count == 0 ? BenchMode.unfused.rawValue : switches[count - 1].name
      let options = try compile.optionsToRun(fuse: .all, without: Array(switches[count...]))
      let isLast = count == switches.count
      let subject = try subject(
        name, module, options, batch,
        .init(tasks: tasks, profiles: profiles && isLast, tensors: tensors))
      return BenchCase(name: name, subject: subject, batch: batch, base: nil)
    }
  }

  private func subject(
    _ name: String, _ module: Module, _ options: CompileOptions, _ batch: Batch,
    _ wishes: BenchSubject.Wishes
  ) throws -> BenchSubject {
    let build = Build(module, options, clock: clock, perfMap: perfMap)
    return try BenchSubject(name, build, batch, pool, wishes)
  }
}
