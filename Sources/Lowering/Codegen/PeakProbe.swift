internal import LLVMKit
package import MoTIR

/// A loop of multiply-adds on registers alone: what the machine's arithmetic can reach.
package struct PeakProbe {
  /// A plan with the one entry `peak`, for which the object was made.
  package let plan: KernelPlan
  /// The object.
  package let object: [UInt8]
  /// Bytes of scratch memory that each thread needs.
  package let scratchBytes = 4096
  /// Floating-point operations of one run, on each thread.
  package let flops: Double

  /// Rounds of the loop: a run takes some tens of milliseconds.
  private static let rounds = 2_000_000
  /// Steps in one round, so that the loop's own instructions do not count.
  private static let steps = 4

  /// Compiles the loop for `target`, with as many accumulators as its register tile has.
  ///
  /// - Throws: `LLVMError` if code generation fails.
  package init(target: TargetDescription, precision: Precision) throws {
    let usesPairs = precision == .bf16 && target.hasBF16DotProduct
    let accumulators = target.tile.rows * target.tile.vectors
    let entry = Entry(name: "peak", calls: [], inputs: [], outputs: [])
    plan = KernelPlan(
      name: "peak", tile: target.tile, precision: precision, backend: .generated, entries: [entry])
    flops =
      Double(Self.rounds * Self.steps * accumulators * target.lanes) * (usesPairs ? 4 : 2)
    let ir = IRBuilder(name: "peak")
    try ir.target(target.cpu)
    Self.emit(entry, ir, target, accumulators: accumulators, usesPairs: usesPairs)
    object = try ir.emit(for: target.cpu)
  }

  private static func emit(
    _ entry: Entry, _ ir: IRBuilder, _ target: TargetDescription, accumulators: Int,
    usesPairs: Bool
  ) {
    let vector = ir.vector(ir.f32, target.lanes)
    let address = ir.int(8 * Region.scratch.rawValue)
    _ = ir.define(
      entry.symbol, [ir.pointer, ir.i64, ir.i64], returns: ir.void, exported: true,
      target: target.functionAttributes
    ) { p in
      let scratch = ir.element(
        ir.load(ir.pointer, ir.element(p[0], address, ir.i8), align: 8),
        ir.mul(p[1], ir.int(4096)), ir.i8)
      let factor = ir.load(vector, scratch)
      let zeros = [IRValue](repeating: ir.zero(vector), count: accumulators)
      let sums = ir.loop(from: ir.int(0), to: ir.int(rounds), carrying: zeros) { _, carried in
        (0..<steps).reduce(carried) { values, _ in
          values.map { multiplyAdd(ir, factor, $0, target, usesPairs: usesPairs) }
        }
      }
      ir.store(sums.dropFirst().reduce(sums[0], ir.fadd), scratch)
      ir.returnVoid()
    }
  }

  /// a · a + c
  private static func multiplyAdd(
    _ ir: IRBuilder, _ a: IRValue, _ c: IRValue, _ target: TargetDescription, usesPairs: Bool
  ) -> IRValue {
    guard usesPairs else { return ir.multiplyAdd(a, a, c) }
    let pairs = ir.bitcast(a, ir.vector(ir.bf16, 2 * target.lanes))
    return ir.intrinsic(
      "llvm.x86.avx512bf16.dpbf16ps.512", overloads: [], [c, pairs, pairs])
  }
}
