internal import LLVMKit
package import MoTIR

/// A loop over four arrays in memory. Its work is bytes read and written.
package struct MemoryProbe: Probe {
  /// What it does with them.
  package enum Pattern: Sendable {
    /// It reads four and writes three in place: AdamW's own pattern, with less arithmetic.
    case update
    /// It reads all, one after the other, as decoding reads weights.
    case read
  }

  private let pattern: Pattern

  package let plan: KernelPlan
  package let object: [UInt8]
  package let scratchBytes = 0

  /// Bytes of an array: all four are larger than any cache.
  private static let arrayBytes = 128 << 20
  /// Bytes from one array to the next: not a power of two, or all would share the same sets of a cache.
  private static let stride = arrayBytes + 4096 + 320
  /// Vectors of each array in one round of the loop.
  private static let vectors = 4

  /// Compiles the loop for `target`.
  ///
  /// - Throws: `LLVMError` if code generation fails.
  package init(target: TargetDescription, pattern: Pattern = .update) throws {
    self.pattern = pattern
    let entry = Entry(name: "stream", calls: [], inputs: [], outputs: [])
    plan = KernelPlan(
      name: "stream", tile: target.tile, operands: .f32, backend: .generated,
      buffers: [Buffer(region: .arena, offset: 0, bytes: 4 * Self.stride, label: "arrays")],
      entries: [entry])
    let ir = IRBuilder(name: "stream")
    try ir.target(target.cpu)
    switch pattern {
    case .update: Self.emit(entry, ir, target, Self.emitUpdate)
    case .read: Self.emit(entry, ir, target, Self.emitRead)
    }
    object = try ir.emit(for: target.cpu)
  }

  package func work(threads: Int) -> Double {
    Double(pattern == .update ? 7 * Self.arrayBytes : Self.readBytes)
  }

  /// Emits `entry`, whose `body` gets the arrays' address and the thread with the number of all.
  private static func emit(
    _ entry: Entry, _ ir: IRBuilder, _ target: TargetDescription,
    _ body: (IRBuilder, TargetDescription, _ base: IRValue, _ thread: (IRValue, IRValue)) -> Void
  ) {
    _ = ir.define(
      entry.symbol, [ir.pointer, ir.i64, ir.i64], returns: ir.void, exported: true,
      target: target.functionAttributes
    ) { p in
      let base = ir.load(
        ir.pointer, ir.element(p[0], ir.int(8 * Region.arena.rawValue), ir.i8), align: 8)
      body(ir, target, base, (p[1], p[2]))
      ir.returnVoid()
    }
  }

  /// Returns a thread's share of `rounds`.
  private static func share(
    _ rounds: Int, _ ir: IRBuilder, _ thread: (IRValue, IRValue)
  ) -> (from: IRValue, to: IRValue) {
    (
      ir.udiv(ir.mul(ir.int(rounds), thread.0), thread.1),
      ir.udiv(ir.mul(ir.int(rounds), ir.add(thread.0, ir.int(1))), thread.1)
    )
  }

  private static func emitUpdate(
    _ ir: IRBuilder, _ target: TargetDescription, _ base: IRValue, _ thread: (IRValue, IRValue)
  ) {
    let vector = ir.vector(ir.f32, target.lanes)
    let step = 4 * target.lanes * vectors
    let (from, to) = share(arrayBytes / step, ir, thread)
    let (keep, take) = (
      ir.splat(ir.float(0.9), target.lanes), ir.splat(ir.float(0.1), target.lanes)
    )
    ir.loop(from: from, to: to) { round in
      for number in 0..<vectors {
        let first = ir.add(ir.mul(round, ir.int(step)), ir.int(4 * target.lanes * number))
        let places = (0..<4).map { ir.element(base, ir.add(first, ir.int(stride * $0)), ir.i8) }
        let values = places.map { ir.load(vector, $0) }
        let gradient = ir.fmul(values[0], take)
        let moments = values[1...2].map { ir.multiplyAdd($0, keep, gradient) }
        ir.store(moments[0], places[1])
        ir.store(moments[1], places[2])
        ir.store(ir.fsub(values[3], ir.fmul(moments[0], moments[1])), places[3])
      }
    }
  }

  /// Bytes that the second pattern reads: all arrays, in whole rounds.
  private static var readBytes: Int { 4 * stride / 4096 * 4096 }

  /// Each thread reads a stretch of its own, a page a round, and keeps its sum where nobody else does.
  private static func emitRead(
    _ ir: IRBuilder, _ target: TargetDescription, _ base: IRValue, _ thread: (IRValue, IRValue)
  ) {
    let vector = ir.vector(ir.f32, target.lanes)
    let (from, to) = share(readBytes / 4096, ir, thread)
    let sums = ir.loop(
      from: from, to: to, carrying: [IRValue](repeating: ir.zero(vector), count: 8)
    ) { round, sums in
      var sums = sums
      let page = ir.element(base, ir.mul(round, ir.int(4096)), ir.i8)
      for offset in Swift.stride(from: 0, to: 4096, by: 4 * target.lanes) {
        let place = ir.element(page, ir.int(offset), ir.i8)
        ir.prefetch(ir.element(place, ir.int(4096), ir.i8))
        let number = offset / (4 * target.lanes) % sums.count
        sums[number] = ir.fadd(sums[number], ir.load(vector, place))
      }
      return sums
    }
    let total = sums.dropFirst().reduce(sums[0]) { ir.fadd($0, $1) }
    ir.store(total, ir.element(base, ir.mul(from, ir.int(4096)), ir.i8))
  }
}
