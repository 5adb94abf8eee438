import Lowering
import MoTIR
import TestSupport
import Testing

/// The verifier accepts every plan that planning makes, and no corrupted one.
@Suite struct KernelPlanVerifierTests {
  /// A way to break a plan.
  struct Corruption: CustomTestStringConvertible, Sendable {
    let testDescription: String
    /// A piece of the complaint.
    let complaint: String
    let corrupt: @Sendable (inout KernelPlan) throws -> Void

    init(
      _ name: String, _ complaint: String,
      _ corrupt: @escaping @Sendable (inout KernelPlan) throws -> Void
    ) {
      testDescription = name
      self.complaint = complaint
      self.corrupt = corrupt
    }
  }

  @Test(arguments: corruptions)
  func corruptionIsFound(_ corruption: Corruption) throws {
    var plan = try Planned.make(Planned.small())
    #expect(plan.verify() == [])
    try corruption.corrupt(&plan)
    let messages = plan.verify().map(\.message)
    #expect(messages.contains { $0.contains(corruption.complaint) }, "\(messages)")
  }

  @Test(arguments: 1...12, [true, false])
  func randomPlansAreSound(seed: Int, fused: Bool) throws {
    let module = try RandomGraphs.make(seed: UInt64(seed))
    for precision in Precision.allCases {
      let plan = try Planned.make(module, fused: fused, precision: precision)
      #expect(plan.verify() == [], "seed \(seed)")
    }
  }

  @Test(arguments: [true, false])
  func arenaIsReused(fused: Bool) throws {
    let plan = try Planned.make(TestModels.mixture(routing: .naive), fused: fused)
    let all = plan.buffers.filter { $0.region == .arena }.reduce(0) { $0 + $1.bytes }
    #expect(plan.bytes(of: .arena) < 2 * all / 3)
  }

  @Test func barriersAreWhereCallsConflict() throws {
    for fused in [true, false] {
      var plan = try Planned.make(Planned.small(), fused: fused)
      for entry in plan.entries.indices {
        #expect(plan.entries[entry].calls.first?.waits != true)
        for call in plan.entries[entry].calls.indices where plan.entries[entry].calls[call].waits {
          plan.entries[entry].calls[call].waits = false
          #expect(
            plan.verify() != [], "barrier \(call) of \(plan.entries[entry].name) is superfluous")
          plan.entries[entry].calls[call].waits = true
        }
      }
    }
  }

  // MARK: Corruptions

  private static let corruptions: [Corruption] = [
    Corruption("no tile", "an empty tile") {
      $0 = $0.with(tile: TileShape(lanes: 0, rows: 1, vectors: 1))
    },
    Corruption("a buffer before its region", "lies at -64") { $0.buffers[0].offset = -64 },
    Corruption("a buffer between cache lines", "lies at 4") { $0.buffers[0].offset = 4 },
    Corruption("parameters that overlap", "share bytes of parameters") {
      let second = $0.parameters[1].master.index
      $0.buffers[second].offset = 0
    },
    Corruption("a gradient beyond its region", "ends beyond gradients") {
      let gradient = try #require($0.parameters[0].gradient).index
      $0.buffers[gradient].offset = 1 << 30
    },
    Corruption("a gradient that lies elsewhere", "the gradient of") {
      let gradient = try #require($0.parameters[0].gradient).index
      $0.buffers[gradient].offset = 64
    },
    Corruption("a packed form that is too small", "a packed form of") {
      let forms = $0.parameters.compactMap(\.forward)
      try $0.replace(#require(forms.first), bytes: 64)
    },
    Corruption("an input outside of inputs", "is not in inputs") {
      let input = try #require($0.entries[0].inputs.first)
      $0.replace(input.buffer, region: .arena)
    },
    Corruption("a buffer that is too small", "has 4 of") {
      let buffer = try #require($0.buffers.firstIndex { $0.region == .arena && $0.bytes > 4 })
      $0.replace(BufferID(buffer), bytes: 4)
    },
    Corruption("a kernel that writes to a parameter", "it writes to parameters") {
      let master = $0.parameters[0].master
      try $0.change(call: 0) { call in
        call.with(
          arguments: call.arguments.map { argument in
            if case .buffer(_, .write) = argument { .buffer(master, .write) } else { argument }
          })
      }
    },
    Corruption("a call of a buffer that is not there", "there is no buffer") {
      try $0.change(call: 2) { $0.replacing(0, .buffer(BufferID(1 << 20), .read)) }
    },
    Corruption("a parameter without its packed form", "is no packed form") {
      for index in $0.parameters.indices { $0.parameters[index].forward = nil }
    },
    Corruption("a pack entry that forgets", "nothing packs") {
      let pack = try #require($0.entries.firstIndex { $0.name == "pack" })
      $0.entries[pack].calls.removeLast()
    },
    Corruption("a missing argument", "arguments instead of") {
      try $0.change(call: 1) { $0.with(arguments: Array($0.arguments.dropLast())) }
    },
    Corruption("a write that says it reads", "is a read, not a write") {
      try $0.change(call: 0) { call in
        call.with(
          arguments: call.arguments.map { argument in
            if case .buffer(let id, .write) = argument { .buffer(id, .read) } else { argument }
          })
      }
    },
    Corruption("a call that comes too early", "is read before it is written") {
      $0.entries[0].calls.swapAt(0, 1)
    },
    Corruption("arena buffers in one place", "live in the same bytes") {
      for index in $0.buffers.indices where $0.buffers[index].region == .arena {
        $0.buffers[index].offset = 0
      }
    },
    Corruption("no barriers", "must wait for call") {
      for index in $0.entries[0].calls.indices { $0.entries[0].calls[index].waits = false }
    },
    Corruption("an entry twice", "a second entry") { $0.entries.append($0.entries[0]) },
    Corruption("an output that nothing writes", "nothing writes output") {
      $0.entries[0].calls.removeAll()
    },
    Corruption("an operand that is not there", "which is not there") {
      try $0.changeBlock { $0.steps[0] = $0.steps[0].with(operands: [99]) }
    },
    Corruption("a result that is not there, of some segments", "which is not there") {
      try $0.changeBlock { program in
        let step = program.steps[0]
        program.steps[0] = .init(
          op: step.op, operands: step.operands, results: [99], segments: [0])
      }
    },
    Corruption("a use before its definition", "before it is computed") {
      try $0.changeBlock { $0.steps.reverse() }
    },
    Corruption("a step lost", "nothing computes") { try $0.changeBlock { $0.steps.removeFirst() } },
    Corruption("a step for a segment that is not there", "is done for [9] of 3 segments") {
      try $0.changeBlock { $0.steps[0].segments = [9] }
    },
    Corruption("a step for a segment twice", "is done for [1, 1] of 3 segments") {
      try $0.changeBlock { $0.steps[0].segments = [1, 1] }
    },
    Corruption("a scatter of some segments", "but not of all segments") {
      try $0.changeBlock { program in
        let value = program.values.firstIndex { $0.source == .step && $0.store != nil }
        let number = try #require(value)
        program.values[number].store = .init(
          argument: try #require(program.values[number].store).argument, access: .routed)
        let step = program.steps.firstIndex { $0.results.contains(number) }
        program.steps[try #require(step)].segments = [0]
      }
    },
    Corruption("a step that is left out where it is read", "where nothing computes it") {
      try $0.changeBlock { program in
        let read = Set(program.steps.flatMap(\.operands))
        let step = program.steps.firstIndex { !read.isDisjoint(with: $0.results) }
        program.steps[try #require(step)].segments = [0]
      }
    },
    Corruption("no rows in a block", "rows in blocks of 0") {
      try $0.changeBlock {
        $0 = BlockProgram(
          rows: $0.rows, blockRows: 0, grain: $0.grain, plan: $0.plan, values: $0.values,
          steps: $0.steps)
      }
    },
    Corruption("a broken grain in a block", "in blocks of 12 by 8") {
      try $0.changeBlock {
        $0 = BlockProgram(
          rows: $0.rows, blockRows: 12, grain: 8, plan: $0.plan, values: $0.values, steps: $0.steps)
      }
    },
    Corruption("routed rows without a plan", "routed rows without a plan") {
      try $0.changeBlock {
        $0 = BlockProgram(
          rows: $0.rows, blockRows: $0.blockRows, grain: $0.grain, plan: nil, values: $0.values,
          steps: $0.steps)
      }
    },
    Corruption("a source laid out", "and no row of a step") {
      try $0.changeBlock { program in
        let source = try #require(program.values.firstIndex { $0.source != .step })
        program.values[source].outer = .init(argument: 0, side: .left)
      }
    },
    Corruption("a store over another one", "is written twice") {
      try $0.changeBlock { program in
        let stored = program.values.indices.filter { program.values[$0].store != nil }
        program.values[stored[1]].store = program.values[stored[0]].store
      }
    },
  ]
}

extension KernelPlan {
  /// Returns this plan with another tile.
  fileprivate func with(tile: TileShape) -> KernelPlan {
    KernelPlan(
      name: name, tile: tile, operands: operands, backend: backend, buffers: buffers,
      entries: entries, parameters: parameters, constants: constants)
  }

  /// Puts a buffer into another region, or gives it another size.
  fileprivate mutating func replace(_ id: BufferID, region: Region? = nil, bytes: Int? = nil) {
    let old = buffers[id.index]
    buffers[id.index] = Buffer(
      region: region ?? old.region, offset: old.offset, bytes: bytes ?? old.bytes,
      label: old.label)
  }

  /// Replaces a call of the first entry.
  fileprivate mutating func change(call: Int, _ change: (KernelCall) -> KernelCall) throws {
    entries[0].calls[call] = change(entries[0].calls[call])
  }

  /// Changes the first block program with a plan, a matmul and two stores.
  fileprivate mutating func changeBlock(_ change: (inout BlockProgram) throws -> Void) throws {
    for (index, call) in entries[0].calls.enumerated() {
      guard case .block(var program) = call.kernel, program.plan != nil,
        program.steps.contains(where: { $0.op.traits.contains(.matmul) }),
        program.values.count(where: { $0.store != nil }) >= 2
      else { continue }
      try change(&program)
      entries[0].calls[index] = KernelCall(
        kernel: .block(program), arguments: call.arguments, waits: call.waits, flops: call.flops,
        bytes: call.bytes, nodes: call.nodes)
      return
    }
    throw Diagnostic("the plan has no such block")
  }
}

extension KernelCall {
  /// Returns this call with other arguments.
  fileprivate func with(arguments: [KernelArgument]) -> KernelCall {
    KernelCall(
      kernel: kernel, arguments: arguments, waits: waits, flops: flops, bytes: bytes, nodes: nodes)
  }

  /// Returns this call with another argument.
  fileprivate func replacing(_ index: Int, _ argument: KernelArgument) -> KernelCall {
    var arguments = arguments
    arguments[index] = argument
    return with(arguments: arguments)
  }
}

extension BlockProgram.Step {
  /// Returns this step with other operands.
  fileprivate func with(operands: [Int]) -> Self {
    Self(op: op, operands: operands, results: results)
  }
}
