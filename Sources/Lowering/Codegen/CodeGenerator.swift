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
  private var helpers: [String: IRFunction] = [:]
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

  private func function(for call: KernelCall) -> IRFunction {
    if let function = functions[call.kernel] { return function }
    let arguments = call.arguments.map { argument in
      if case .integer = argument { ir.i64 } else { ir.pointer }
    }
    let function = ir.define(
      unique(call.kernel.name), [ir.pointer, ir.pointer, ir.i64, ir.i64] + arguments,
      returns: ir.void, attributes: ["noinline"], target: target.functionAttributes
    ) { parameters in
      let frame = KernelFrame(parameters)
      emitBody(of: call.kernel, frame)
      ir.returnVoid()
    }
    functions[call.kernel] = function
    return function
  }

  private func emitBody(of kernel: Kernel, _ frame: KernelFrame) {
    switch kernel {
    case .block(let program): BlockEmitter(self, program, frame).emit()
    case .columnSum(let shape): emitColumnSum(shape, frame)
    case .weightGradient(let shape): emitWeightGradient(shape, frame)
    case .attention(let shape): AttentionEmitter(self, shape, frame).emitForward()
    case .attentionGradient(let shape): AttentionEmitter(self, shape, frame).emitBackward()
    case .embedGradient(let rows, let vocabulary, let width):
      emitEmbedGradient(rows: rows, vocabulary: vocabulary, width: width, frame)
    case .sum(let count): emitSum(count: count, frame)
    case .tokenWeights(let rows, let ranges): emitTokenWeights(rows: rows, ranges: ranges, frame)
    case .headLoss(let shape): emitHeadLoss(shape, frame)
    case .route(let rows, let segments): emitRoute(rows: rows, segments: segments, frame)
    case .sync: emitSync(frame)
    case .blasLinear(let shape): emitBlasLinear(shape, frame)
    case .blasInputGradient(let shape): emitBlasInputGradient(shape, frame)
    case .blasWeightGradient(let shape): emitBlasWeightGradient(shape, frame)
    case .round: emitRound(frame)
    case .squaredNorm: emitSquaredNorm(frame)
    case .clip: emitClip(frame)
    case .adamW: emitAdamW(frame)
    case .packForward: emitPackForward(frame)
    case .packBackward: emitPackBackward(frame)
    }
  }

  /// Returns the helper function `name`, defining it at its first use.
  func helper(_ name: String, _ make: () -> IRFunction) -> IRFunction {
    if let function = helpers[name] { return function }
    let function = make()
    helpers[name] = function
    return function
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

  // MARK: Entries

  private func emitEntry(_ entry: Entry) {
    _ = ir.define(
      entry.symbol, [ir.pointer, ir.i64, ir.i64], returns: ir.void, exported: true,
      target: target.functionAttributes
    ) { parameters in
      let (table, thread, threads) = (parameters[0], parameters[1], parameters[2])
      let regions = Region.allCases.map { region in
        ir.load(ir.pointer, ir.element(table, ir.int(region.rawValue), ir.pointer), align: 8)
      }
      let control = regions[Region.control.rawValue]
      let scratch = bytes(
        regions[Region.scratch.rawValue], ir.mul(thread, ir.int(scratchBytes)))
      let restore = target.isX86 ? flushDenormals() : {}
      for call in entry.calls {
        if call.waits { barrier(control, threads) }
        let arguments = call.arguments.map { address(of: $0, regions) }
        ir.call(function(for: call), [scratch, control, thread, threads] + arguments)
      }
      restore()
      ir.returnVoid()
    }
  }

  private func address(of argument: KernelArgument, _ regions: [IRValue]) -> IRValue {
    switch argument {
    case .integer(let number): return ir.int(number)
    case .buffer(let id, _):
      let buffer = plan[id]
      return bytes(regions[buffer.region.rawValue], ir.int(buffer.offset))
    }
  }

  /// Makes denormal numbers 0 for speed; returns what emits the way back to the caller's mode.
  private func flushDenormals() -> () -> Void {
    let saved = ir.stack(bytes: 8)
    ir.intrinsic("llvm.x86.sse.stmxcsr", overloads: [], [saved])
    let mode = bytes(saved, ir.int(4))
    // Bit 15 makes denormal results 0, bit 6 operands.
    ir.store(ir.or(ir.load(ir.i32, saved), ir.int(0x8040, ir.i32)), mode)
    ir.intrinsic("llvm.x86.sse.ldmxcsr", overloads: [], [mode])
    return { self.ir.intrinsic("llvm.x86.sse.ldmxcsr", overloads: [], [saved]) }
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
  /// The call's arguments.
  let arguments: [IRValue]

  init(_ parameters: [IRValue]) {
    scratch = parameters[0]
    control = parameters[1]
    thread = parameters[2]
    threads = parameters[3]
    arguments = Array(parameters.dropFirst(4))
  }
}
