internal import MoTIR

/// Builds the block program of one unit and the call's arguments.
struct BlockAssembly {
  var values: [BlockProgram.Value] = []
  var steps: [BlockProgram.Step] = []
  var arguments: [KernelArgument] = []
  var numbers: [ValueID: Int] = [:]
  var argumentOfBuffer: [BufferID: Int] = [:]
  /// The plan whose segments blocks keep to, if there is one.
  var plan: ValueID?
  var flops = 0.0

  /// Returns the argument for `buffer`, adding it or widening its access.
  mutating func argument(_ buffer: BufferID, _ access: Access) -> Int {
    if let index = argumentOfBuffer[buffer] {
      if case .buffer(_, let old) = arguments[index], old != access {
        arguments[index] = .buffer(buffer, .update)
      }
      return index
    }
    argumentOfBuffer[buffer] = arguments.count
    arguments.append(.buffer(buffer, access))
    return arguments.count - 1
  }

  /// Adds a value and returns its number.
  mutating func add(_ value: BlockProgram.Value) -> Int {
    values.append(value)
    return values.count - 1
  }
}

extension FunctionPlanner {
  /// Plans a unit of row-wise nodes as one block program, and the second half of its column sums.
  mutating func planBlock(_ unit: Unit) {
    var block = BlockAssembly()
    let members = Set(unit.nodes)
    let plan = unit.nodes.compactMap { graph.plan(of: graph[$0]) }.first
    block.plan = plan
    var use: BlockProgram.PlanUse?
    if let plan, case .plan(let layout) = graph.type(of: plan) {
      use = .init(argument: block.argument(buffer(plan), .read), layout: layout)
    }
    let rows = unitRows(unit)
    var sums: [(node: Node, partials: BufferID)] = []
    for id in unit.nodes {
      let node = graph[id]
      switch node.op {
      case .gather, .dispatch: addGather(node, members, to: &block)
      case .scatter: addScatter(node, members, to: &block)
      case .columnSum:
        let partials = addColumnSum(node, rows: rows, segments: use?.segments ?? 0, to: &block)
        sums.append((node, partials))
      case .linear, .linearInputGradient, .norm, .normGradient, .channelMultiply, .channelAdd,
        .rotary, .unary, .binary, .rowSum, .logSumExponentials, .embed, .crossEntropy,
        .crossEntropyGradient:
        addStep(node, members, to: &block)
      case .input, .parameter, .constant, .route, .sync, .routeExperts, .combine, .gates,
        .gatesGradient, .balance, .linearWeightGradient, .attention, .attentionGradient,
        .cachedAttention, .sum, .embedGradient, .tokenWeights, .headLoss,
        .headLossGradient:
        preconditionFailure("\(node.op.mnemonic) is no step of a block")
      }
    }
    let program = program(rows: rows, plan: use, block.values, block.steps)
    call(.block(program), block.arguments, flops: block.flops, nodes: unit.nodes)
    let planBuffer = plan.map { buffer($0) }
    for (node, partials) in sums {
      planColumnSum(node, partials: partials, of: program, plan: planBuffer)
    }
  }

  private func unitRows(_ unit: Unit) -> Int {
    let node = graph[unit.nodes[0]]
    if case .columnSum = node.op { return shape(node.operands[0]).rows }
    return shape(node.results[0]).rows
  }

  /// Returns a block program in blocks that use the weights in cache often.
  func program(
    rows: Int, plan: BlockProgram.PlanUse?, _ values: [BlockProgram.Value],
    _ steps: [BlockProgram.Step]
  ) -> BlockProgram {
    let grain = grain(rows)
    // As many rows as leave room in the second cache for what a chain of linear maps hands on.
    let most = 64 * builder.plan.operands.depth
    return BlockProgram(
      rows: rows, blockRows: min(most, (rows + grain - 1) / grain * grain), grain: grain,
      plan: plan, values: values, steps: steps)
  }

  /// Returns the rows of a grain: few enough for equal shares, enough for whole register tiles and bands.
  private func grain(_ rows: Int) -> Int {
    max(builder.plan.operands.band, rows >= 1024 ? 32 : rows >= 256 ? 16 : 8)
  }

  // MARK: Values

  /// Returns the number of `value` in the program, adding what comes from outside.
  private mutating func number(_ value: ValueID, to block: inout BlockAssembly) -> Int {
    if let number = block.numbers[value] { return number }
    let type = graph.type(of: value)
    let source: BlockProgram.Source
    var width = shape(value).width
    if case .constant(let constant) = graph.definition(of: value).op {
      source = .constant(constant)
      if type == .scalar { width = 1 }
    } else if type == .scalar {
      source = .scalar(argument: block.argument(buffer(value), .read))
    } else {
      source = .rows(argument: block.argument(buffer(value), .read), .identity)
    }
    let number = block.add(.init(width: width, element: type.element ?? .f32, source: source))
    block.numbers[value] = number
    return number
  }

  /// Adds a weight in the form of `buffer`, `width` elements a group.
  private func weight(_ buffer: BufferID, width: Int, to block: inout BlockAssembly) -> Int {
    let argument = block.argument(buffer, .read)
    return block.add(.init(width: width, element: .f32, source: .weight(argument: argument)))
  }

  /// Returns where `value` is to be stored, if another kernel reads it.
  private mutating func store(
    _ value: ValueID, _ members: Set<NodeID>, to block: inout BlockAssembly
  ) -> BlockProgram.Store? {
    guard leaves(value, members) else { return nil }
    return .init(argument: block.argument(place(value), .write), access: .identity)
  }

  /// Returns where `value` is to be laid out, if a weight gradient that keeps to the block's plan reads it.
  private mutating func outerStore(
    _ value: ValueID, to block: inout BlockAssembly
  ) -> BlockProgram.OuterStore? {
    guard let outer = planOuter(value, plan: block.plan) else { return nil }
    return .init(argument: block.argument(outer.buffer, .write), side: outer.side)
  }

  // MARK: Nodes

  private mutating func addGather(
    _ node: Node, _ members: Set<NodeID>, to block: inout BlockAssembly
  ) {
    let source = block.argument(buffer(node.operands[0]), .read)
    let value = node.results[0]
    let (width, element) = (shape(value).width, graph.type(of: value).element ?? .f32)
    let outer = outerStore(value, to: &block)
    let store = store(value, members, to: &block)
    let rows = BlockProgram.Source.rows(argument: source, .routed)
    // A row that no expert takes is 0, which takes a step.
    guard outer != nil || node.op == .dispatch else {
      block.numbers[value] = block.add(
        .init(width: width, element: element, source: rows, store: store))
      return
    }
    let operand = block.add(.init(width: width, element: element, source: rows))
    let result = block.add(
      .init(width: width, element: element, source: .step, store: store, outer: outer))
    addStep(node, node.op, [operand], [result], to: &block)
    block.numbers[value] = result
  }

  private mutating func addScatter(
    _ node: Node, _ members: Set<NodeID>, to block: inout BlockAssembly
  ) {
    let place = BlockProgram.Store(
      argument: block.argument(place(node.results[0]), .write), access: .routed)
    let operand = number(node.operands[0], to: &block)
    if block.values[operand].source == .step, block.values[operand].store == nil {
      // The producer writes its rows straight to their places.
      block.values[operand].store = place
      return
    }
    let value = block.values[operand]
    let result = block.add(
      .init(width: value.width, element: value.element, source: .step, store: place))
    addStep(node, .scatter, [operand], [result], to: &block)
  }

  private mutating func addColumnSum(
    _ node: Node, rows: Int, segments: Int, to block: inout BlockAssembly
  ) -> BufferID {
    let operand = number(node.operands[0], to: &block)
    let width = block.values[operand].width
    let count = BlockProgram.grainCount(rows: rows, grain: grain(rows), segments: segments)
    let partials = builder.addTemporary(bytes: 4 * count * width, label: "partial column sums")
    let result = block.add(
      .init(
        width: width, element: .f32, source: .step,
        store: .init(argument: block.argument(partials, .write), access: .identity)))
    addStep(node, .columnSum(nil, parts: 1), [operand], [result], to: &block)
    return partials
  }

  /// Plans the second half of a column sum, over what `program` left behind.
  private mutating func planColumnSum(
    _ node: Node, partials: BufferID, of program: BlockProgram, plan: BufferID?
  ) {
    guard case .columnSum(_, let parts) = node.op else { return }
    let sum = ColumnSumShape(
      rows: program.rows, grain: program.grain, width: shape(node.operands[0]).width,
      parts: parts, segments: program.plan?.segments ?? 0, groups: node.op.groups)
    call(
      .columnSum(sum),
      [.buffer(partials, .read), .buffer(place(node.results[0]), .write)]
        + (plan.map { [.buffer($0, .read)] } ?? []), nodes: [definition(node)])
  }

  private mutating func addStep(
    _ node: Node, _ members: Set<NodeID>, to block: inout BlockAssembly
  ) {
    let operands = stepOperands(node, to: &block)
    let results = node.results.map { value in
      let outer = outerStore(value, to: &block)
      let store = store(value, members, to: &block)
      let number = block.add(
        .init(width: shape(value).width, element: .f32, source: .step, store: store, outer: outer))
      block.numbers[value] = number
      return number
    }
    addStep(node, node.op, operands, results, to: &block)
  }

  /// Adds `op` on values of the program, which does what `node` asks for.
  private func addStep(
    _ node: Node, _ op: Op, _ operands: [Int], _ results: [Int], to block: inout BlockAssembly
  ) {
    let segments = demand?.segments(of: node, plan: block.plan)
    block.steps.append(.init(op: op, operands: operands, results: results, segments: segments))
  }

  private mutating func stepOperands(_ node: Node, to block: inout BlockAssembly) -> [Int] {
    let data = data(node)
    let weights = node.op.weightPositions(data.count)
    var operands: [Int] = []
    for (index, value) in data.enumerated() {
      guard weights.contains(index) else {
        operands.append(rowOperand(value, of: node, at: index, to: &block))
        continue
      }
      operands.append(weightOperand(node, value, to: &block))
    }
    if case .rotary(let rotary) = node.op {
      let width = shape(data[0]).width / rotary.heads
      operands.append(rotaryTable(rotary, headWidth: width, to: &block))
    }
    return operands
  }

  /// Returns a row operand; a constant only as a number where every reader takes numbers.
  private mutating func rowOperand(
    _ value: ValueID, of node: Node, at index: Int, to block: inout BlockAssembly
  ) -> Int {
    guard index == 0, !node.op.isElementwise, case .constant = graph.definition(of: value).op,
      graph.type(of: value).isRows
    else { return number(value, to: &block) }
    let argument = block.argument(buffer(value), .read)
    return block.add(
      .init(
        width: shape(value).width, element: .f32, source: .rows(argument: argument, .identity)))
  }

  private mutating func weightOperand(
    _ node: Node, _ value: ValueID, to block: inout BlockAssembly
  ) -> Int {
    let type = graph.type(of: value)
    let groups = node.op.groups?.count ?? 1
    guard case .parameter(let name) = graph.definition(of: value).op else {
      return weight(buffer(value), width: type.elementCount / groups, to: &block)
    }
    let matrix = builder.parameter(name).declaration.shape
    switch node.op {
    case .linear, .linearInputGradient:
      let backward = if case .linearInputGradient = node.op { true } else { false }
      let form = backward ? builder.backwardForm(name) : builder.forwardForm(name)
      let rows = graph.multipliedRows(of: node, rows: shape(node.operands[0]).rows)
      block.flops += 2 * rows * Double(matrix[0]) * Double(matrix[1])
      let (wide, deep) = backward ? (matrix[1], matrix[0]) : (matrix[0], matrix[1])
      return weight(form, width: builder.plan.packedUnits(wide: wide, deep: deep), to: &block)
    default:
      return weight(
        builder.parameter(name).master, width: type.elementCount / groups, to: &block)
    }
  }

  private mutating func rotaryTable(
    _ rotary: Rotary, headWidth: Int, to block: inout BlockAssembly
  ) -> Int {
    let positions = module.positionLimit
    let bytes = 4 * positions * headWidth
    let table = builder.constant(
      .rotary(positions: positions, headWidth: headWidth, base: rotary.base), bytes: bytes)
    return weight(table, width: positions * headWidth, to: &block)
  }
}
