internal import LLVMKit
internal import MoTIR

/// Emits a kernel plan as one LLVM module: a function a distinct kernel, and one a plan entry.
final class CodeGenerator {
  let ir: IRBuilder
  let plan: KernelPlan
  let target: TargetDescription
  /// Bytes of scratch memory that a thread needs; known once all kernels are emitted.
  private(set) var scratchBytes = 0
  private var functions: [Kernel: IRFunction] = [:]
  private var shared: [String: IRFunction] = [:]
  private var names: Set<String> = []

  /// Prepares an empty module for `plan`.
  init(plan: KernelPlan, target: TargetDescription) {
    self.plan = plan
    self.target = target
    ir = IRBuilder(name: plan.name)
  }

  /// f32 lanes of a vector register.
  var lanes: Int { plan.tile.lanes }
  /// The type of a full vector of f32.
  var vector: IRType { ir.vector(ir.f32, lanes) }

  /// Emits everything.
  func emit() {
    for entry in plan.entries { for call in entry.calls { _ = function(for: call) } }
    for entry in plan.entries { emitEntry(entry) }
  }

  // MARK: Kernels

  /// Returns the function of the call's kernel, defining it at its first use.
  func function(for call: KernelCall) -> IRFunction {
    if let function = functions[call.kernel] { return function }
    let function = ir.define(
      unique(call.kernel.name),
      [ir.pointer, ir.pointer, ir.i64, ir.i64, ir.pointer, ir.pointer],
      returns: ir.void, attributes: ["noinline"], target: target.functionAttributes
    ) { parameters in
      let arguments = call.arguments.enumerated().map { index, argument in
        let place = bytes(parameters[5], ir.int(8 * index))
        if case .integer = argument { return ir.load(ir.i64, place, align: 8) }
        return ir.load(ir.pointer, place, align: 8)
      }
      emitBody(of: call.kernel, KernelFrame(parameters, arguments))
      ir.returnVoid()
    }
    functions[call.kernel] = function
    return function
  }

  private func emitBody(of kernel: Kernel, _ frame: KernelFrame) {
    switch kernel {
    case .block(let program): BlockEmitter(self, program, frame).emit()
    case .columnSum(let shape): emitColumnSum(shape, frame)
    case .weightGradient(let shape, let laidOut): emitWeightGradient(shape, laidOut, frame)
    case .attention(let shape):
      AttentionEmitter(self, shape, frame, gradient: false).emitForward()
    case .attentionGradient(let shape):
      AttentionEmitter(self, shape, frame, gradient: true).emitBackward()
    case .cacheStore(let shape): emitCacheStore(shape, frame)
    case .cachedAttention(let shape): emitCachedAttention(shape, frame)
    case .fewRowLinear(let shape): emitFewRowLinear(shape, frame)
    case .embedGradient(let rows, let vocabulary, let width):
      emitEmbedGradient(rows: rows, vocabulary: vocabulary, width: width, frame)
    case .sum(let count): emitSum(count: count, frame)
    case .tokenWeights(let rows, let ranges, let hasCount):
      emitTokenWeights(rows: rows, ranges: ranges, hasCount: hasCount, frame)
    case .headLoss(let shape): HeadEmitter(self, shape, frame).emit()
    case .route(let rows, let segments): emitRoute(rows: rows, segments: segments, frame)
    case .routeExperts(let shape): emitRouteExperts(shape, frame)
    case .combine(let plan, let width): emitCombine(plan, width: width, frame)
    case .gates(let plan): emitGates(plan, frame)
    case .gatesGradient(let plan): emitGatesGradient(plan, frame)
    case .balance(let plan, let hasCount): emitBalance(plan, hasCount: hasCount, frame)
    case .sync: emitSync(frame)
    case .blasLinear(let shape): emitBlasLinear(shape, frame)
    case .blasInputGradient(let shape): emitBlasInputGradient(shape, frame)
    case .blasWeightGradient(let shape): emitBlasWeightGradient(shape, frame)
    case .round: emitRound(frame)
    case .accumulate: emitAccumulate(frame)
    case .squaredNorm: emitSquaredNorm(frame)
    case .clip: emitClip(frame)
    case .adamW: emitAdamW(frame)
    case .adamWPacked(let forward, let backward):
      emitAdamWPacked(forward: forward, backward: backward, frame)
    case .packForward: emitPackForward(frame)
    case .packBackward: emitPackBackward(frame)
    }
  }

  /// Emits a call of the function `name` with addresses and numbers, whose `body` is emitted at its first call: what
  /// else it depends on is in the name.
  func callShared(_ name: String, _ arguments: [IRValue], _ body: ([IRValue]) -> Void) {
    let function =
      shared[name]
      ?? ir.define(
        name, arguments.map(\.type), returns: ir.void, attributes: ["noinline"],
        target: target.functionAttributes
      ) { parameters in
        body(parameters)
        ir.returnVoid()
      }
    shared[name] = function
    ir.call(function, arguments)
  }

  /// Makes sure that a thread's scratch memory has at least `bytes` bytes.
  func reserveScratch(_ bytes: Int) {
    scratchBytes = max(scratchBytes, (bytes + 4095) / 4096 * 4096)
  }

  private func unique(_ name: String) -> String {
    var candidate = name
    var number = 1
    while !names.insert(candidate).inserted {
      number += 1
      candidate = "\(name).\(number)"
    }
    return candidate
  }
}

/// What every kernel is handed.
struct KernelFrame {
  /// The thread's working memory.
  let scratch: IRValue
  /// The control region.
  let control: IRValue
  /// The thread's number, i64.
  let thread: IRValue
  /// How many threads there are, i64.
  let threads: IRValue
  /// Where the call counts the parts that threads have come for.
  let takenParts: IRValue
  /// The call's arguments.
  let arguments: [IRValue]

  init(_ parameters: [IRValue], _ arguments: [IRValue]) {
    scratch = parameters[0]
    control = parameters[1]
    thread = parameters[2]
    threads = parameters[3]
    takenParts = parameters[4]
    self.arguments = arguments
  }
}
