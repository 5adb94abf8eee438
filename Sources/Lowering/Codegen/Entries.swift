internal import LLVMKit
internal import MoTIR

// An entry goes through two constant tables: its calls, and their arguments. Code a call would have to
// be generated for every layer, and took longer than all kernels for a deep model; a table is data.
//
// A call is (function, waits, first argument, end of arguments), an argument (region, offset): a place
// in that region, or for the region -1 the number itself. All are words of 8 bytes.
extension CodeGenerator {
  /// Words of a call, and of an argument.
  private static let (callWords, argumentWords) = (4, 2)

  /// Emits `entry`: (addresses of the regions, thread, threads).
  func emitEntry(_ entry: Entry) {
    let (calls, arguments) = tables(of: entry)
    let most = entry.calls.map(\.arguments.count).max() ?? 0
    _ = ir.define(
      entry.symbol, [ir.pointer, ir.i64, ir.i64], returns: ir.void, exported: true,
      target: target.functionAttributes
    ) { parameters in
      let (regions, thread, threads) = (parameters[0], parameters[1], parameters[2])
      let handed = ir.stack(bytes: 8 * max(most, 1))
      let restore = target.isX86 ? flushDenormals() : {}
      if usesMatrixUnit { configureMatrixUnit() }
      let control = word(regions, ir.int(Region.control.rawValue), ir.pointer)
      let scratch = bytes(
        word(regions, ir.int(Region.scratch.rawValue), ir.pointer),
        ir.mul(thread, ir.int(scratchBytes)))
      let taken = word(regions, ir.int(Region.takenParts.rawValue), ir.pointer)
      let stamps = plan.timeStamps
      let ticks = bytes(
        word(regions, ir.int(Region.timeStamps.rawValue), ir.pointer),
        ir.mul(thread, ir.int(stamps.bytesPerThread)))
      let (first, end) = callRange(control, of: entry.calls.count)
      ir.loop(from: first, to: end) { index in
        let call = bytes(calls, ir.mul(index, ir.int(8 * Self.callWords)))
        let waits = word(call, ir.int(1), ir.i64)
        let own = bytes(ticks, ir.mul(index, ir.int(stamps.bytesPerCall)))
        noteTime(at: bytes(own, ir.int(stamps.arrival(at: 0))))
        ir.when(ir.compare(.notEqual, waits, ir.int(0))) { barrier(control, threads) }
        noteTime(at: bytes(own, ir.int(stamps.start(of: 0))))
        hand(arguments, from: call, to: handed, regions)
        if let model = entry.calls.first.map(function(for:)) {
          ir.call(
            at: word(call, ir.int(0), ir.pointer), as: model,
            [scratch, control, thread, threads, ir.element(taken, index, ir.i64), handed])
        }
      }
      noteTime(at: bytes(ticks, ir.int(stamps.arrival(at: entry.calls.count))))
      if usesMatrixUnit { releaseMatrixUnit() }
      restore()
      ir.returnVoid()
    }
  }

  /// Returns the calls that are to be made of `count`: all, unless someone wants to see what each leaves.
  private func callRange(_ control: IRValue, of count: Int) -> (first: IRValue, end: IRValue) {
    func setting(_ offset: Int) -> IRValue {
      ir.zeroExtend(ir.load(ir.i32, bytes(control, ir.int(offset))), ir.i64)
    }
    let (first, most) = (setting(Control.firstCall), setting(Control.callCount))
    let isAll = ir.compare(.equal, most, ir.int(0))
    return (first, ir.select(isAll, ir.int(count), ir.min(ir.add(first, most), ir.int(count))))
  }

  /// Stores the CPU's tick counter, which takes some ten nanoseconds.
  private func noteTime(at place: IRValue) {
    // The cycle counter of ARM is not for programs; its steady counter is.
    let counter = target.isX86 ? "llvm.readcyclecounter" : "llvm.readsteadycounter"
    ir.store(ir.intrinsic(counter, overloads: [], []), place, align: 8)
  }

  /// Writes the arguments of `call` to `handed`, where the kernel reads them.
  private func hand(
    _ arguments: IRValue, from call: IRValue, to handed: IRValue, _ regions: IRValue
  ) {
    let (first, end) = (word(call, ir.int(2), ir.i64), word(call, ir.int(3), ir.i64))
    ir.loop(from: first, to: end) { index in
      let argument = bytes(arguments, ir.mul(index, ir.int(8 * Self.argumentWords)))
      let region = word(argument, ir.int(0), ir.i64)
      let start = word(regions, ir.max(region, ir.int(0)), ir.i64)
      let isNumber = ir.compare(.less, region, ir.int(0))
      let base = ir.select(isNumber, ir.int(0), start)
      let place = ir.element(handed, ir.sub(index, first), ir.i64)
      ir.store(ir.add(base, word(argument, ir.int(1), ir.i64)), place, align: 8)
    }
  }

  /// Loads word `index` at `base`.
  private func word(_ base: IRValue, _ index: IRValue, _ type: IRType) -> IRValue {
    ir.load(type, ir.element(base, index, ir.i64), align: 8)
  }

  /// Returns the addresses of the tables of `entry`.
  private func tables(of entry: Entry) -> (calls: IRValue, arguments: IRValue) {
    var calls: [IRBuilder.Word] = []
    var arguments: [IRBuilder.Word] = []
    for call in entry.calls {
      let first = arguments.count / Self.argumentWords
      arguments += call.arguments.flatMap(words)
      calls += [
        .function(function(for: call)), .number(call.waits ? 1 : 0), .number(first),
        .number(arguments.count / Self.argumentWords),
      ]
    }
    return (
      ir.constantTable(calls, name: "\(entry.symbol).calls"),
      ir.constantTable(arguments, name: "\(entry.symbol).arguments")
    )
  }

  private func words(_ argument: KernelArgument) -> [IRBuilder.Word] {
    switch argument {
    case .integer(let number): return [.number(-1), .number(number)]
    case .buffer(let id, _):
      let buffer = plan[id]
      return [.number(buffer.region.rawValue), .number(buffer.offset)]
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
