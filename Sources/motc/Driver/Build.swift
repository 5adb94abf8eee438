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

  /// Creates the way of `module`.
  init(_ module: Module, _ options: CompileOptions, clock: StageClock) {
    self.module = module
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
    try requireMemory(used.reduce(0) { $0 + plan.bytes(of: $1) })
    let code = try code(plan, of: functions)
    return try CannotRun.unless {
      try clock.measure("link") {
        try CompiledModel(
          plan: plan, object: code.object, scratchBytes: code.scratchBytes, pool: pool)
      }
    }
  }

  // MARK: Objects

  /// An object with the working memory that a thread needs for it.
  private struct Code {
    let object: [UInt8]
    let scratchBytes: Int

    init(object: [UInt8], scratchBytes: Int) {
      self.object = object
      self.scratchBytes = scratchBytes
    }

    /// Creates code from what `cached` returns; `nil` for other bytes.
    init?(cached: [UInt8]) {
      guard cached.count >= 8 else { return nil }
      let size = cached.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard size < 1 << 40 else { return nil }
      self.init(object: Array(cached.dropFirst(8)), scratchBytes: Int(size))
    }

    /// The bytes that stand for it in the cache.
    var cached: [UInt8] {
      withUnsafeBytes(of: UInt64(scratchBytes).littleEndian) { Array($0) } + object
    }
  }

  private func code(_ plan: KernelPlan, of functions: [Function]) throws -> Code {
    let cache = makeCache()
    let key = clock.measure("cache key") {
      Digest(fields: [
        Array(compiler.identity(of: functions, in: module).utf8), Array(ownIdentity.utf8),
      ])
    }
    let found = clock.measure("cache look-up") { cache.object(for: key).flatMap(Code.init) }
    if let found { return found }
    let emitted = try emit(plan)
    let object = try CannotRun.unless { try clock.measure("llvm") { try emitted.object() } }
    let code = Code(object: object, scratchBytes: emitted.scratchBytes)
    clock.measure("cache store") { cache.store(code.cached, for: key) }
    return code
  }
}

/// Returns the object cache that the environment asks for; its warnings go to stderr.
func makeCache() -> ObjectCache {
  var logger = Logger(label: "motc") { StreamLogHandler.standardError(label: $0) }
  logger.logLevel = .warning
  return ObjectCache(environment: ProcessInfo.processInfo.environment, logger: logger)
}

/// What tells this build of motc from any other: its file's size, time and number.
private var ownIdentity: String {
  var status = stat()
  guard stat("/proc/self/exe", &status) == 0 else { return UUID().uuidString }
  let time = status.st_mtim
  return "\(status.st_dev) \(status.st_ino) \(status.st_size) \(time.tv_sec).\(time.tv_nsec)"
}
