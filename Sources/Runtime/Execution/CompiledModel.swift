internal import COpenBLAS
internal import Glibc
internal import LLVMKit
public import MoTIR

/// A compiled model in memory: its code, its regions, and the threads that execute it.
///
/// One run at a time: a model is not shared between threads of the caller.
public final class CompiledModel {
  /// What was compiled.
  public let plan: KernelPlan
  /// The threads.
  package let pool: ThreadPool
  private var jit: JIT
  private var entries: [String: EntryFunction] = [:]
  private var regions: [AlignedBuffer]
  private let reserve: () throws -> [AlignedBuffer]
  private let traps: MemoryTraps?
  private let inputSources: [Binding]
  private var lastRun: (entry: String, duration: Duration)?
  private let symbols: [ObjectSymbols.Function]

  /// A compiled entry: (addresses of the regions, thread, threads).
  private typealias EntryFunction = @convention(c) (UnsafeRawPointer, Int, Int) -> Void

  /// Links `objects`, which were compiled from `plan`, and reserves its memory.
  ///
  /// - Parameters:
  ///   - scratchBytes: what each thread needs, as the compiler found.
  ///   - traps: what catches kernels that leave their memory, in tests.
  /// - Throws: `Diagnostic` if memory is short, `LLVMError` if the objects cannot be linked.
  package init(
    plan: KernelPlan, objects: [[UInt8]], scratchBytes: Int, pool: ThreadPool,
    traps: MemoryTraps? = nil
  ) throws {
    self.plan = plan
    self.pool = pool
    self.traps = traps
    reserve = {
      try Region.allCases.map { region in
        let bytes = Self.bytes(
          of: region, in: plan, scratchBytes: scratchBytes, threads: pool.threads)
        if let traps { return try traps.reserve(region, bytes: bytes, of: plan) }
        // Whole vectors may pass the end of the last buffer.
        return try AlignedBuffer(count: bytes + 4096)
      }
    }
    regions = try reserve()
    jit = try linked(objects, of: plan)
    symbols = objects.flatMap { ObjectSymbols(of: $0).functions }
    var seen: Set<String> = []
    inputSources = plan.entries.flatMap(\.inputs).filter { seen.insert($0.name).inserted }
    for entry in plan.entries {
      let address = try jit.lookup(entry.symbol)
      entries[entry.name] = unsafeBitCast(address, to: EntryFunction.self)
    }
    fillAtFirst()
  }

  /// Links `program`, to be executed by `threads` threads, or as many as this process may use.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  public convenience init(_ program: CompiledProgram, threads: Int? = nil) throws {
    try self.init(
      plan: program.plan, objects: program.objects, scratchBytes: program.scratchBytes,
      pool: ThreadPool(threads: threads))
  }

  /// Returns how much memory of `region` a model of `plan` takes on so many threads.
  private static func bytes(
    of region: Region, in plan: KernelPlan, scratchBytes: Int, threads: Int
  ) -> Int {
    switch region {
    case .scratch: scratchBytes * threads
    case .control: Control.bytes
    case .timeStamps: plan.timeStamps.bytesPerThread * threads
    case .takenParts: 8 * plan.mostCalls
    default: plan.memory(of: region)
    }
  }

  /// Returns the memory of `buffer`.
  package func memory(_ buffer: BufferID) -> UnsafeMutableRawBufferPointer {
    let place = plan[buffer]
    return UnsafeMutableRawBufferPointer(
      rebasing: regions[place.region.rawValue].bytes[place.offset..<(place.offset + place.bytes)])
  }

  /// Returns the memory of `buffer` as f32.
  package func floats(_ buffer: BufferID) -> UnsafeMutableBufferPointer<Float> {
    memory(buffer).bindMemory(to: Float.self)
  }

  /// Returns the memory of `region` that lies there as that of `buffer` does in its own region.
  func floats(_ buffer: BufferID, in region: Region) -> UnsafeMutableBufferPointer<Float> {
    let place = plan[buffer]
    let bytes = regions[region.rawValue].bytes[place.offset..<(place.offset + place.bytes)]
    return UnsafeMutableRawBufferPointer(rebasing: bytes).bindMemory(to: Float.self)
  }

  /// Returns what keeps the memory of `region` alive.
  func owner(of region: Region) -> AnyObject { regions[region.rawValue] }

  /// The functions that the objects show each other, kernels among them, in memory.
  ///
  /// - Throws: `LLVMError` if one of them was not linked.
  package func linkedFunctions() throws -> [LinkedFunction] {
    try symbols.map { symbol in
      LinkedFunction(
        name: symbol.name, address: UInt(bitPattern: try jit.lookup(symbol.name)),
        size: symbol.size)
    }
  }

  /// The control region.
  package var control: UnsafeMutableRawBufferPointer { regions[Region.control.rawValue].bytes }

  /// Bytes of memory in use, all regions together.
  package var bytes: Int { regions.reduce(0) { $0 + $1.bytes.count } }

  /// Gives all memory back to the system, parameters included, so that another model can have it.
  package func releaseMemory() {
    regions = []
    lastRun = nil
  }

  /// Reserves memory again, as it was when the model was linked: nothing is loaded.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func reserveMemory() throws {
    regions = try reserve()
    if traps == nil {
      // The system hands pages out when they are written first, which no run should wait for.
      for region in regions { region.bytes.initializeMemory(as: UInt8.self, repeating: 0) }
    }
    fillAtFirst()
  }

  /// Executes entry `name` on all threads.
  public func run(_ name: String) {
    guard let entry = entries[name] else { preconditionFailure("no entry \(name)") }
    control.storeBytes(of: 0, toByteOffset: Control.syncs, as: Int32.self)
    regions[Region.takenParts.rawValue].bytes.initializeMemory(as: UInt8.self, repeating: 0)
    let table = regions.map { Address($0.bytes.baseAddress) }
    let began = ContinuousClock.now
    table.withUnsafeBufferPointer { addresses in
      let base = Address(UnsafeMutableRawPointer(mutating: addresses.baseAddress))
      pool.run { thread, threads in
        if let base = base.pointer { entry(base, thread, threads) }
      }
    }
    lastRun = (name, ContinuousClock.now - began)
  }

  /// Executes the calls `calls` of entry `name` alone, with what those before them have left.
  package func run(_ name: String, calls: Range<Int>) {
    func set(_ first: Int, _ count: Int) {
      control.storeBytes(of: Int32(first), toByteOffset: Control.firstCall, as: Int32.self)
      control.storeBytes(of: Int32(count), toByteOffset: Control.callCount, as: Int32.self)
    }
    guard !calls.isEmpty else { return }
    set(calls.lowerBound, calls.count)
    defer { set(0, 0) }
    run(name)
  }

  /// Sets the gradients of the last run aside, to be added up with those of others.
  ///
  /// - Parameter isFirst: whether there are none yet of this step.
  /// - Requires: the plan has the entry `accumulate`.
  package func accumulateGradients(isFirst: Bool) {
    if isFirst { exchangeGradients() } else { run("accumulate") }
  }

  /// Makes the gradients that were set aside those of the last run, for `update`.
  package func takeAccumulatedGradients() { exchangeGradients() }

  private func exchangeGradients() {
    regions.swapAt(Region.gradients.rawValue, Region.accumulated.rawValue)
  }

  /// What the threads did during the last run; `nil` before the first.
  package var timeline: Timeline? {
    guard let lastRun, let entry = plan.entry(lastRun.entry) else { return nil }
    let ticks = regions[Region.timeStamps.rawValue].bytes
    return Timeline(
      entry, ticks: UnsafeRawBufferPointer(ticks), threads: pool.threads,
      stamps: plan.timeStamps, seconds: lastRun.duration / .seconds(1))
  }

  /// An address that threads may share: the kernels keep their own order.
  private struct Address: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer?
    init(_ pointer: UnsafeMutableRawPointer?) { self.pointer = pointer }
  }

  // MARK: Inputs

  /// Fills the inputs from rows in sequence order: permuted where the graph takes them by plan.
  ///
  /// - Parameter continuous: the inputs of numbers that are not integers.
  /// - Requires: the rows were checked; together they hold every input that the plan names.
  package func setInputs(
    _ rows: [String: [Int32]], continuous: [String: [Float]] = [:], plan routing: RoutingPlan
  ) {
    set(inputSources, to: rows, continuous, routing)
  }

  /// Fills the inputs of entry `name` alone, as above.
  package func setInputs(
    _ rows: [String: [Int32]], continuous: [String: [Float]] = [:], plan routing: RoutingPlan,
    of name: String
  ) {
    set(plan.entry(name)?.inputs ?? [], to: rows, continuous, routing)
  }

  private func set(
    _ inputs: [Binding], to rows: [String: [Int32]], _ continuous: [String: [Float]],
    _ routing: RoutingPlan
  ) {
    for input in inputs {
      if input.type.element == .f32 {
        set(input, to: continuous, routing)
        continue
      }
      let target = memory(input.buffer).bindMemory(to: Int32.self)
      if case .plan(let layout) = input.type {
        for (index, value) in routing.offsets.enumerated() { target[index] = value }
        for (index, value) in routing.rows.enumerated() { target[layout.firstRow + index] = value }
        for (index, value) in routing.slots.enumerated() {
          target[layout.firstSlot + index] = value
        }
      } else if let source = rows[input.name] {
        for (index, value) in source.enumerated() { target[index] = value }
      } else if let source = rows[input.name.replacing(" by plan", with: "")] {
        for (index, token) in routing.rows.enumerated() { target[index] = source[Int(token)] }
      }
    }
  }

  /// Fills an input of rows of numbers.
  private func set(_ input: Binding, to rows: [String: [Float]], _ routing: RoutingPlan) {
    let target = floats(input.buffer)
    let width = input.type.width ?? 0
    if let source = rows[input.name] {
      for (index, value) in source.enumerated() { target[index] = value }
    } else if let source = rows[input.name.replacing(" by plan", with: "")] {
      for (index, token) in routing.rows.enumerated() {
        for column in 0..<width {
          target[index * width + column] = source[Int(token) * width + column]
        }
      }
    }
  }

  /// Fills the inputs from a checked batch.
  ///
  /// - Parameter counts: numbers of targets, by the name of the input.
  package func setInputs(_ batch: Batch, counts: [String: Int32] = [:]) {
    let rows = batch.inputs + counts.map { ($0.key, [$0.value]) }
    setInputs(
      Dictionary(rows, uniquingKeysWith: { first, _ in first }), continuous: batch.continuous,
      plan: batch.plan)
  }

  /// Fills the inputs from the token ids of a batch, sequence after sequence; everything else follows
  /// from them: modalities by vocabulary range, the next token as target, positions from 0.
  ///
  /// - Throws: `Diagnostics` if an id is outside the vocabulary or the count is not the batch's.
  public func setInputs(tokens: [Int], of module: Module) throws(Diagnostics) {
    setInputs(try BatchBuilder(module: module).build(BatchBuilder.Rows(tokens: tokens)))
  }

  // MARK: Outputs

  /// Returns output `name` of entry `entry`, or `nil` if it has none of that name.
  public func output(_ name: String, of entry: String) -> [Float]? {
    plan.entry(entry)?.outputs.first { $0.name == name }.map { binding in
      Array(floats(binding.buffer).prefix(binding.type.elementCount))
    }
  }

  // MARK: Constants and libraries

  private func fillAtFirst() {
    traps?.fill(self)
    for placement in plan.constants {
      switch placement.table {
      case .rotary(let positions, let headWidth, let base):
        fillRotary(floats(placement.buffer), positions, headWidth, base)
      }
    }
  }

  /// cos then sin of position · base^(−2i / width), computed in double precision.
  private func fillRotary(
    _ table: UnsafeMutableBufferPointer<Float>, _ positions: Int, _ headWidth: Int, _ base: Double
  ) {
    let half = headWidth / 2
    for index in 0..<half {
      let frequency = pow(base, -2 * Double(index) / Double(headWidth))
      for position in 0..<positions {
        let angle = Double(position) * frequency
        table[position * half + index] = Float(cos(angle))
        table[(positions + position) * half + index] = Float(sin(angle))
      }
    }
  }
}

/// Returns `objects`, which were compiled from `plan`, linked to what they call.
private func linked(_ objects: [[UInt8]], of plan: KernelPlan) throws -> JIT {
  var jit = try JIT()
  if plan.backend == .blas { try defineBLAS(&jit) }
  for (index, object) in objects.enumerated() {
    try jit.add(object: object, name: "\(plan.name).\(index)")
  }
  return jit
}

/// Makes OpenBLAS's sgemm known to the JIT; our threads each call it for their own slice.
private func defineBLAS(_ jit: inout JIT) throws {
  openblas_set_num_threads(1)
  guard let address = dlsym(nil, "cblas_sgemm") else {
    throw Diagnostic(
      "OpenBLAS has no cblas_sgemm", suggestion: "install the package libopenblas-dev")
  }
  try jit.define(symbol: "cblas_sgemm", address: address)
}
