/// A chain of row-wise ops that one kernel executes block by block: rows in, matmuls, rows out.
///
/// A block is at most `blockRows` consecutive rows of one segment; within it every value is finished
/// before the next step reads it, in cache. Prologues, matmuls and epilogues are all steps of it.
///
/// Threads take runs of *grains*: `grain` rows of a segment, the last of which may be short. Sums over rows are
/// kept by grain, so that they depend on shapes and plan alone, and not on the threads.
public struct BlockProgram: Hashable, Sendable {
  /// How the row of a buffer follows from the program's row r.
  public enum RowAccess: String, Hashable, Sendable {
    /// Row r.
    case identity
    /// Row `plan.rows[r]`.
    case routed
  }

  /// Where a value comes from.
  public enum Source: Hashable, Sendable {
    /// Rows of a buffer.
    case rows(argument: Int, RowAccess)
    /// A weight: one array a group.
    case weight(argument: Int)
    /// One number for all rows.
    case scalar(argument: Int)
    /// A known number.
    case constant(Double)
    /// A step computes it.
    case step
  }

  /// Where a value is kept for later kernels.
  public struct Store: Hashable, Sendable {
    /// The buffer's argument.
    public let argument: Int
    /// The row that it is written to.
    public let access: RowAccess

    /// Creates a place.
    public init(argument: Int, access: RowAccess) {
      self.argument = argument
      self.access = access
    }
  }

  /// Where a value is laid out for the outer products of weight gradients, instead of or beside rows.
  public struct OuterStore: Hashable, Sendable {
    /// The buffer's argument.
    public let argument: Int
    /// The side on which the products read it.
    public let side: OuterSide

    /// Creates a place.
    public init(argument: Int, side: OuterSide) {
      self.argument = argument
      self.side = side
    }
  }

  /// A value of the program.
  public struct Value: Hashable, Sendable {
    /// Elements in a row; for a weight: in one group's array; for a packed weight: units there.
    public let width: Int
    /// The element type.
    public let element: ElementType
    /// Where it comes from.
    public let source: Source
    /// Where it is kept, if a later kernel reads its rows.
    public var store: Store?
    /// Where it is laid out, if a weight gradient reads it; a step's result only.
    public var outer: OuterStore?

    /// Creates a value.
    public init(
      width: Int, element: ElementType, source: Source, store: Store? = nil,
      outer: OuterStore? = nil
    ) {
      self.width = width
      self.element = element
      self.source = source
      self.store = store
      self.outer = outer
    }
  }

  /// One op on values.
  public struct Step: Hashable, Sendable {
    /// The op.
    public let op: Op
    /// The values that it reads; the plan is not among them.
    public let operands: [Int]
    /// The values that it defines.
    public let results: [Int]
    /// The segments for whose rows it is done, in order, the number after the plan's last for rows of no segment;
    /// `nil` for all, as where there is no plan. Nobody reads what the results have elsewhere.
    public var segments: [Int]?

    /// Creates a step.
    public init(op: Op, operands: [Int], results: [Int], segments: [Int]? = nil) {
      self.op = op
      self.operands = operands
      self.results = results
      self.segments = segments
    }

    /// `true` iff the step is done for rows of `segment`.
    package func isDone(in segment: Int) -> Bool { segments?.contains(segment) ?? true }

    /// `true` iff the step reads rows of `segment`.
    package func reads(in segment: Int) -> Bool { isDone(in: segment) && op.readsRows(of: segment) }
  }

  /// Rows in all.
  public let rows: Int
  /// The most rows of a block, a multiple of `grain`.
  public let blockRows: Int
  /// The rows of a grain.
  public let grain: Int
  /// The plan's argument and its sizes, if rows are grouped or routed.
  public let plan: PlanUse?
  /// The values.
  public var values: [Value]
  /// The steps, in order.
  public var steps: [Step]

  /// A plan among the arguments.
  public struct PlanUse: Hashable, Sendable {
    /// Its argument.
    public let argument: Int
    /// Its sizes.
    public let layout: PlanLayout

    /// Creates a use.
    public init(argument: Int, layout: PlanLayout) {
      self.argument = argument
      self.layout = layout
    }

    /// Its segments.
    public var segments: Int { layout.segments }
  }

  /// Creates a program.
  public init(
    rows: Int, blockRows: Int, grain: Int, plan: PlanUse?, values: [Value], steps: [Step]
  ) {
    self.rows = rows
    self.blockRows = blockRows
    self.grain = grain
    self.plan = plan
    self.values = values
    self.steps = steps
  }

  /// A short name: its matmul if it has one, else its first step.
  public var name: String {
    let first = steps.first { $0.op.traits.contains(.matmul) } ?? steps.first
    let name = (first?.op.mnemonic ?? "copy").replacing(".", with: "_")
    return steps.count > 1 ? "\(name)_and_\(steps.count - 1)" : name
  }

  /// The most grains that any plan can give.
  public var grainCount: Int {
    BlockProgram.grainCount(rows: rows, grain: grain, segments: plan?.segments ?? 0)
  }

  /// Returns the most grains that any plan of `segments` segments can give; without a plan it has none.
  ///
  /// Every segment may end on a short grain, and so may the rows of no segment.
  package static func grainCount(rows: Int, grain: Int, segments: Int) -> Int {
    rows / max(1, grain) + segments + 2
  }
}
