import Foundation
import Logging
import Lowering
import MoTIR
import Runtime

/// A module on its way through the stages, as far as a verb needs it.
struct Build {
  /// The module as built.
  let module: Module
  /// How it is compiled.
  let compiler: Compiler
  /// Measures the stages.
  let clock: StageClock
  /// Whether Linux's perf is told the names of kernels.
  private let perfMap: Bool

  /// Creates the way of `module`.
  init(
    _ module: Module, _ options: CompileOptions, clock: StageClock, perfMap: Bool = false
  ) {
    self.module = module
    self.perfMap = perfMap
    compiler = Compiler(options)
    self.clock = clock
  }

  /// Returns the functions `names` before the passes; gradients are derived where they are not held.
  func functions(_ names: [String]) throws -> [Function] {
    try names.map { name in
      let isDerived = module.function(name) == nil
      return try clock.measure(isDerived ? "differentiate" : "read @\(name)") {
        try Compiler.function(name, of: module)
      }
    }
  }

  /// Returns `functions` after the passes.
  ///
  /// - Parameter observe: called after each pass with function, pass and result.
  func optimize(
    _ functions: [Function], observe: ((Function, Pass, Graph) -> Void)? = nil
  ) throws -> [Function] {
    try functions.map { function in
      var last = ContinuousClock.now
      return try compiler.optimize(function, of: module) { pass, graph in
        clock.add("pass \(pass.name)", ContinuousClock.now - last)
        observe?(function, pass, graph)
        last = .now
      }
    }
  }

  /// Returns the kernel plan of optimised functions.
  ///
  /// - Throws: `Diagnostics` if kernels cannot compute a function.
  func plan(_ functions: [Function]) throws -> KernelPlan {
    try clock.measure("plan") { try compiler.plan(functions, of: module) }
  }

  /// Returns the LLVM module of `plan`.
  func emit(_ plan: KernelPlan) throws -> EmittedModule {
    try CannotRun.unless { try clock.measure("emit") { try compiler.emit(plan) } }
  }

  /// Returns the functions `names` in memory, ready to run; the object cache is asked first.
  ///
  /// - Parameter trains: `true` iff the optimizer's step is to run too.
  func model(_ names: [String], trains: Bool, pool: ThreadPool) throws -> CompiledModel {
    let functions = try functions(names)
    let plan = try plan(try optimize(functions))
    let idle: [Region] = trains ? [] : [.firstMoments, .secondMoments]
    let used = Region.allCases.filter { !idle.contains($0) }
    try requireMemory(used.reduce(0) { $0 + plan.memory(of: $1) })
    let code = try code(plan, of: functions)
    return try CannotRun.unless {
      let model = try clock.measure("link") {
        try CompiledModel(
          plan: plan, objects: code.objects, scratchBytes: code.scratchBytes, pool: pool)
      }
      if perfMap { try PerfMap.add(model.linkedFunctions()) }
      return model
    }
  }

  // MARK: Objects

  private func code(_ plan: KernelPlan, of functions: [Function]) throws -> MachineCode {
    let key = clock.measure("cache key") {
      Digest(fields: [
        Array(compiler.identity(of: functions, in: module).utf8), Array(ownIdentity.utf8),
      ])
    }
    let found = clock.measure("cache look-up") {
      objectCache.object(for: key).flatMap(MachineCode.init(bytes:))
    }
    if let found { return found }
    let emitted = try emit(plan)
    let objects = try CannotRun.unless {
      try clock.measure("codegen") { try emitted.objects(threads: ThreadBudget.current.threads) }
    }
    let code = MachineCode(objects: objects, scratchBytes: emitted.scratchBytes)
    clock.measure("cache store") { objectCache.store(code.bytes, for: key) }
    return code
  }
}

/// The object cache that the environment asks for; its warnings go to stderr, each once.
let objectCache: ObjectCache = {
  var logger = Logger(label: "motc") { StreamLogHandler.standardError(label: $0) }
  logger.logLevel = .warning
  return ObjectCache(environment: ProcessInfo.processInfo.environment, logger: logger)
}()

/// What tells this build of motc from any other.
private var ownIdentity: String { fileIdentity("/proc/self/exe") ?? UUID().uuidString }
