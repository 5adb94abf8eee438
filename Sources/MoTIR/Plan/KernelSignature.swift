// What each kernel is handed: one line an argument, in the order in which a call passes them.
//
// The one place that says how many bytes of a buffer a kernel touches: the printer names arguments by
// it and the verifier holds every call against it.
// T rows, D and N widths, K segments, V vocabulary.

/// One argument of a kernel, as the kernel sees it.
package struct KernelParameter: Hashable, Sendable {
  /// A short name, such as `x` or `dw1`.
  package let name: String
  /// How the kernel uses the buffer; `nil` for a number.
  package let access: Access?
  /// The bytes that the kernel may touch from the buffer's start.
  package let bytes: Int

  private init(_ name: String, _ access: Access?, _ bytes: Int) {
    self.name = name
    self.access = access
    self.bytes = bytes
  }

  /// Returns a buffer of `words` f32 or i32 that is read.
  static func reads(_ name: String, _ words: Int) -> Self { Self(name, .read, 4 * words) }

  /// Returns a buffer of `words` f32 or i32 that is written.
  static func writes(_ name: String, _ words: Int) -> Self { Self(name, .write, 4 * words) }

  /// Returns a buffer of `words` f32 or i32 that is read and written.
  static func updates(_ name: String, _ words: Int) -> Self { Self(name, .update, 4 * words) }

  /// Returns a buffer of `bytes` bytes.
  static func buffer(_ name: String, _ access: Access, bytes: Int) -> Self {
    Self(name, access, bytes)
  }

  /// Returns a number.
  static func number(_ name: String) -> Self { Self(name, nil, 0) }
}

extension Kernel {
  /// Returns what a call in `plan` must pass, given the numbers among its arguments in order.
  package func parameters(in plan: KernelPlan, numbers: [Int]) -> [KernelParameter] {
    /// Elements that the numbers ask for; a broken plan's may be absurd.
    func count(_ factors: Int...) -> Int { boundedProduct(factors) }
    func number(_ index: Int) -> Int { index < numbers.count ? max(0, numbers[index]) : 0 }
    switch self {
    case .block(let program): return program.parameters(in: plan)
    case .columnSum(let shape): return shape.parameters
    case .weightGradient(let shape, let laidOut):
      return shape.parameters(in: plan, laidOut: laidOut)
    case .attention(let shape): return shape.parameters(gradient: false)
    case .attentionGradient(let shape): return shape.parameters(gradient: true)
    case .cacheStore(let shape): return shape.storeParameters(in: plan)
    case .cachedAttention(let shape): return shape.parameters(in: plan)
    case .fewRowLinear(let shape): return shape.packedParameters(in: plan)
    case .embedGradient(let rows, let vocabulary, let width):
      return [
        .reads("tokens", rows), .reads("dy", rows * width), .writes("dtable", vocabulary * width),
      ]
    case .sum(let count): return [.reads("x", count), .writes("out", 1)]
    case .tokenWeights(let rows, _, let hasCount):
      return [.reads("targets", rows)] + (hasCount ? [.reads("count", 1)] : [])
        + [.writes("out", rows)]
    case .accumulate:
      return [
        .reads("gradients", number(0)), .updates("accumulated", number(0)), .number("count"),
      ]
    case .headLoss(let shape): return shape.parameters(in: plan)
    case .route(let rows, let segments):
      let bytes = PlanLayout(tokens: rows, segments: segments).bytes
      return [.reads("modality", rows), .buffer("plan", .write, bytes: bytes)]
    case .routeExperts(let shape):
      return [
        .reads("scores", shape.layout.probabilities), .plan(shape.modalities),
        .buffer("experts", .write, bytes: shape.layout.bytes),
      ]
    case .combine(let plan, let width):
      return [.reads("x", plan.rows * width), .plan(plan), .writes("y", plan.tokens * width)]
    case .gates(let plan):
      return [.reads("p", plan.probabilities), .plan(plan), .writes("gates", plan.rows)]
    case .gatesGradient(let plan):
      return [.reads("dgates", plan.rows), .plan(plan), .writes("dp", plan.probabilities)]
    case .balance(let plan, let hasCount):
      return [.plan(plan)] + (hasCount ? [.reads("count", 1)] : [])
        + [.writes("weights", plan.probabilities), .writes("means", plan.tokens)]
    case .sync: return [.updates("plan", 1)]
    case .blasLinear(let shape): return shape.linearParameters
    case .blasInputGradient(let shape): return shape.inputGradientParameters
    case .blasWeightGradient(let shape): return shape.weightGradientParameters
    case .round:
      return [.reads("x", number(0)), .writes("out", number(0)), .number("count")]
    case .squaredNorm:
      let partials = count(8, Kernel.squaredNormChunks(number(0)))
      return [
        .reads("gradients", number(0)), .buffer("partials", .write, bytes: partials),
        .number("count"),
      ]
    case .clip: return [.updates("partials", count(2, number(0))), .number("chunks")]
    case .adamW:
      let words = number(0)
      return [
        .updates("master", words), .reads("gradient", words), .updates("first", words),
        .updates("second", words), .reads("partials", 1), .number("count"), .number("decays"),
      ]
    case .adamWPacked(let forward, let backward):
      let matrix = count(number(0), number(1), number(2))
      func packed(_ name: String, wide: Int, deep: Int) -> KernelParameter {
        let bytes = count(number(2), plan.panelBytes(wide: wide, deep: deep))
        return .buffer(name, .write, bytes: bytes)
      }
      return [
        .updates("master", matrix), .reads("gradient", matrix), .updates("first", matrix),
        .updates("second", matrix), .reads("partials", 1),
      ] + (forward ? [packed("forward", wide: number(0), deep: number(1))] : [])
        + (backward ? [packed("backward", wide: number(1), deep: number(0))] : [])
        + [.number("n"), .number("d"), .number("groups"), .number("decays")]
    case .packForward, .packBackward:
      let (wide, deep) = self == .packForward ? (number(0), number(1)) : (number(1), number(0))
      let matrix = count(number(0), number(1), number(2))
      let packed = count(number(2), plan.panelBytes(wide: wide, deep: deep))
      return [
        .reads("master", matrix), .buffer("packed", .write, bytes: packed), .number("n"),
        .number("d"), .number("groups"),
      ]
    }
  }
}

/// Returns the product of `factors`, or more than any buffer has where it overflows.
private func boundedProduct(_ factors: [Int]) -> Int {
  var product = 1
  for factor in factors {
    let (next, overflow) = product.multipliedReportingOverflow(by: factor)
    guard !overflow, next <= 1 << 56 else { return 1 << 56 }
    product = next
  }
  return product
}

extension KernelPlan {
  /// Returns the units of one packed matrix, `wide` columns in whole panels.
  package func packedUnits(wide: Int, deep: Int) -> Int {
    tile.padded(wide) * operands.units(deep)
  }

  /// Returns the bytes of one packed matrix of any numbers.
  func panelBytes(wide: Int, deep: Int) -> Int {
    boundedProduct([4, tile.padded(min(wide, 1 << 40)), operands.units(min(deep, 1 << 40))])
  }

  /// Returns the bytes of a matmul weight in the form that the plan's backend reads.
  func weightBytes(wide: Int, deep: Int) -> Int {
    backend == .blas ? 4 * wide * deep : panelBytes(wide: wide, deep: deep)
  }
}

extension KernelRouting? {
  /// The groups of weights: one for a tied op.
  fileprivate var groupCount: Int { self?.groups.count ?? 1 }

  /// Returns the plan's argument of a routed op.
  fileprivate func plan(rows: Int) -> [KernelParameter] {
    map { [.plan(rows: rows, segments: $0.segments)] } ?? []
  }
}

extension KernelParameter {
  /// What a kernel reads of a plan of which it knows no more: no plan has fewer bytes.
  fileprivate static func plan(rows: Int, segments: Int) -> Self {
    .plan(PlanLayout(tokens: rows, segments: segments))
  }

  fileprivate static func plan(_ layout: PlanLayout) -> Self {
    .buffer("plan", .read, bytes: layout.bytes)
  }
}

extension PlanLayout {
  /// A number for each token and expert.
  fileprivate var probabilities: Int { tokens * slotsOfToken }
}

extension ColumnSumShape {
  /// (partials, out, plan?)
  fileprivate var parameters: [KernelParameter] {
    let grains = BlockProgram.grainCount(rows: rows, grain: grain, segments: segments)
    let sums = (groups?.count ?? 1) * (width / max(1, parts))
    return [.reads("partials", grains * width), .writes("out", sums)]
      + (segments > 0 ? [.plan(rows: rows, segments: segments)] : [])
  }
}

extension LinearShape {
  /// Returns the bytes in which x and all dy are laid out for outer products, without those that come so.
  package func workspaceBytes(tile: TileShape, operands: OperandFormat, laidOut: Set<Int>) -> Int {
    let widths = ([input] + outputs).enumerated().filter { !laidOut.contains($0.offset) }
    return operands.outerBytes(
      rows: rows, width: widths.map { tile.padded($0.element) }.reduce(0, +),
      parts: routing?.segments ?? 1)
  }

  /// (x, w…, y…, plan?)
  fileprivate var linearParameters: [KernelParameter] {
    [.reads("x", rows * input)]
      + numbered("w", outputs) { .reads($0, routing.groupCount * $1 * input) }
      + numbered("y", outputs) { .writes($0, rows * $1) } + routing.plan(rows: rows)
  }

  /// (x, w forward…, y…, plan?)
  fileprivate func packedParameters(in plan: KernelPlan) -> [KernelParameter] {
    [.reads("x", rows * input)]
      + numbered("w", outputs) {
        .buffer($0, .read, bytes: routing.groupCount * plan.panelBytes(wide: $1, deep: input))
      }
      + numbered("y", outputs) { .writes($0, rows * $1) } + routing.plan(rows: rows)
  }

  /// (dy1, w1, …, dx, plan?)
  fileprivate var inputGradientParameters: [KernelParameter] {
    let pairs = zip(
      numbered("dy", outputs) { .reads($0, rows * $1) },
      numbered("w", outputs) { .reads($0, routing.groupCount * $1 * input) })
    return pairs.flatMap { [$0, $1] } + [.writes("dx", rows * input)] + routing.plan(rows: rows)
  }

  /// (x, dy…, dw…, plan?)
  fileprivate var weightGradientParameters: [KernelParameter] {
    [.reads("x", rows * input)] + numbered("dy", outputs) { .reads($0, rows * $1) }
      + numbered("dw", outputs) { .writes($0, routing.groupCount * $1 * input) }
      + routing.plan(rows: rows)
  }

  /// (x, dy…, workspace?, dw…, plan?)
  fileprivate func parameters(in plan: KernelPlan, laidOut: Set<Int>) -> [KernelParameter] {
    let workspace = workspaceBytes(
      tile: plan.tile, operands: plan.operands, laidOut: laidOut)
    let operands = ([input] + outputs).enumerated().map { index, width -> KernelParameter in
      let name = index == 0 ? "x" : "dy\(index)"
      guard laidOut.contains(index) else { return .reads(name, rows * width) }
      let bytes = plan.operands.outerBytes(
        rows: rows, width: plan.tile.padded(width), parts: routing?.segments ?? 1)
      return .buffer(name, .read, bytes: bytes)
    }
    return operands + (workspace > 0 ? [.buffer("workspace", .write, bytes: workspace)] : [])
      + numbered("dw", outputs) { .writes($0, routing.groupCount * $1 * input) }
      + routing.plan(rows: rows)
  }
}

/// Returns a parameter for each width, numbered from 1.
private func numbered(
  _ name: String, _ widths: [Int], _ make: (String, Int) -> KernelParameter
) -> [KernelParameter] {
  widths.enumerated().map { make("\(name)\($0.offset + 1)", $0.element) }
}

extension AttentionShape {
  /// (q, k, v, o, lse, documents?, segments?), or with gradients
  /// (q, k, v, o, lse, do, dq, dk, dv, documents?, segments?)
  fileprivate func parameters(gradient: Bool) -> [KernelParameter] {
    let rows = attention.batch * sequence
    let query = rows * attention.heads * headWidth
    let key = rows * attention.keyValueHeads * headWidth
    let sums = rows * attention.heads
    var list: [KernelParameter] = [.reads("q", query), .reads("k", key), .reads("v", key)]
    if gradient {
      list += [.reads("o", query), .reads("lse", sums), .reads("do", query)]
      list += [.writes("dq", query), .writes("dk", key), .writes("dv", key)]
    } else {
      list += [.writes("o", query), .writes("lse", sums)]
    }
    if attention.hasDocuments { list.append(.reads("documents", rows)) }
    if attention.hasSegments { list.append(.reads("segments", rows)) }
    return list
  }
}

extension CachedAttentionShape {
  private var rows: Int { attention.batch * sequence }

  private func cache(_ name: String, _ access: Access, in plan: KernelPlan) -> KernelParameter {
    .buffer(name, access, bytes: cacheBytes(tile: plan.tile, operands: plan.operands))
  }

  /// (k, v, slots, keys, values)
  fileprivate func storeParameters(in plan: KernelPlan) -> [KernelParameter] {
    let words = rows * attention.keyValueHeads * headWidth
    return [
      .reads("k", words), .reads("v", words), .reads("slots", rows),
      cache("keys", .update, in: plan), cache("values", .update, in: plan),
    ]
  }

  /// (q, keys, values, visible, o)
  fileprivate func parameters(in plan: KernelPlan) -> [KernelParameter] {
    let words = rows * attention.heads * headWidth
    return [
      .reads("q", words), cache("keys", .read, in: plan), cache("values", .read, in: plan),
      .reads("visible", rows), .writes("o", words),
    ]
  }
}

extension HeadLossShape {
  /// The bytes in which a chunk's logit gradients and rows are laid out for outer products.
  package func workspaceBytes(tile: TileShape, operands: OperandFormat) -> Int {
    operands.outerBytes(
      rows: chunk, width: tile.padded(vocabulary) + tile.padded(width), parts: 1)
  }

  /// (x, w forward, targets, losses), or with gradients
  /// (x, w forward, w backward, targets, dlosses, losses, dx, dw, workspace)
  fileprivate func parameters(in plan: KernelPlan) -> [KernelParameter] {
    let forward = plan.weightBytes(wide: vocabulary, deep: width)
    var list: [KernelParameter] = [
      .reads("x", rows * width), .buffer("w forward", .read, bytes: forward),
    ]
    guard hasGradient else {
      return list + [.reads("targets", rows), .writes("losses", rows)]
    }
    let backward = plan.weightBytes(wide: width, deep: vocabulary)
    list += [
      .buffer("w backward", .read, bytes: backward), .reads("targets", rows),
      .reads("dlosses", rows), .writes("losses", rows), .writes("dx", rows * width),
      .writes("dw", vocabulary * width),
      .buffer(
        "workspace", .write, bytes: workspaceBytes(tile: plan.tile, operands: plan.operands)),
    ]
    return list
  }
}

extension BlockProgram {
  /// Returns how many groups the weight `value` has: the most that a step asks for.
  func groupCount(ofWeight value: Int) -> Int {
    steps.lazy.filter { $0.operands.contains(value) }.map { $0.op.groups?.count ?? 1 }.max() ?? 1
  }

  /// The arguments, numbered as the program numbers them; none where it skips a number.
  fileprivate func parameters(in kernelPlan: KernelPlan) -> [KernelParameter] {
    let operands = kernelPlan.operands
    var list: [(reads: Bool, writes: Bool, bytes: Int)] = []
    func use(_ argument: Int, writes: Bool, _ bytes: Int) {
      guard argument >= 0, argument < 1 << 16 else { return }
      while list.count <= argument { list.append((false, false, 0)) }
      if writes { list[argument].writes = true } else { list[argument].reads = true }
      list[argument].bytes = max(list[argument].bytes, bytes)
    }
    if let plan {
      use(plan.argument, writes: false, plan.layout.bytes)
    }
    for (index, value) in values.enumerated() {
      switch value.source {
      case .rows(let argument, let access):
        let count = access == .routed ? plan?.layout.tokens ?? rows : rows
        use(argument, writes: false, 4 * count * value.width)
      case .weight(let argument):
        use(argument, writes: false, 4 * value.width * groupCount(ofWeight: index))
      case .scalar(let argument): use(argument, writes: false, 4)
      case .constant, .step: break
      }
      if let store = value.store {
        let count = isColumnSum(index) ? grainCount : rows
        use(store.argument, writes: true, 4 * count * value.width)
      }
      if let outer = value.outer {
        let bytes = operands.outerBytes(
          rows: rows, width: kernelPlan.tile.padded(value.width), parts: plan?.segments ?? 1)
        use(outer.argument, writes: true, bytes)
      }
    }
    return list.enumerated().map { index, use in
      let access: Access = use.writes ? (use.reads ? .update : .write) : .read
      return .buffer("a\(index)", access, bytes: use.bytes)
    }
  }

  /// `true` iff `value` is a partial column sum.
  func isColumnSum(_ value: Int) -> Bool {
    steps.contains { step in
      if case .columnSum = step.op { step.results.contains(value) } else { false }
    }
  }
}
