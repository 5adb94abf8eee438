internal import LLVMKit
package import MoTIR

/// A loop over four arrays in memory, of which it reads four and writes three in place: AdamW's own
/// pattern, with less arithmetic. Its work is bytes read and written.
package struct MemoryProbe: Probe {
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
  package init(target: TargetDescription) throws {
    let entry = Entry(name: "stream", calls: [], inputs: [], outputs: [])
    plan = KernelPlan(
      name: "stream", tile: target.tile, operands: .f32, backend: .generated,
      buffers: [Buffer(region: .arena, offset: 0, bytes: 4 * Self.stride, label: "arrays")],
      entries: [entry])
    let ir = IRBuilder(name: "stream")
    try ir.target(target.cpu)
    Self.emit(entry, ir, target)
    object = try ir.emit(for: target.cpu)
  }

  package func work(threads: Int) -> Double { 7 * Double(Self.arrayBytes) }

  private static func emit(_ entry: Entry, _ ir: IRBuilder, _ target: TargetDescription) {
    let vector = ir.vector(ir.f32, target.lanes)
    let step = 4 * target.lanes * vectors
    _ = ir.define(
      entry.symbol, [ir.pointer, ir.i64, ir.i64], returns: ir.void, exported: true,
      target: target.functionAttributes
    ) { p in
      let base = ir.load(
        ir.pointer, ir.element(p[0], ir.int(8 * Region.arena.rawValue), ir.i8), align: 8)
      let rounds = ir.int(arrayBytes / step)
      let (from, to) = (
        ir.udiv(ir.mul(rounds, p[1]), p[2]),
        ir.udiv(ir.mul(rounds, ir.add(p[1], ir.int(1))), p[2])
      )
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
      ir.returnVoid()
    }
  }
}
