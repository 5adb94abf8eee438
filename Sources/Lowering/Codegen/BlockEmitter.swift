internal import LLVMKit
internal import MoTIR

/// Emits a block program: the loop over blocks, and in each block its stages.
final class BlockEmitter {
  let code: CodeGenerator
  let program: BlockProgram
  let frame: KernelFrame
  let layout: BlockLayout
  var ir: IRBuilder { code.ir }
  /// The block being worked on.
  var block: Block
  /// The row being worked on, in row stages.
  var row: Row?
  /// The strip of columns being worked on, if the block is not worked on as a whole.
  var strip: Strip?
  /// Values of the column loop being emitted.
  var registers: [Int: IRValue] = [:]

  /// A block: consecutive rows of one segment.
  struct Block {
    /// Its first row, how many rows, its segment and the number of its first grain among all.
    let first, count, segment, grain: IRValue
  }

  /// Neighbouring columns of a matmul's results: the first, a multiple of a panel's, and how many.
  struct Strip {
    let start: IRValue
    let columns: Int
  }

  /// A row of the block.
  struct Row {
    /// Its number in the block, in the program, and its place in sequence order.
    let inBlock, index: IRValue
    let routed: IRValue?
  }

  init(_ code: CodeGenerator, _ program: BlockProgram, _ frame: KernelFrame) {
    self.code = code
    self.program = program
    self.frame = frame
    layout = BlockLayout(program, tile: code.plan.tile, operands: code.operands)
    let zero = code.ir.int(0)
    block = Block(first: zero, count: zero, segment: zero, grain: zero)
    code.reserveScratch(layout.scratchBytes)
  }

  /// Emits the kernel's body.
  func emit() {
    code.forEachBlock(
      of: program, plan: program.plan.map { (frame.arguments[$0.argument], $0.segments) },
      costs: layout.rowCosts, frame
    ) { block in
      self.block = block
      emitBlock()
    }
  }

  private func emitBlock() {
    for value in layout.sums.sorted() {
      let grains = code.ceilDivide(block.count, program.grain)
      ir.clear(
        sumAddress(value, inBlock: ir.int(0)),
        bytes: ir.mul(grains, ir.int(4 * program.values[value].width)))
    }
    for stage in layout.stages {
      whereDone(stage) {
        switch stage {
        case .matmul(let step, let behind): emitMatmul(program.steps[step], behind: behind)
        case .rows(let items): emitRows(items)
        }
      }
    }
  }

  /// Emits `body` for blocks of the segments for which the stage is done.
  private func whereDone(_ stage: BlockLayout.Stage, _ body: () -> Void) {
    let isDone = (0...(program.plan?.segments ?? 0)).map { layout.isDone(stage, in: $0) }
    guard isDone.contains(false) else { return body() }
    let table = ir.constantArray(isDone.map { $0 ? 1 : 0 }, name: "done")
    ir.when(ir.compare(.greater, code.loadIndex(table, block.segment), ir.int(0)), body)
  }

  // MARK: Addresses

  /// Returns the address of byte `offset` of the thread's scratch memory.
  func scratch(_ offset: Int) -> IRValue { code.bytes(frame.scratch, ir.int(offset)) }

  /// Returns where a row of the block is added to a sum over rows: the partial sum of its grain.
  func sumAddress(_ value: Int, inBlock row: IRValue) -> IRValue {
    guard let store = program.values[value].store else {
      preconditionFailure("a sum over rows is not stored")
    }
    let grain = ir.add(block.grain, ir.udiv(row, ir.int(program.grain)))
    return code.at(
      frame.arguments[store.argument], ir.mul(grain, ir.int(program.values[value].width)))
  }

  func operandAddress(_ value: Int) -> IRValue { scratch(layout.operands[value] ?? 0) }

  /// Returns the group of the block for a routed op's weights: a number, and below 0 for no segment.
  func group(_ groups: Groups) -> IRValue {
    let table = code.groupTable(groups)
    return code.loadIndex(table, block.segment)
  }

  /// Returns the weights of the block's group, `width` f32; zeros for no segment.
  func weights(_ value: Int, _ groups: Groups?) -> IRValue {
    guard case .weight(let argument) = program.values[value].source else {
      preconditionFailure("a weight is not a weight")
    }
    let base = frame.arguments[argument]
    guard let groups else { return base }
    let width = program.values[value].width
    let group = group(groups)
    let address = code.at(base, ir.mul(group, ir.int(width)))
    return ir.select(ir.compare(.less, group, ir.int(0)), code.zeros(width), address)
  }

  // MARK: Matmuls

  /// Emits a matmul, and strip by strip of its columns what stands behind it.
  private func emitMatmul(_ step: BlockProgram.Step, behind: [BlockLayout.Item]) {
    guard !behind.isEmpty else { return emitMatmul(step) }
    let width = program.values[step.results[0]].width
    let columns = layout.stripColumns
    let whole = width / columns * columns
    ir.loop(from: ir.int(0), to: ir.int(whole), by: columns) {
      emitStrip(Strip(start: $0, columns: columns), step, behind)
    }
    if whole < width {
      emitStrip(Strip(start: ir.int(whole), columns: width - whole), step, behind)
    }
  }

  private func emitStrip(
    _ strip: Strip, _ step: BlockProgram.Step, _ behind: [BlockLayout.Item]
  ) {
    self.strip = strip
    emitMatmul(step)
    emitRows(behind)
    self.strip = nil
  }

  private func emitMatmul(_ step: BlockProgram.Step) {
    guard let groups = step.op.groups else { return multiply(step, group: nil) }
    let group = group(groups)
    _ = ir.choose(ir.compare(.less, group, ir.int(0))) {
      for result in step.results { clear(result) }
      return []
    } otherwise: {
      multiply(step, group: group)
      return []
    }
  }

  private func multiply(_ step: BlockProgram.Step, group: IRValue?) {
    if case .linear = step.op {
      for (weight, result) in zip(step.operands.dropFirst(), step.results) {
        multiply(step.operands[0], weight, into: result, group: group, accumulate: false)
      }
    } else {
      for index in stride(from: 0, to: step.operands.count, by: 2) {
        multiply(
          step.operands[index], step.operands[index + 1], into: step.results[0], group: group,
          accumulate: index > 0)
      }
    }
  }

  private func multiply(
    _ rows: Int, _ weight: Int, into result: Int, group: IRValue?, accumulate: Bool
  ) {
    guard case .weight(let argument) = program.values[weight].source else { return }
    let depth = code.operands.units(program.values[rows].width)
    let panel = depth * code.plan.tile.columns
    let group = group ?? ir.int(0)
    // A packed weight's width counts units.
    let units = program.values[weight].width
    let (address, leading) = matmulDestination(result)
    var base = code.at(frame.arguments[argument], ir.mul(group, ir.int(units)))
    var panels = units / panel
    if let strip {
      base = code.at(base, ir.mul(strip.start, ir.int(depth)))
      panels = code.plan.tile.padded(strip.columns) / code.plan.tile.columns
    }
    // Strips are too narrow for pieces: each would read all of them.
    let piece = strip == nil ? code.pieceOfDepth(depth, rows: program.blockRows) : nil
    code.multiply(
      matmulOperand(rows),
      MatmulPanels(
        base: base, panelStride: panel, depthStride: code.plan.tile.columns,
        fetchedLines: hasLowBlocks ? 2 : 1),
      into: MatmulResult(
        base: address, leading: leading, accumulates: accumulate,
        isCold: strip == nil && !accumulate),
      rows: block.count, panels: ir.int(panels), depth: depth, by: piece, operands: code.operands)
  }

  /// `true` iff blocks are commonly lower than they may be, so that few tiles share the next panel.
  private var hasLowBlocks: Bool {
    program.rows < program.blockRows * max(1, program.plan?.segments ?? 1)
  }

  private func matmulOperand(_ value: Int) -> MatmulOperand {
    let width = program.values[value].width
    var (base, stride) = (operandAddress(value), layout.operandStride(value))
    if layout.readsInPlace(value) {
      switch (program.values[value].source, layout.homes[value]) {
      case (.rows(let argument, _), _):
        base = code.at(frame.arguments[argument], ir.mul(block.first, ir.int(width)))
        stride = width
      case (_, .stored):
        base = storedRow(value, block.first)
        stride = width
      case (_, .block(let offset, let leading)):
        base = scratch(offset)
        stride = leading
      default: preconditionFailure("a matmul's operand has no rows")
      }
    }
    return MatmulOperand(
      base: base, rowStride: stride, depthStride: 1, isTiled: code.operands.isTiled)
  }

  /// Returns where the first row of a matmul's result begins, in the present strip.
  private func matmulDestination(_ value: Int) -> (IRValue, leading: Int) {
    let start = strip?.start ?? ir.int(0)
    switch layout.homes[value] {
    case .strip(let offset, let leading): return (scratch(offset), leading)
    case .block(let offset, let leading): return (code.at(scratch(offset), start), leading)
    default:
      return (
        code.at(storedRow(value, block.first), start), program.values[value].width
      )
    }
  }

  private func clear(_ value: Int) {
    let (address, leading) = matmulDestination(value)
    let width = strip?.columns ?? program.values[value].width
    ir.loop(from: ir.int(0), to: block.count) { row in
      ir.clear(code.at(address, ir.mul(row, ir.int(leading))), bytes: ir.int(4 * width))
    }
  }

  /// Returns the address of row `row` of the value's store.
  func storedRow(_ value: Int, _ row: IRValue) -> IRValue {
    guard let store = program.values[value].store else {
      preconditionFailure("the value is not stored")
    }
    return code.at(
      frame.arguments[store.argument], ir.mul(row, ir.int(program.values[value].width)))
  }
}

extension CodeGenerator {
  /// Emits the loop over the blocks of all grains that this thread does, by what rows of each segment cost.
  ///
  /// A part of the work is about a block of full height. The last segment holds the rows of no segment.
  func forEachBlock(
    of program: BlockProgram, plan: (base: IRValue, segments: Int)?, costs: [Int],
    _ frame: KernelFrame, _ body: (BlockEmitter.Block) -> Void
  ) {
    let (rows, grain) = (program.rows, program.grain)
    // Grains `low..<high` of a segment whose first is number `base` of all.
    func blocks(
      of segment: IRValue, _ range: (start: IRValue, end: IRValue), low: IRValue, high: IRValue,
      base: IRValue
    ) {
      let from = ir.add(range.start, ir.mul(low, ir.int(grain)))
      let to = ir.min(ir.add(range.start, ir.mul(high, ir.int(grain))), range.end)
      ir.loop(from: from, to: to, by: program.blockRows) { first in
        let count = ir.min(ir.int(program.blockRows), ir.sub(to, first))
        let number = ir.udiv(ir.sub(first, range.start), ir.int(grain))
        body(.init(first: first, count: count, segment: segment, grain: ir.add(base, number)))
      }
    }
    let grainsOfBlock = program.blockRows / grain
    guard let plan else {
      let grains = (rows + grain - 1) / grain
      let parts = evenParts(ir.int((grains + grainsOfBlock - 1) / grainsOfBlock), frame)
      return forEachPart(of: parts, frame) { part in
        let (low, high) = range(ofPart: part, of: parts, in: ir.int(grains))
        blocks(of: ir.int(0), (ir.int(0), ir.int(rows)), low: low, high: high, base: ir.int(0))
      }
    }
    let total = segmentLoop(plan, rows: rows, grain: grain, costs: costs) { _ in }
    let parts = evenParts(ceilDivide(total, grainsOfBlock * (costs.max() ?? 1)), frame)
    forEachPart(of: parts, frame) { part in
      // A grain belongs to the part in whose share of all costs it begins.
      let (from, to) = range(ofPart: part, of: parts, in: total)
      segmentLoop(plan, rows: rows, grain: grain, costs: costs) { segment in
        func first(from start: IRValue) -> IRValue {
          let distance = ir.max(ir.sub(start, segment.costBefore), ir.int(0))
          return ir.min(ceilDivide(distance, segment.cost), segment.grains)
        }
        blocks(
          of: segment.number, (segment.start, segment.end), low: first(from: from),
          high: first(from: to), base: segment.grainsBefore)
      }
    }
  }

  /// A plan's segment, or the rows of none behind the last.
  struct Segment {
    /// Its number, its first row and the row after its last.
    let number, start, end: IRValue
    /// Its grains, and what each of them costs.
    let grains, cost: IRValue
    /// The grains of the segments before, and what they cost.
    let grainsBefore, costBefore: IRValue
  }

  /// Emits a loop over a plan's segments and the rest; returns what all their grains cost, by default 1 each.
  @discardableResult
  func segmentLoop(
    _ plan: (base: IRValue, segments: Int), rows: Int, grain: Int, costs: [Int]? = nil,
    _ body: (Segment) -> Void
  ) -> IRValue {
    let table = costs.map { ir.constantArray($0, name: "costs") }
    let zero = ir.int(0)
    return ir.loop(from: zero, to: ir.int(plan.segments + 1), carrying: [zero, zero]) {
      number, before in
      let start = loadIndex(plan.base, number)
      let next = ir.min(ir.add(number, ir.int(1)), ir.int(plan.segments))
      let isRest = ir.compare(.equal, number, ir.int(plan.segments))
      let end = ir.select(isRest, ir.int(rows), loadIndex(plan.base, next))
      let segment = Segment(
        number: number, start: start, end: end, grains: ceilDivide(ir.sub(end, start), grain),
        cost: table.map { loadIndex($0, number) } ?? ir.int(1), grainsBefore: before[0],
        costBefore: before[1])
      body(segment)
      return [
        ir.add(before[0], segment.grains),
        ir.add(before[1], ir.mul(segment.grains, segment.cost)),
      ]
    }[1]
  }

  /// Returns the address of the table segment → group, with `none` for the rows of no segment.
  func groupTable(_ groups: Groups) -> IRValue {
    ir.constantArray(groups.ofSegment + [Groups.none], name: "groups")
  }

  /// Returns the address of at least `count` zeros.
  func zeros(_ count: Int) -> IRValue { ir.zeroArray(count, name: "zeros") }
}
