package import MoTIR

/// Where a block program's values live while a block is worked on, and how its steps are cut in stages.
///
/// Matmuls work on whole blocks; all other steps run row by row between them.
package struct BlockLayout {
  /// Where a value is read from by later items.
  enum Home: Equatable {
    /// Nowhere: it is read in the column loop that computes it, or not at all.
    case register
    /// A row buffer of the thread, at this byte of its scratch memory.
    case row(Int)
    /// A block of rows in scratch memory, this many f32 apart.
    case block(Int, leading: Int)
    /// The present strip of columns of a block of rows, likewise.
    case strip(Int, leading: Int)
    /// The buffer where it is stored.
    case stored
  }

  /// What a row stage does for each row.
  enum Item: Equatable {
    case step(Int)
    /// Write the value as a matmul's operand.
    case operand(Int)
    /// Write the value to its store.
    case keep(Int)
    /// Lay the value out for outer products: after the rows, for all of them together.
    case layOut(Int)
  }

  /// A stage: all rows of the block pass it before the next begins.
  enum Stage: Equatable {
    case rows([Item])
    /// A matmul. What stands behind it column by column is done strip by strip of its columns, while
    /// they are in cache.
    case matmul(step: Int, behind: [Item])
  }

  private(set) var stages: [Stage] = []
  private(set) var homes: [Home]
  /// The bytes in scratch memory of operands that are copied for a matmul, by value.
  private(set) var operands: [Int: Int] = [:]
  /// The values that are sums over rows.
  private(set) var sums: Set<Int> = []
  private(set) var scratchBytes = 0
  private let program: BlockProgram
  private let tile: TileShape
  private let format: OperandFormat
  /// Scratch memory that was asked for, and the stages from the first to the last that use it.
  private var requests: [(stages: ClosedRange<Int>, bytes: Int)] = []

  package init(_ program: BlockProgram, tile: TileShape, operands format: OperandFormat) {
    self.program = program
    self.tile = tile
    self.format = format
    homes = [Home](repeating: .register, count: program.values.count)
    cutStages()
    cutStrips()
    chooseHomes()
    placeRequests()
  }

  /// Returns how far apart rows of a matmul operand are, in 32-bit units.
  ///
  /// Rows that are not in tiles have a cache line between them, so that they do not push each other out.
  func operandStride(_ value: Int) -> Int {
    format.units(program.values[value].width) + (format.isTiled ? 0 : 16)
  }

  /// `true` iff the matmul reads the value where it is, as rows of f32.
  func readsInPlace(_ value: Int) -> Bool {
    guard format == .f32 else { return false }
    switch program.values[value].source {
    case .rows(_, .identity), .step: return true
    case .rows(_, .routed), .weight, .scalar, .constant: return false
    }
  }

  // MARK: Stages

  private mutating func cutStages() {
    var items: [Item] = program.values.indices.compactMap { index in
      let value = program.values[index]
      return value.source != .step && value.store != nil ? .keep(index) : nil
    }
    for (index, step) in program.steps.enumerated() {
      guard step.op.traits.contains(.matmul) else {
        items += [.step(index)] + layOuts(step)
        continue
      }
      for value in matmulRows(step) where !readsInPlace(value) && operands[value] == nil {
        operands[value] = 0
        items.append(.operand(value))
      }
      if !items.isEmpty { stages.append(.rows(items)) }
      stages.append(.matmul(step: index, behind: []))
      items = step.results.filter { program.values[$0].store != nil && !writesDirectly($0) }
        .map { .keep($0) }
      items += layOuts(step)
    }
    if !items.isEmpty { stages.append(.rows(items)) }
  }

  private func layOuts(_ step: BlockProgram.Step) -> [Item] {
    step.results.filter { program.values[$0].outer != nil }.map { .layOut($0) }
  }

  /// Gives the matmuls what the stages behind them do column by column, and that waits for no other step.
  private mutating func cutStrips() {
    var cut: [Stage] = []
    for stage in stages {
      guard case .rows(let items) = stage, case .matmul(let step, _) = cut.last,
        let width = stripWidth(program.steps[step])
      else {
        cut.append(stage)
        continue
      }
      var (behind, rest): ([Item], [Item]) = ([], [])
      var late: Set<Int> = []
      for item in items {
        if columnWidth(item) == width, late.isDisjoint(with: reads(of: item)) {
          behind.append(item)
        } else {
          rest.append(item)
          if case .step(let number) = item { late.formUnion(program.steps[number].results) }
        }
      }
      cut[cut.count - 1] = .matmul(step: step, behind: behind)
      if !rest.isEmpty { cut.append(.rows(rest)) }
    }
    stages = cut
  }

  /// Columns of a strip: what the matmul writes of it stays in the first caches.
  var stripColumns: Int { 4 * tile.columns }

  /// Returns the width of a matmul's results, if there is more than a strip of it.
  private func stripWidth(_ step: BlockProgram.Step) -> Int? {
    let widths = Set(step.results.map { program.values[$0].width })
    guard let width = widths.first, widths.count == 1, width > stripColumns else { return nil }
    return width
  }

  /// Returns the width of an item's column loop, or `nil` if it is no such loop.
  func columnWidth(_ item: Item) -> Int? {
    switch item {
    case .operand(let value), .keep(let value), .layOut(let value):
      return program.values[value].width
    case .step(let number):
      let step = program.steps[number]
      switch step.op {
      case .unary, .binary, .channelMultiply, .channelAdd, .gather, .scatter, .dispatch, .embed,
        .columnSum:
        return program.values[step.results[0]].width
      case .norm, .normGradient, .rotary, .rowSum, .logSumExponentials, .crossEntropy,
        .crossEntropyGradient:
        return nil
      case .input, .parameter, .constant, .route, .sync, .routeExperts, .combine, .gates,
        .gatesGradient, .balance, .linear, .linearInputGradient,
        .linearWeightGradient, .attention, .attentionGradient, .cachedAttention, .sum,
        .embedGradient, .tokenWeights,
        .headLoss, .headLossGradient:
        preconditionFailure("\(step.op.mnemonic) is no row step")
      }
    }
  }

  /// Returns the row operands of a matmul step.
  func matmulRows(_ step: BlockProgram.Step) -> [Int] {
    if case .linear = step.op { return [step.operands[0]] }
    return stride(from: 0, to: step.operands.count, by: 2).map { step.operands[$0] }
  }

  /// `true` iff a matmul writes the value straight to its store: same rows, whole panels.
  func writesDirectly(_ value: Int) -> Bool {
    let value = program.values[value]
    return value.store?.access == .identity && value.width.isMultiple(of: tile.columns)
  }

  /// `true` iff the value's rows go to memory past the caches: nobody in this kernel reads them from there, and
  /// the next kernel begins when far more has been written than caches hold.
  func isStreamed(_ value: Int) -> Bool { isLarge(value) && homes[value] != .stored }

  /// `true` iff all rows of the value are 4 MiB or more, in whole cache lines.
  private func isLarge(_ value: Int) -> Bool {
    let width = program.values[value].width
    return program.values[value].store != nil && width.isMultiple(of: 16)
      && 4 * program.rows * width >= 4 << 20
  }

  // MARK: Homes

  private mutating func chooseHomes() {
    var producer: [Int: Int] = [:]
    for (number, stage) in stages.enumerated() {
      for step in steps(of: stage) {
        for result in program.steps[step].results { producer[result] = number }
      }
    }
    var crosses: Set<Int> = []
    var lastRead: [Int: Int] = [:]
    for (number, stage) in stages.enumerated() {
      for value in reads(of: stage) {
        lastRead[value] = number
        if producer[value] != number { crosses.insert(value) }
      }
      for value in operands(of: stage) {
        lastRead[value] = number
        crosses.insert(value)
      }
      // What is laid out after all rows is needed for as long.
      if case .rows(let items) = stage {
        for case .layOut(let value) in items { crosses.insert(value) }
      }
    }
    for (number, stage) in stages.enumerated() {
      for step in steps(of: stage) {
        for result in program.steps[step].results {
          let last = lastRead[result].map { max(number, $0) }
          home(result, of: step, stage: number, last: last, crosses: crosses.contains(result))
        }
      }
    }
    for value in operands.keys.sorted() {
      let users = stages.indices.filter { uses(value, asOperandIn: stages[$0]) }
      guard let first = users.first, let last = users.last else { continue }
      operands[value] = reserve(4 * program.blockRows * operandStride(value), first...last)
    }
  }

  /// `true` iff the stage copies the value for a matmul, or multiplies the copy.
  private func uses(_ value: Int, asOperandIn stage: Stage) -> Bool {
    guard !items(of: stage).contains(.operand(value)) else { return true }
    guard case .matmul(let step, _) = stage else { return false }
    return matmulRows(program.steps[step]).contains(value)
  }

  private mutating func home(
    _ value: Int, of step: Int, stage: Int, last: Int?, crosses: Bool
  ) {
    let width = program.values[value].width
    let life = stage...(last ?? stage)
    if case .columnSum = program.steps[step].op {
      sums.insert(value)
      return
    }
    if case .matmul(step, let behind) = stages[stage] {
      homes[value] = matmulHome(value, life, isPassing: !behind.isEmpty && !crosses)
    } else if crosses {
      if program.values[value].store?.access == .identity {
        homes[value] = .stored
      } else {
        homes[value] = .block(
          reserve(4 * program.blockRows * (width + 16), life), leading: width + 16)
      }
    } else if case .matmul(_, let behind) = stages[stage], behind.contains(.layOut(value)) {
      homes[value] = stripHome(life)
    } else if last != nil {
      homes[value] = .row(reserve(4 * width, life))
    }
  }

  /// Returns where a matmul writes `value`; one that only passes is read strip by strip behind it.
  private mutating func matmulHome(
    _ value: Int, _ life: ClosedRange<Int>, isPassing: Bool
  ) -> Home {
    guard !writesDirectly(value) else { return .stored }
    guard !isPassing else { return stripHome(life) }
    let leading = tile.padded(program.values[value].width) + 16
    return .block(reserve(4 * program.blockRows * leading, life), leading: leading)
  }

  private mutating func stripHome(_ life: ClosedRange<Int>) -> Home {
    let leading = stripColumns + 16
    return .strip(reserve(4 * program.blockRows * leading, life), leading: leading)
  }

  private func items(of stage: Stage) -> [Item] {
    switch stage {
    case .matmul(_, let behind): behind
    case .rows(let items): items
    }
  }

  private func steps(of stage: Stage) -> [Int] {
    let steps = items(of: stage).compactMap { if case .step(let step) = $0 { step } else { nil } }
    return if case .matmul(let step, _) = stage { [step] + steps } else { steps }
  }

  /// Returns the values that a matmul reads where they are.
  private func operands(of stage: Stage) -> [Int] {
    guard case .matmul(let step, _) = stage else { return [] }
    return matmulRows(program.steps[step]).filter(readsInPlace)
  }

  /// Returns the values that a stage reads row by row.
  private func reads(of stage: Stage) -> [Int] {
    items(of: stage).flatMap(reads)
  }

  /// Returns the values that an item reads.
  func reads(of item: Item) -> [Int] {
    switch item {
    case .step(let step): program.steps[step].operands
    case .operand(let value), .keep(let value), .layOut(let value): [value]
    }
  }

  // MARK: Segments

  /// `true` iff blocks of `segment` pass the stage.
  func isDone(_ stage: Stage, in segment: Int) -> Bool {
    if case .matmul(let step, _) = stage, program.steps[step].isDone(in: segment) { return true }
    return items(of: stage).contains { item in
      switch item {
      case .step(let step): program.steps[step].isDone(in: segment)
      case .keep(let value), .layOut(let value):
        program.steps.first { $0.results.contains(value) }?.isDone(in: segment) ?? true
      case .operand(let value):
        program.steps.contains { step in
          step.op.traits.contains(.matmul) && step.reads(in: segment)
            && matmulRows(step).contains(value)
        }
      }
    }
  }

  /// What a row of each segment costs, the rows of no segment last, relative to each other: 1 for an element that a
  /// step leaves.
  package var rowCosts: [Int] {
    (0...(program.plan?.segments ?? 0)).map { segment in
      let numbers = stages.filter { isDone($0, in: segment) }.flatMap { steps(of: $0) }
      let sum = numbers.reduce(1) { $0 + cost(of: program.steps[$1], in: segment) }
      return min(sum, Int(Int32.max))
    }
  }

  /// A core does some 64 multiplications while it computes an element and has it written.
  private func cost(of step: BlockProgram.Step, in segment: Int) -> Int {
    let elements = step.results.reduce(0) { $0 + program.values[$1].width }
    guard step.op.traits.contains(.matmul), step.reads(in: segment) else { return elements }
    let inner = matmulRows(step).reduce(0) { $0 + program.values[$1].width }
    return elements + inner * elements / 64
  }

  // MARK: Scratch memory

  /// Asks for memory that the stages of `life` use, and returns the number of the request.
  private mutating func reserve(_ bytes: Int, _ life: ClosedRange<Int>) -> Int {
    requests.append((life, bytes))
    return requests.count - 1
  }

  /// Gives every request its bytes: stages that have nothing to do with each other share them, so that a block
  /// of a long chain stays in the second cache.
  private mutating func placeRequests() {
    let (offsets, total) = firstFit(requests.map { (life: $0.stages, bytes: $0.bytes) })
    scratchBytes = total
    operands = operands.mapValues { offsets[$0] }
    homes = homes.map { home in
      switch home {
      case .register, .stored: home
      case .row(let request): .row(offsets[request])
      case .block(let request, let leading): .block(offsets[request], leading: leading)
      case .strip(let request, let leading): .strip(offsets[request], leading: leading)
      }
    }
  }
}
