internal import LLVMKit
internal import MoTIR

// How threads share work and wait for each other, and small helpers that every kernel uses.
extension CodeGenerator {
  /// Returns `base` plus `offset` bytes.
  func bytes(_ base: IRValue, _ offset: IRValue) -> IRValue {
    ir.element(base, offset, ir.i8)
  }

  /// Returns the address of the f32 at `index` of `base`.
  func at(_ base: IRValue, _ index: IRValue) -> IRValue { ir.element(base, index, ir.f32) }

  /// Returns the address of the f32 at constant `index` of `base`.
  func at(_ base: IRValue, _ index: Int) -> IRValue { at(base, ir.int(index)) }

  /// Loads the i32 at `index` of `base` as i64.
  func loadIndex(_ base: IRValue, _ index: IRValue) -> IRValue {
    ir.signExtend(ir.load(ir.i32, ir.element(base, index, ir.i32)), ir.i64)
  }

  /// Returns this thread's share of `0..<count`.
  func share(_ count: IRValue, _ frame: KernelFrame) -> (from: IRValue, to: IRValue) {
    range(ofPart: frame.thread, of: frame.threads, in: count)
  }

  /// Emits `body(part)` for parts `0..<count` of a call's work: each thread does the part of its own number, and then
  /// takes the next one that nobody has, so that a thread whose core is slow does fewer.
  ///
  /// - Parameter before: how many parts other such loops of the call have had, all of which are behind a barrier.
  func forEachPart(
    of count: IRValue, after before: IRValue? = nil, _ frame: KernelFrame, _ body: (IRValue) -> Void
  ) {
    // Whoever has done a part takes one: a loop leaves as many taken as it has parts.
    ir.loop(
      from: frame.thread, to: count,
      then: {
        let taken = ir.atomicAdd(frame.takenParts, ir.int(1))
        return ir.add(frame.threads, before.map { ir.sub(taken, $0) } ?? taken)
      }, body)
  }

  /// Returns whether a piece of work that falls into `pieces` is so much of a thread's share that each had better have
  /// one part.
  func areFew(_ pieces: IRValue, _ frame: KernelFrame) -> IRValue {
    ir.compare(.less, pieces, ir.mul(frame.threads, ir.int(4)))
  }

  /// Returns how many equal parts to make of work that falls into `pieces`: about a piece each, as many for each
  /// thread.
  func evenParts(_ pieces: IRValue, _ frame: KernelFrame) -> IRValue {
    let each = ir.select(areFew(pieces, frame), ir.int(1), ceilDivide(pieces, frame.threads))
    return ir.mul(frame.threads, each)
  }

  /// Returns what part `part` of `parts` has of `0..<count`.
  func range(
    ofPart part: IRValue, of parts: IRValue, in count: IRValue
  ) -> (from: IRValue, to: IRValue) {
    (
      ir.udiv(ir.mul(part, count), parts),
      ir.udiv(ir.mul(ir.add(part, ir.int(1)), count), parts)
    )
  }

  /// Returns `value / divisor`, rounded up.
  func ceilDivide(_ value: IRValue, _ divisor: Int) -> IRValue {
    ceilDivide(value, ir.int(divisor))
  }

  /// As above, by a divisor that is known at run time only.
  func ceilDivide(_ value: IRValue, _ divisor: IRValue) -> IRValue {
    ir.udiv(ir.add(value, ir.sub(divisor, ir.int(1))), divisor)
  }

  /// Emits `body` for thread 0 only.
  func onFirstThread(_ frame: KernelFrame, _ body: () -> Void) {
    ir.when(ir.compare(.equal, frame.thread, ir.int(0)), body)
  }

  /// Emits `body(column, active)` for vectors of columns `0..<width`; `active` lanes of it are valid.
  ///
  /// A width of 1 is done in scalars, of `active` 1.
  /// - Parameter start: the first column, if that is not 0.
  func columns(
    _ width: Int, from start: IRValue? = nil, _ body: (_ column: IRValue, _ active: Int) -> Void
  ) {
    let start = start ?? ir.int(0)
    if width == 1 { return body(start, 1) }
    let whole = width / lanes * lanes
    let end = ir.add(start, ir.int(whole))
    if whole == lanes {
      body(start, lanes)
    } else if whole > 0 {
      ir.loop(from: start, to: end, by: lanes) { body($0, lanes) }
    }
    if whole < width { body(end, width - whole) }
  }

  /// As `columns`, with values carried from vector to vector; returns the last ones. A width of 1 is a
  /// vector too, of one valid lane.
  func columns(
    _ width: Int, carrying initial: [IRValue],
    _ body: (_ column: IRValue, _ active: Int, _ carried: [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    let whole = width / lanes * lanes
    var carried = initial
    if whole == lanes {
      carried = body(ir.int(0), lanes, carried)
    } else if whole > 0 {
      carried = ir.loop(from: ir.int(0), to: ir.int(whole), by: lanes, carrying: carried) {
        body($0, lanes, $1)
      }
    }
    return whole < width ? body(ir.int(whole), width - whole, carried) : carried
  }

  /// Loads `active` lanes of f32 (or of `element`); the others are 0. One lane of a width of 1 is a scalar.
  func load(_ address: IRValue, _ active: Int, scalar: Bool = false, element: IRType? = nil)
    -> IRValue
  {
    let element = element ?? ir.f32
    if scalar { return ir.load(element, address) }
    let type = ir.vector(element, lanes)
    if active == lanes { return ir.load(type, address) }
    return ir.maskedLoad(type, address, ir.firstLanes(active, of: lanes))
  }

  /// Stores the first `active` lanes of `value`, or a scalar.
  func store(_ value: IRValue, _ address: IRValue, _ active: Int) {
    if value.type.lanes == 1 || active == lanes { return ir.store(value, address) }
    ir.maskedStore(value, address, ir.firstLanes(active, of: lanes))
  }

  /// Replaces the lanes from `active` on by `filler`.
  func fillTail(_ value: IRValue, _ active: Int, _ filler: Double) -> IRValue {
    guard value.type.lanes > 1, active < lanes else { return value }
    return ir.select(
      ir.firstLanes(active, of: lanes), value, ir.float(filler, value.type))
  }

  /// Emits a meeting point of all threads: spin, then sleep on a futex.
  func barrier(_ control: IRValue, _ threads: IRValue) {
    callShared("barrier", [control, threads]) { p in barrierBody(control: p[0], threads: p[1]) }
  }

  /// Sense by generation: the last to arrive opens the barrier by counting the generation up.
  private func barrierBody(control: IRValue, threads: IRValue) {
    let rounds = ir.stack(bytes: 8)
    let arrived = bytes(control, ir.int(Control.arrived))
    let generation = bytes(control, ir.int(Control.generation))
    let sleepers = bytes(control, ir.int(Control.sleepers))
    let one = ir.int(1, ir.i32)
    let mine = ir.atomicLoad(generation)
    let before = ir.atomicAdd(arrived, one)
    let isLast = ir.compare(
      .equal, ir.zeroExtend(before, ir.i64), ir.sub(threads, ir.int(1)))
    _ = ir.choose(isLast) {
      ir.atomicStore(ir.int(0, ir.i32), arrived)
      _ = ir.atomicAdd(generation, one)
      let waiting = ir.atomicLoad(sleepers)
      ir.when(ir.compare(.greater, waiting, ir.int(0, ir.i32))) {
        futex(generation, operation: 129, value: ir.int(Int(Int32.max), ir.i32))
      }
      return []
    } otherwise: {
      spin(generation, while: mine, counter: rounds)
      ir.when(ir.compare(.equal, ir.atomicLoad(generation), mine)) {
        _ = ir.atomicAdd(sleepers, one)
        ir.repeatWhile {
          futex(generation, operation: 128, value: mine)
          return ir.compare(.equal, ir.atomicLoad(generation), mine)
        }
        _ = ir.atomicAdd(sleepers, ir.int(-1, ir.i32))
      }
      return []
    }
  }

  /// Spins for some microseconds, or until `word` is no longer `value`.
  private func spin(_ word: IRValue, while value: IRValue, counter: IRValue) {
    ir.store(ir.int(0), counter, align: 8)
    ir.repeatWhile {
      if target.isX86 { ir.intrinsic("llvm.x86.sse2.pause", overloads: [], []) }
      let count = ir.add(ir.load(ir.i64, counter, align: 8), ir.int(1))
      ir.store(count, counter, align: 8)
      return ir.and(
        ir.compare(.equal, ir.atomicLoad(word), value), ir.compare(.less, count, ir.int(500)))
    }
  }

  /// Emits Linux's futex call, among this process's threads only: operation 128 waits while the word
  /// is `value`, 129 wakes `value` sleepers.
  private func futex(_ word: IRValue, operation: Int, value: IRValue) {
    let syscall = ir.declare("syscall", [ir.i64], returns: ir.i64, variadic: true)
    let number = target.cpu.triple.hasPrefix("aarch64") ? 98 : 202
    ir.call(
      syscall, [ir.int(number), word, ir.int(operation, ir.i32), value, ir.zero(ir.pointer)])
  }
}
