internal import MoTIR

// Kernels that compute one node each.
extension FunctionPlanner {
  /// A linear map or its input gradient by OpenBLAS.
  mutating func planBlas(_ node: Node) {
    let data = data(node)
    let (rows, width) = shape(data[0])
    let isForward = if case .linear = node.op { true } else { false }
    let linear =
      isForward
      ? LinearShape(
        rows: rows, input: width, outputs: node.results.map { shape($0).width },
        routing: routing(node))
      : LinearShape(
        rows: rows, input: shape(node.results[0]).width,
        outputs: stride(from: 0, to: data.count, by: 2).map { shape(data[$0]).width },
        routing: routing(node))
    let arguments =
      data.map { KernelArgument.buffer(matmulOperand($0), .read) }
      + node.results.map { .buffer(place($0), .write) } + planArgument(node)
    call(
      isForward ? .blasLinear(linear) : .blasInputGradient(linear), arguments,
      flops: flops(linear, of: node), nodes: [definition(node)])
  }

  /// Returns the operations of a linear map or of one of its gradients.
  private func flops(_ linear: LinearShape, of node: Node) -> Double {
    2 * graph.multipliedRows(of: node, rows: linear.rows) * Double(linear.input)
      * Double(linear.outputs.reduce(0, +))
  }

  /// Returns the buffer of a matmul's operand; for OpenBLAS in bf16 a copy with rounded elements.
  private mutating func matmulOperand(_ value: ValueID) -> BufferID {
    let source = buffer(value)
    guard builder.plan.backend == .blas, builder.plan.operands == .bf16 else { return source }
    let count = graph.type(of: value).elementCount
    let rounded = builder.addTemporary(bytes: 4 * count, label: "rounded %\(value.index)")
    call(
      .round, [.buffer(source, .read), .buffer(rounded, .write), .integer(count)],
      nodes: [graph.values[value.index].definition])
    return rounded
  }

  /// A linear map of few rows; its operands are as they are in `Kernel.fewRowLinear`.
  mutating func planFewRows(_ node: Node) {
    let data = data(node)
    let (rows, width) = shape(data[0])
    let linear = LinearShape(
      rows: rows, input: width, outputs: node.results.map { shape($0).width },
      routing: routing(node))
    let weights = data.dropFirst().map { weight in
      guard case .parameter(let name) = graph.definition(of: weight).op else {
        preconditionFailure("a weight is no parameter")
      }
      return KernelArgument.buffer(builder.forwardForm(name), .read)
    }
    call(
      .fewRowLinear(linear),
      [.buffer(buffer(data[0]), .read)] + weights + node.results.map { .buffer(place($0), .write) }
        + planArgument(node), flops: flops(linear, of: node), nodes: [definition(node)])
  }

  /// The gradient of a linear map's weights, by outer products or by OpenBLAS.
  mutating func planWeightGradient(_ node: Node) {
    let data = data(node)
    let (rows, input) = shape(data[0])
    let linear = LinearShape(
      rows: rows, input: input, outputs: data.dropFirst().map { shape($0).width },
      routing: routing(node))
    let writes = node.results.map { KernelArgument.buffer(place($0), .write) }
    if builder.plan.backend == .blas {
      let reads = data.map { KernelArgument.buffer(matmulOperand($0), .read) }
      return call(
        .blasWeightGradient(linear), reads + writes + planArgument(node),
        flops: flops(linear, of: node), nodes: [definition(node)])
    }
    let outers = data.map { outer($0, for: definition(node)) }
    let laidOut = Set(outers.indices.filter { outers[$0] != nil })
    let reads = zip(data, outers).map { value, outer in
      KernelArgument.buffer(outer?.buffer ?? buffer(value), .read)
    }
    let bytes = linear.workspaceBytes(
      tile: builder.plan.tile, operands: builder.plan.operands, laidOut: laidOut)
    let workspace =
      bytes > 0 ? [builder.addTemporary(bytes: bytes, label: "operands laid out")] : []
    call(
      .weightGradient(linear, laidOut: laidOut),
      reads + workspace.map { .buffer($0, .write) } + writes + planArgument(node),
      flops: flops(linear, of: node), nodes: [definition(node)])
  }

  /// Attention, or its gradient.
  mutating func planAttention(_ node: Node, _ attention: Op.Attention, gradient: Bool) {
    let (rows, width) = shape(node.operands[0])
    let kernel = AttentionShape(
      attention: attention, sequence: rows / attention.batch, headWidth: width / attention.heads)
    let rowOperands = gradient ? 6 : 3
    let operands = node.operands.map { KernelArgument.buffer(buffer($0), .read) }
    let results = node.results.map { KernelArgument.buffer(place($0), .write) }
    let pairs =
      Double(rows) * Double(attention.causal ? kernel.sequence + 1 : kernel.sequence)
      / (attention.causal ? 2 : 1)
    call(
      gradient ? .attentionGradient(kernel) : .attention(kernel),
      operands[..<rowOperands] + results + operands[rowOperands...],
      flops: (gradient ? 8 : 4) * pairs * Double(width), nodes: [definition(node)])
  }

  /// Attention that goes on from caches: the new rows are stored, then all threads see them. Its operations are
  /// counted as if every slot were visible.
  mutating func planCachedAttention(_ node: Node, _ attention: Op.CachedAttention) {
    let (rows, width) = shape(node.operands[0])
    guard case .tensor(_, let cache) = graph.type(of: node.operands[3]) else { return }
    let shape = CachedAttentionShape(
      attention: attention, sequence: rows / attention.batch, headWidth: width / attention.heads,
      capacity: cache[1])
    let bytes = shape.cacheBytes(tile: builder.plan.tile, operands: builder.plan.operands)
    let caches = node.operands[3...4].map { cache in
      guard case .input(let name) = graph.definition(of: cache).op else {
        preconditionFailure("a cache is no input")
      }
      return builder.shared(.caches, name, bytes: bytes)
    }
    func reads(_ operand: Int) -> KernelArgument { .buffer(buffer(node.operands[operand]), .read) }
    call(
      .cacheStore(shape),
      [reads(1), reads(2), reads(5)] + caches.map { .buffer($0, .update) }, nodes: [])
    call(
      .cachedAttention(shape),
      [reads(0)] + caches.map { .buffer($0, .read) }
        + [reads(6), .buffer(place(node.results[0]), .write)],
      flops: 4 * Double(rows) * Double(shape.capacity) * Double(width), nodes: [definition(node)])
  }

  /// The sum of all elements.
  mutating func planSum(_ node: Node) {
    let source = buffer(node.operands[0])
    call(
      .sum(count: graph.type(of: node.operands[0]).elementCount),
      [.buffer(source, .read), .buffer(place(node.results[0]), .write)],
      nodes: [definition(node)])
  }

  /// The gradient of an embedding table.
  mutating func planEmbedGradient(_ node: Node, _ vocabulary: Int) {
    let (rows, width) = shape(node.operands[1])
    call(
      .embedGradient(rows: rows, vocabulary: vocabulary, width: width),
      [
        .buffer(buffer(node.operands[0]), .read), .buffer(buffer(node.operands[1]), .read),
        .buffer(place(node.results[0]), .write),
      ], nodes: [definition(node)])
  }

  /// The weights that make a sum over tokens a mean.
  mutating func planTokenWeights(_ node: Node, _ ranges: [Range<Int>], hasCount: Bool) {
    call(
      .tokenWeights(rows: shape(node.operands[0]).rows, ranges: ranges, hasCount: hasCount),
      node.operands.map { .buffer(buffer($0), .read) }
        + [.buffer(place(node.results[0]), .write)],
      nodes: [definition(node)])
  }

  /// The head with its loss; `Kernel.headLoss` lists the arguments.
  mutating func planHeadLoss(_ node: Node, gradient: Bool) {
    let (rows, width) = shape(node.operands[0])
    guard case .parameter(let name) = graph.definition(of: node.operands[1]).op else {
      preconditionFailure("a head's weight is no parameter")
    }
    let vocabulary = shape(node.operands[1]).rows
    let chunk = headChunk(rows: rows, vocabulary: vocabulary)
    let headShape = HeadLossShape(
      rows: rows, width: width, vocabulary: vocabulary, hasGradient: gradient, chunk: chunk)
    let blas = builder.plan.backend == .blas
    let forward = blas ? builder.parameter(name).master : builder.forwardForm(name)
    var arguments: [KernelArgument] = [
      .buffer(buffer(node.operands[0]), .read), .buffer(forward, .read),
    ]
    if gradient {
      let backward = blas ? forward : builder.backwardForm(name)
      arguments.append(.buffer(backward, .read))
    }
    arguments += node.operands[2...].map { .buffer(buffer($0), .read) }
    arguments += node.results.map { .buffer(place($0), .write) }
    if gradient {
      let workspace = builder.addTemporary(
        bytes: headShape.workspaceBytes(
          tile: builder.plan.tile, operands: builder.plan.operands),
        label: "logit gradients of a chunk")
      arguments.append(.buffer(workspace, .write))
    }
    let flops = (gradient ? 6.0 : 2.0) * Double(rows) * Double(width) * Double(vocabulary)
    call(.headLoss(headShape), arguments, flops: flops, nodes: [definition(node)])
  }

  /// Returns how many rows of logit gradients are kept at a time: 128 MiB of them, 64 to 1,024 rows.
  private func headChunk(rows: Int, vocabulary: Int) -> Int {
    let fitting = (32 << 20) / max(1, vocabulary) / 64 * 64
    return min(max(64, min(1024, fitting)), (rows + 63) / 64 * 64)
  }

  // MARK: Constants and copies

  /// Writes a constant to memory, for kernels that cannot take it as a number.
  mutating func fill(_ value: ValueID) -> BufferID {
    guard case .constant(let number) = graph.definition(of: value).op else {
      preconditionFailure("only constants are filled in")
    }
    let target = place(value)
    let (rows, width) = shape(value)
    let constant = BlockProgram.Value(
      width: width, element: .f32, source: .constant(number),
      store: .init(argument: 0, access: .identity))
    let program = program(rows: rows, plan: nil, [constant], [])
    call(.block(program), [.buffer(target, .write)], nodes: [])
    return target
  }

  /// Copies a value to another buffer.
  mutating func copy(_ value: ValueID, from source: BufferID, to target: BufferID) {
    let (rows, width) = shape(value)
    let element = graph.type(of: value).element ?? .f32
    let copied = BlockProgram.Value(
      width: width, element: element, source: .rows(argument: 0, .identity),
      store: .init(argument: 1, access: .identity))
    let program = program(rows: rows, plan: nil, [copied], [])
    call(.block(program), [.buffer(source, .read), .buffer(target, .write)], nodes: [])
  }
}
