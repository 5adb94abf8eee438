internal import LLVMKit
package import MoTIR

/// A loop of multiply-adds on registers alone: what the machine's arithmetic can reach. Its work is
/// floating-point operations.
package struct PeakProbe: Probe {
  /// What multiplies.
  package enum Unit: Sendable {
    /// Vector instructions.
    case vector
    /// The matrix unit, which multiplies tiles of bf16: numbers of that precision, or terms of f32.
    case matrix
  }

  package let plan: KernelPlan
  package let object: [UInt8]
  package let scratchBytes = 4096
  /// Floating-point operations of one run, on each thread.
  private let flops: Double

  /// Rounds of the loop: a run takes some tens of milliseconds.
  private static let rounds = 2_000_000
  /// Products of tiles take longer.
  private static let matrixRounds = 200_000
  /// Steps in one round, so that the loop's own instructions do not count.
  private static let steps = 4

  /// Compiles the loop for `target`, with as many accumulators as its register tile has.
  ///
  /// - Requires: the target has the unit.
  /// - Throws: `LLVMError` if code generation fails.
  package init(target: TargetDescription, operands: OperandFormat, unit: Unit = .vector) throws {
    let entry = Entry(name: "peak", calls: [], inputs: [], outputs: [])
    plan = KernelPlan(
      name: "peak", tile: target.tile, operands: operands, backend: .generated, entries: [entry])
    let code = CodeGenerator(plan: plan, target: target)
    let ir = code.ir
    try ir.target(target.cpu)
    switch unit {
    case .vector:
      let usesPairs = operands.isRounded && target.hasBF16DotProduct
      let accumulators = target.tile.rows * target.tile.vectors
      flops =
        Double(Self.rounds * Self.steps * accumulators * target.lanes) * (usesPairs ? 4 : 2)
      Self.emitVector(entry, ir, target, accumulators: accumulators, usesPairs: usesPairs)
    case .matrix:
      // 4 accumulators of 16 x 16, a depth of 32; what has terms takes several products for one.
      flops =
        Double(Self.matrixRounds * Self.steps * 4 * 16 * 16 * 32 * 2) / Double(operands.products)
      Self.emitMatrix(entry, code)
    }
    object = try ir.emit(for: target.cpu)
  }

  package func work(threads: Int) -> Double { flops * Double(threads) }

  // MARK: The vector unit

  private static func emitVector(
    _ entry: Entry, _ ir: IRBuilder, _ target: TargetDescription, accumulators: Int,
    usesPairs: Bool
  ) {
    let vector = ir.vector(ir.f32, target.lanes)
    define(entry, ir, target) { scratch in
      let factor = ir.load(vector, scratch)
      let zeros = [IRValue](repeating: ir.zero(vector), count: accumulators)
      let sums = ir.loop(from: ir.int(0), to: ir.int(rounds), carrying: zeros) { _, carried in
        (0..<steps).reduce(carried) { values, _ in
          values.map { multiplyAdd(ir, factor, $0, target, usesPairs: usesPairs) }
        }
      }
      ir.store(sums.dropFirst().reduce(sums[0], ir.fadd), scratch)
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

  // MARK: The matrix unit

  /// There are four accumulators, as in the kernels.
  private static func emitMatrix(_ entry: Entry, _ code: CodeGenerator) {
    let ir = code.ir
    define(entry, ir, code.target) { scratch in
      code.configureMatrixUnit()
      for tile in 0..<8 { code.tileClear(tile) }
      ir.loop(from: ir.int(0), to: ir.int(matrixRounds)) { _ in
        for index in 0..<4 * steps {
          code.tileMultiply(index % 4, 4 + index % 4 / 2, 6 + index % 2)
        }
      }
      code.tileStore(0, scratch, ir.int(64))
      code.releaseMatrixUnit()
    }
  }

  // MARK: The function

  /// Defines the entry; `body` gets the thread's scratch memory.
  private static func define(
    _ entry: Entry, _ ir: IRBuilder, _ target: TargetDescription, _ body: (IRValue) -> Void
  ) {
    let address = ir.int(8 * Region.scratch.rawValue)
    _ = ir.define(
      entry.symbol, [ir.pointer, ir.i64, ir.i64], returns: ir.void, exported: true,
      target: target.functionAttributes
    ) { p in
      body(
        ir.element(
          ir.load(ir.pointer, ir.element(p[0], address, ir.i8), align: 8),
          ir.mul(p[1], ir.int(4096)), ir.i8))
      ir.returnVoid()
    }
  }
}
