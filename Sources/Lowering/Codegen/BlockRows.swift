internal import LLVMKit
internal import MoTIR

// Row stages: for every row of the block, column loops and row reductions one after another.
//
// Neighbouring items that work column by column share one loop, in which values stay in registers.
extension BlockEmitter {
  /// Emits a stage that does `items` for each row of the block, and then lays out what is to be.
  func emitRows(_ items: [BlockLayout.Item]) {
    var inRows: [BlockLayout.Item] = []
    var laidOut: [Int] = []
    for item in items {
      if case .layOut(let value) = item { laidOut.append(value) } else { inRows.append(item) }
    }
    if !inRows.isEmpty { emitLoop(inRows) }
    for value in laidOut { layOut(value) }
  }

  private func emitLoop(_ items: [BlockLayout.Item]) {
    let groups = columnGroups(items)
    ir.loop(from: ir.int(0), to: block.count) { inBlock in
      let index = ir.add(block.first, inBlock)
      var routed: IRValue?
      if let plan = program.plan, needsRouted(items) {
        routed = code.loadIndex(
          frame.arguments[plan.argument], ir.add(index, ir.int(plan.layout.firstRow)))
      }
      row = Row(inBlock: inBlock, index: index, routed: routed)
      if let strip { prefetch(strip, of: items, row: ir.add(index, ir.int(4))) }
      for (number, group) in groups.enumerated() {
        emitGroup(group, later: groups[(number + 1)...].flatMap { $0 })
      }
    }
  }

  /// Asks for a later row's part of the strip: rows in memory are far apart, so that the hardware does not
  /// guess the next one.
  private func prefetch(_ strip: Strip, of items: [BlockLayout.Item], row: IRValue) {
    for value in Set(values(of: items)).sorted() {
      let description = program.values[value]
      let argument: Int
      if case .rows(let source, .identity) = description.source {
        argument = source
      } else if let store = description.store, store.access == .identity, description.width > 1 {
        argument = store.argument
      } else {
        continue
      }
      let place = ir.add(ir.mul(row, ir.int(description.width)), strip.start)
      // Lines of 64 bytes.
      for column in stride(from: 0, to: min(strip.columns, description.width), by: 16) {
        ir.prefetch(code.at(frame.arguments[argument], ir.add(place, ir.int(column))))
      }
    }
  }

  private func needsRouted(_ items: [BlockLayout.Item]) -> Bool {
    values(of: items).contains { value in
      if case .rows(_, .routed) = program.values[value].source { return true }
      return program.values[value].store?.access == .routed
    }
  }

  /// Returns all values that items read or define.
  private func values(of items: [BlockLayout.Item]) -> [Int] {
    items.flatMap { item in
      switch item {
      case .step(let step): program.steps[step].operands + program.steps[step].results
      case .operand(let value), .keep(let value), .layOut(let value): [value]
      }
    }
  }

  // MARK: Column groups

  /// Cuts items into runs that one column loop does, and steps that are done by themselves.
  private func columnGroups(_ items: [BlockLayout.Item]) -> [[BlockLayout.Item]] {
    var groups: [[BlockLayout.Item]] = []
    var width: Int?
    for item in items {
      let own = layout.columnWidth(item)
      if own != nil, own == width {
        groups[groups.count - 1].append(item)
      } else {
        groups.append([item])
      }
      width = own
    }
    return groups
  }

  private func emitGroup(_ items: [BlockLayout.Item], later: [BlockLayout.Item]) {
    guard let width = layout.columnWidth(items[0]) else {
      if case .step(let step) = items[0] { emitReduction(program.steps[step]) }
      return
    }
    let narrow = hoistNarrow(items, width: width)
    let rows = hoistRows(items)
    let readLater = Set(later.flatMap(layout.reads))
    for case .operand(let value) in items {
      code.openOperandRow(operandRow(value), width: program.values[value].width)
    }
    code.columns(strip?.columns ?? width, from: strip?.start) { column, active in
      registers = narrow
      for item in items {
        emitColumns(
          item, column, active, width: width, tables: rows, readLater: readLater)
      }
      registers = [:]
    }
  }

  /// Loads values of width 1 before a loop over wider ones, as full vectors.
  private func hoistNarrow(_ items: [BlockLayout.Item], width: Int) -> [Int: IRValue] {
    guard width > 1 else { return [:] }
    var loaded: [Int: IRValue] = [:]
    for case .step(let number) in items {
      guard case .binary = program.steps[number].op else { continue }
      let value = program.steps[number].operands[1]
      let isScalar = if case .scalar = program.values[value].source { true } else { false }
      guard isScalar || program.values[value].width == 1, loaded[value] == nil else { continue }
      loaded[value] = ir.splat(readNarrow(value), code.lanes)
    }
    return loaded
  }

  /// Finds the rows of embedding tables before the loop over their columns, by step.
  private func hoistRows(_ items: [BlockLayout.Item]) -> [Int: IRValue] {
    var found: [Int: IRValue] = [:]
    for case .step(let number) in items {
      let step = program.steps[number]
      guard case .embed = step.op else { continue }
      let token = ir.signExtend(readNarrow(step.operands[0]), ir.i64)
      let width = program.values[step.results[0]].width
      found[number] = code.at(weights(step.operands[1], nil), ir.mul(token, ir.int(width)))
    }
    return found
  }

  // MARK: One item in a column loop

  private func emitColumns(
    _ item: BlockLayout.Item, _ column: IRValue, _ active: Int, width: Int,
    tables: [Int: IRValue], readLater: Set<Int>
  ) {
    switch item {
    case .operand(let value): writeOperand(value, column, active)
    case .keep(let value): writeStore(value, column, read(value, column, active), active)
    case .layOut: break
    case .step(let number):
      let step = program.steps[number]
      if case .columnSum = step.op {
        let x = read(step.operands[0], column, active)
        return addToSum(step.results[0], column, x, active, scalar: width == 1)
      }
      let value: IRValue
      if let table = tables[number] {
        value = code.load(code.at(table, column), active, scalar: width == 1)
      } else {
        value = compute(step, column, active, width: width)
      }
      let result = step.results[0]
      registers[result] = value
      write(result, column, value, active, home: readLater.contains(result))
    }
  }

  private func compute(
    _ step: BlockProgram.Step, _ column: IRValue, _ active: Int, width: Int
  ) -> IRValue {
    let x = read(step.operands[0], column, active)
    switch step.op {
    case .gather, .scatter: return x
    case .dispatch:
      let segments = ir.int(program.plan?.segments ?? 0)
      return ir.select(ir.compare(.less, block.segment, segments), x, ir.zero(x.type))
    case .unary(let function): return apply(function, x)
    case .binary(let function): return apply(function, x, read(step.operands[1], column, active))
    case .channelMultiply(let groups):
      return ir.fmul(x, channel(step.operands[1], groups, column, active, width: width))
    case .channelAdd(let groups):
      let sum = ir.fadd(x, channel(step.operands[1], groups, column, active, width: width))
      guard let groups else { return sum }
      // Rows of no segment give 0, and not x.
      let isRouted = ir.compare(.greaterOrEqual, group(groups), ir.int(0))
      return ir.select(isRouted, sum, ir.zero(sum.type))
    default: preconditionFailure("\(step.op.mnemonic) is not done column by column")
    }
  }

  /// Loads the channels of `columns`, which repeat if they are narrower than the row.
  private func channel(
    _ value: Int, _ groups: Groups?, _ column: IRValue, _ active: Int, width: Int
  ) -> IRValue {
    let base = weights(value, groups)
    let channels = program.values[value].width
    if channels == width { return code.load(code.at(base, column), active, scalar: width == 1) }
    // A vector of columns may wrap around: take its lanes one by one.
    var result = ir.zero(code.vector)
    for lane in 0..<active {
      let index = ir.urem(ir.add(column, ir.int(lane)), ir.int(channels))
      result = ir.insert(ir.load(ir.f32, code.at(base, index)), into: result, lane: lane)
    }
    return result
  }

  private func apply(_ function: Op.Unary, _ x: IRValue) -> IRValue {
    switch function {
    case .negate: ir.fneg(x)
    case .exponential: code.exp(x)
    case .logarithm: code.log(x)
    case .squareRoot: ir.sqrt(x)
    case .reciprocalSquareRoot: code.reciprocalSquareRoot(x)
    case .sine: code.sine(x)
    case .cosine: code.cosine(x)
    case .sigmoid: code.sigmoid(x)
    case .tanh: code.tanh(x)
    case .silu: ir.fmul(x, code.sigmoid(x))
    case .gelu: code.gelu(x)
    // NaN must stay NaN, so the comparison asks for what is to become 0.
    case .relu: ir.select(ir.fcompare(.lessOrEqual, x, ir.zero(x.type)), ir.zero(x.type), x)
    case .step:
      ir.select(
        ir.fcompare(.greater, x, ir.zero(x.type)), ir.float(1, x.type), ir.zero(x.type))
    }
  }

  private func apply(_ function: Op.Binary, _ a: IRValue, _ b: IRValue) -> IRValue {
    switch function {
    case .add: ir.fadd(a, b)
    case .subtract: ir.fsub(a, b)
    case .multiply: ir.fmul(a, b)
    case .divide: ir.fdiv(a, b)
    }
  }
}
