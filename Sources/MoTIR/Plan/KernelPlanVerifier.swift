// The invariants of a kernel plan. A broken one is a defect of motc, never of a user's model.
// 1. Buffers start on cache lines and lie inside their regions; none is in `scratch`. Outside the arena
//    two buffers share bytes only where they are two views of gradients or moments.
// 2. A parameter's gradient lies as its master copy does; its packed forms have the size that the tile
//    and the format of operands ask for.
// 3. Entries have names of their own. An input is in `inputs`; an output is in `inputs` or
//    `parameters`, or a call of the entry writes it. Each has the bytes of its type.
// 4. A call passes what its kernel wants (KernelSignature.swift): as many arguments, numbers and
//    accesses in place, buffers large enough.
// 5. Only `update` writes parameters and moments, only it and `pack` write packed forms, nothing
//    writes tables, only `cacheStore` writes caches. `pack` makes every form from its master copy.
// 6. Matmuls read the packed form of a parameter that they are made for: never another buffer.
// 7. The rules of EntryVerifier.swift: memory and barriers.
// 8. The rules of BlockVerifier.swift: block programs.

extension KernelPlan {
  /// Returns what is wrong with the plan; nothing if it is sound.
  package func verify() -> [Diagnostic] {
    var verifier = KernelPlanVerifier(plan: self)
    verifier.run()
    return verifier.violations.prefix(IRLimits.errors).map { Diagnostic($0) }
  }
}

/// Checks the invariants of one plan.
private struct KernelPlanVerifier {
  let plan: KernelPlan
  var violations: [String] = []
  private var checked: Set<Kernel> = []

  init(plan: KernelPlan) { self.plan = plan }

  mutating func run() {
    let tile = plan.tile
    if tile.lanes < 1 || tile.rows < 1 || tile.vectors < 1 { violations.append("an empty tile") }
    for index in plan.buffers.indices { checkPlace(of: index) }
    // What follows takes buffers at their word.
    guard violations.isEmpty, namesOnlyBuffers() else { return }
    for region in [Region.parameters, .packed, .inputs, .caches, .constants] {
      checkOverlaps(in: region)
    }
    for parameter in plan.parameters { check(parameter) }
    var names: Set<String> = []
    for entry in plan.entries {
      if !names.insert(entry.name).inserted {
        violations.append("a second entry \(quoted(entry.name))")
      }
      check(entry)
    }
    checkPacking()
  }

  // MARK: Buffers

  private mutating func checkPlace(of index: Int) {
    let buffer = plan.buffers[index]
    let (end, overflow) = buffer.offset.addingReportingOverflow(buffer.bytes)
    guard buffer.offset >= 0, buffer.bytes >= 0, !overflow, buffer.offset.isMultiple(of: 64) else {
      return violations.append("buffer \(index) lies at \(buffer.offset), \(buffer.bytes) bytes")
    }
    switch buffer.region {
    case .scratch, .timeStamps, .takenParts:
      violations.append("buffer \(index) is in the threads' own memory")
    case .control:
      if end > Control.bytes { violations.append("buffer \(index) is outside of control") }
    case .gradients, .accumulated, .firstMoments, .secondMoments:
      if end > plan.bytes(of: .parameters) {
        violations.append("buffer \(index) ends beyond \(buffer.region)")
      }
    case .arena, .parameters, .packed, .inputs, .caches, .constants: break
    }
  }

  /// Returns `true` iff all names of buffers in the plan are names of its buffers.
  private mutating func namesOnlyBuffers() -> Bool {
    var ids = plan.constants.map(\.buffer)
    for parameter in plan.parameters {
      ids.append(parameter.master)
      ids += [parameter.gradient, parameter.forward, parameter.backward].compactMap { $0 }
    }
    for entry in plan.entries {
      ids += (entry.inputs + entry.outputs).map(\.buffer)
      for call in entry.calls { ids += call.accesses.map(\.buffer) }
    }
    guard let unknown = ids.first(where: { !plan.buffers.indices.contains($0.index) }) else {
      return true
    }
    violations.append("there is no buffer \(unknown.index)")
    return false
  }

  private mutating func checkOverlaps(in region: Region) {
    let all = plan.buffers.filter { $0.region == region && $0.bytes > 0 }
      .sorted { $0.offset < $1.offset }
    for (buffer, next) in zip(all, all.dropFirst()) where buffer.range.overlaps(next.range) {
      violations.append(
        "\(quoted(buffer.label)) and \(quoted(next.label)) share bytes of \(region)")
    }
  }

  private mutating func check(_ parameter: ParameterPlacement) {
    let declaration = parameter.declaration
    let master = plan[parameter.master]
    let gradient = parameter.gradient.map { plan[$0] }
    let bytes = 4 * declaration.type.elementCount
    if master.region != .parameters || master.bytes != bytes {
      violations.append("the master copy of \(quoted(declaration.name)) is \(master)")
    }
    if let gradient, gradient.region != .gradients || gradient.range != master.range {
      violations.append("the gradient of \(quoted(declaration.name)) is \(gradient)")
    }
    if (gradient == nil) != declaration.isFrozen {
      violations.append(
        "\(quoted(declaration.name)) is frozen or has a gradient, and not both")
    }
    for (form, isForward) in [(parameter.forward, true), (parameter.backward, false)] {
      guard let form else { continue }
      let shape = declaration.shape
      guard shape.count == 2, plan[form].region == .packed else {
        violations.append("\(quoted(declaration.name)) is no matrix, and is packed")
        continue
      }
      let matrix = plan.panelBytes(
        wide: isForward ? shape[0] : shape[1], deep: isForward ? shape[1] : shape[0])
      if plan[form].bytes != declaration.tensorCount * matrix {
        violations.append(
          "a packed form of \(quoted(declaration.name)) has \(plan[form].bytes) bytes")
      }
    }
  }

  // MARK: Entries

  private mutating func check(_ entry: Entry) {
    let written = Set(entry.calls.flatMap(\.accesses).filter { $0.access != .read }.map(\.buffer))
    for binding in entry.inputs where plan[binding.buffer].region != .inputs {
      violations.append("\(entry.name): input \(quoted(binding.name)) is not in inputs")
    }
    for binding in entry.outputs where !written.contains(binding.buffer) {
      if ![.inputs, .parameters].contains(plan[binding.buffer].region) {
        violations.append("\(entry.name): nothing writes output \(quoted(binding.name))")
      }
    }
    for binding in entry.inputs + entry.outputs
    where plan[binding.buffer].bytes < binding.type.bytes {
      violations.append("\(entry.name): \(quoted(binding.name)) has no room for \(binding.type)")
    }
    for (number, call) in entry.calls.enumerated() {
      let place = "\(entry.name), call \(number), \(call.kernel.name)"
      var found = argumentViolations(call) + regionViolations(call, entry)
      if case .block(let program) = call.kernel, checked.insert(call.kernel).inserted {
        found += program.violations
      }
      if found.isEmpty { found += weightViolations(call) }
      violations += found.map { "\(place): \($0)" }
    }
    violations += entry.memoryViolations(plan).map { "\(entry.name), \($0)" }
  }

  private func argumentViolations(_ call: KernelCall) -> [String] {
    let wanted = call.kernel.parameters(in: plan, numbers: call.numbers)
    guard call.arguments.count == wanted.count else {
      return ["\(call.arguments.count) arguments instead of \(wanted.count)"]
    }
    var found = call.numbers.filter { $0 < 0 }.map { "the number \($0)" }
    for (parameter, argument) in zip(wanted, call.arguments) {
      switch (parameter.access, argument) {
      case (nil, .integer): break
      case (let access?, .buffer(let id, let actual)):
        if access != actual { found.append("\(parameter.name) is a \(actual), not a \(access)") }
        if plan[id].bytes < parameter.bytes {
          found.append("\(parameter.name) has \(plan[id].bytes) of \(parameter.bytes) bytes")
        }
      case (nil, .buffer), (_?, .integer):
        found.append("\(parameter.name) is neither number nor buffer as it should be")
      }
    }
    return found
  }

  private func regionViolations(_ call: KernelCall, _ entry: Entry) -> [String] {
    call.accesses.compactMap { id, access in
      guard access != .read else { return nil }
      let region = plan[id].region
      let isAllowed =
        switch region {
        case .arena, .gradients: true
        case .parameters, .firstMoments, .secondMoments: entry.name == "update"
        case .packed: entry.name == "update" || entry.name == "pack"
        // A sync waits for a plan and leaves it as it is.
        case .inputs: call.kernel == .sync
        case .accumulated: entry.name == "accumulate"
        case .caches: if case .cacheStore = call.kernel { true } else { false }
        case .constants, .scratch, .control, .timeStamps, .takenParts: false
        }
      return isAllowed ? nil : "it writes to \(region)"
    }
  }

  // MARK: Packed forms

  private func weightViolations(_ call: KernelCall) -> [String] {
    let uses = call.packedUses(plan)
    return uses.compactMap { argument, isForward in
      guard case .buffer(let id, _) = call.arguments[argument] else { return nil }
      let isForm = plan.parameters.contains { (isForward ? $0.forward : $0.backward) == id }
      return isForm ? nil : "argument \(argument) is no packed form of a parameter"
    }
  }

  private mutating func checkPacking() {
    let calls = plan.entry("pack")?.calls ?? []
    for parameter in plan.parameters {
      let shape = parameter.declaration.shape
      for (kernel, form) in [
        (Kernel.packForward, parameter.forward), (.packBackward, parameter.backward),
      ] {
        guard let form, shape.count == 2 else { continue }
        let arguments: [KernelArgument] = [
          .buffer(parameter.master, .read), .buffer(form, .write), .integer(shape[0]),
          .integer(shape[1]), .integer(parameter.declaration.tensorCount),
        ]
        if !calls.contains(where: { $0.kernel == kernel && $0.arguments == arguments }) {
          violations.append("nothing packs \(quoted(plan[form].label))")
        }
      }
    }
  }
}

extension Buffer {
  /// The bytes in its region.
  var range: Range<Int> { offset..<(offset + bytes) }
}

extension ValueType {
  /// The bytes of a value in memory.
  package var bytes: Int {
    if case .plan(let layout) = self { return layout.bytes }
    return 4 * elementCount
  }
}

extension KernelCall {
  /// The numbers among the arguments.
  var numbers: [Int] {
    arguments.compactMap { argument in
      if case .integer(let number) = argument { number } else { nil }
    }
  }

  /// The buffers among the arguments.
  package var accesses: [(buffer: BufferID, access: Access)] {
    arguments.compactMap { argument in
      if case .buffer(let id, let access) = argument { (id, access) } else { nil }
    }
  }

  /// Returns the arguments that must be packed forms, and whether of the kind that `linear` reads.
  fileprivate func packedUses(_ plan: KernelPlan) -> [(argument: Int, isForward: Bool)] {
    guard plan.backend == .generated else { return [] }
    switch kernel {
    case .headLoss(let shape): return shape.hasGradient ? [(1, true), (2, false)] : [(1, true)]
    case .block(let program):
      return program.steps.filter { $0.op.traits.contains(.matmul) }.flatMap { step in
        let isForward = if case .linear = step.op { true } else { false }
        return step.op.weightPositions(step.operands.count).compactMap {
          position -> (argument: Int, isForward: Bool)? in
          guard case .weight(let argument) = program.values[step.operands[position]].source else {
            return nil
          }
          return (argument, isForward)
        }
      }
    case .fewRowLinear(let shape): return shape.outputs.indices.map { (1 + $0, true) }
    case .columnSum, .weightGradient, .attention, .attentionGradient, .cacheStore,
      .cachedAttention, .embedGradient, .sum,
      .tokenWeights, .route, .routeExperts, .combine, .gates, .gatesGradient, .balance, .sync,
      .blasLinear, .blasInputGradient, .blasWeightGradient, .round,
      .accumulate, .squaredNorm, .clip, .adamW, .adamWPacked, .packForward, .packBackward:
      return []
    }
  }
}
