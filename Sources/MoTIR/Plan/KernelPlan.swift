/// A memory area that a compiled entry is handed the address of.
public enum Region: Int, Hashable, Sendable, CaseIterable {
  /// Activations and temporaries of one run; liveness decides who shares a place.
  case arena
  /// The f32 master copy of all parameters, row-major.
  case parameters
  /// The forms of the parameters that matmul kernels read.
  case packed
  /// The gradients, laid out as `parameters`.
  case gradients
  /// The sum of the gradients of the batches of a step so far, laid out as `parameters`.
  case accumulated
  /// AdamW's first moments, laid out as `gradients`.
  case firstMoments
  /// AdamW's second moments, laid out as `gradients`.
  case secondMoments
  /// What the data path fills in for each batch.
  case inputs
  /// The keys and values that generation goes on from.
  case caches
  /// Tables that never change.
  case constants
  /// Each thread's own working memory, one stride after another.
  case scratch
  /// Barrier, counters, optimizer settings and status: see `Control`.
  case control
  /// When each thread began and ended each call of the last run: see `TimeStamps`.
  case timeStamps
  /// How many parts of each call's work have been taken by threads that came for more (i64 each), 0 before a run.
  case takenParts
}

/// Where a thread notes the time: two ticks of the CPU's counter (i64) a call, and one at the end.
///
/// A call's first tick is taken when the thread comes to it, its second when all threads that it waits for
/// have come too.
public struct TimeStamps: Hashable, Sendable {
  /// The most calls of an entry.
  public let calls: Int

  /// The bytes of a call's two ticks.
  public let bytesPerCall = 16

  /// The bytes of one thread's ticks, whole cache lines.
  public var bytesPerThread: Int { (bytesPerCall * calls + 8 + 63) / 64 * 64 }

  /// Returns the byte of the tick at which a thread comes to call `index`, or to the end.
  public func arrival(at index: Int) -> Int { bytesPerCall * index }

  /// Returns the byte of the tick at which a thread starts call `index`.
  public func start(of index: Int) -> Int { bytesPerCall * index + 8 }
}

/// The words of the `control` region, in bytes from its start.
public enum Control {
  /// How many threads have reached the barrier (i32).
  public static let arrived = 0
  /// How many times the barrier has opened (i32, a futex).
  public static let generation = 64
  /// How many threads sleep at the barrier (i32).
  public static let sleepers = 128
  /// How many syncs the last run made (i32).
  public static let syncs = 192
  /// 1 if the last update was refused because a gradient was not finite (i32).
  public static let refused = 196
  /// The first call of the entry that is to be made (i32).
  public static let firstCall = 200
  /// How many calls from it are to be made, 0 for all (i32).
  public static let callCount = 204
  /// The optimizer's settings: learning rate, β₁, β₂, ε, decay, clip, 1 − β₁ᵗ, 1 − β₂ᵗ (f32 each).
  public static let settings = 256
  /// The last update's gradient norm (f32).
  public static let gradientNorm = 320
  /// The size of the region.
  public static let bytes = 4096
}

/// The name of a buffer of a plan.
public struct BufferID: Hashable, Comparable, Sendable {
  /// The position in `KernelPlan.buffers`.
  public let index: Int

  /// Creates the name of buffer `index`.
  public init(_ index: Int) { self.index = index }

  /// Compares by position.
  public static func < (a: BufferID, b: BufferID) -> Bool { a.index < b.index }
}

/// A piece of a region.
public struct Buffer: Hashable, Sendable {
  /// Where it is.
  public let region: Region
  /// Its first byte in the region.
  public var offset: Int
  /// Its size in bytes.
  public let bytes: Int
  /// What it holds, for people.
  public let label: String

  /// Creates a buffer.
  public init(region: Region, offset: Int, bytes: Int, label: String) {
    self.region = region
    self.offset = offset
    self.bytes = bytes
    self.label = label
  }
}

/// How a kernel uses a buffer.
public enum Access: String, Hashable, Sendable {
  case read
  case write
  case update
}

/// What a kernel is handed.
public enum KernelArgument: Hashable, Sendable {
  /// The address of a buffer.
  case buffer(BufferID, Access)
  /// A number.
  case integer(Int)
}

/// One step of an entry: all threads execute the kernel together.
public struct KernelCall: Hashable, Sendable {
  /// What is computed.
  public let kernel: Kernel
  /// On what.
  public let arguments: [KernelArgument]
  /// `true` iff all threads must have finished the calls before this one.
  public var waits: Bool
  /// Floating-point operations of the matmuls in it, masked-out attention not counted.
  public let flops: Double
  /// Bytes of buffers read and written, each once.
  public let bytes: Double
  /// The graph nodes that it computes.
  public let nodes: [NodeID]

  /// Creates a call.
  public init(
    kernel: Kernel, arguments: [KernelArgument], waits: Bool = true, flops: Double, bytes: Double,
    nodes: [NodeID]
  ) {
    self.kernel = kernel
    self.arguments = arguments
    self.waits = waits
    self.flops = flops
    self.bytes = bytes
    self.nodes = nodes
  }
}

/// A named value that an entry reads or leaves behind.
public struct Binding: Hashable, Sendable {
  /// The name, such as `tokens`, `tokens by plan`, `plan` or `loss`.
  public let name: String
  /// Its type.
  public let type: ValueType
  /// Where it is.
  public let buffer: BufferID

  /// Creates a binding.
  public init(name: String, type: ValueType, buffer: BufferID) {
    self.name = name
    self.type = type
    self.buffer = buffer
  }
}

/// A function that every thread calls once and that returns when all is done.
public struct Entry: Hashable, Sendable {
  /// The name: `gradients`, `logits`, `loss`, `update`, `pack`.
  public let name: String
  /// The symbol of the compiled function.
  package var symbol: String { "motc_\(name)" }
  /// The steps.
  public var calls: [KernelCall]
  /// What it reads besides parameters.
  public let inputs: [Binding]
  /// What it leaves behind.
  public let outputs: [Binding]

  /// Creates an entry.
  public init(name: String, calls: [KernelCall], inputs: [Binding], outputs: [Binding]) {
    self.name = name
    self.calls = calls
    self.inputs = inputs
    self.outputs = outputs
  }
}

/// Where a parameter's forms are.
public struct ParameterPlacement: Hashable, Sendable {
  /// The parameter.
  public let declaration: ParameterDeclaration
  /// The f32 master copy in `parameters`; gradient and moments are at the same place in theirs.
  public let master: BufferID
  /// The gradient; `nil` of a frozen parameter.
  public let gradient: BufferID?
  /// The form that `linear` reads, if a kernel needs it.
  public var forward: BufferID?
  /// The form that `linear.input_gradient` reads, if a kernel needs it.
  public var backward: BufferID?

  /// Creates a placement.
  public init(declaration: ParameterDeclaration, master: BufferID, gradient: BufferID?) {
    self.declaration = declaration
    self.master = master
    self.gradient = gradient
  }
}

/// A table that the runtime fills in once.
public enum ConstantTable: Hashable, Sendable {
  /// cos then sin of position · base^(−2i / width), each [positions, width / 2] f32.
  case rotary(positions: Int, headWidth: Int, base: Double)
}

/// The tile that one inner loop of a matmul keeps in registers.
public struct TileShape: Hashable, Sendable {
  /// f32 lanes of a vector register.
  public let lanes: Int
  /// Rows of the register tile.
  public let rows: Int
  /// Vectors of the register tile.
  public let vectors: Int

  /// Creates a tile.
  public init(lanes: Int, rows: Int, vectors: Int) {
    self.lanes = lanes
    self.rows = rows
    self.vectors = vectors
  }

  /// Columns of the register tile, and of a panel of packed weights.
  public var columns: Int { lanes * vectors }

  /// Returns `count` rounded up to whole panels.
  public func padded(_ count: Int) -> Int { (count + columns - 1) / columns * columns }
}

/// Who multiplies matrices.
public enum MatmulBackend: String, Hashable, Sendable {
  /// Kernels that motc emits.
  case generated
  /// OpenBLAS's `cblas_sgemm`.
  case blas
}

/// Everything that code generation and execution need: kernels in order, and where each buffer is.
///
/// It names nothing that a second target could not do: kernels are described by what they compute.
public struct KernelPlan: Hashable, Sendable {
  /// The model's name.
  public let name: String
  /// The tile of matmul kernels.
  public let tile: TileShape
  /// What matmul operands are made of.
  public let operands: OperandFormat
  /// Who multiplies matrices.
  public let backend: MatmulBackend
  /// All buffers.
  public var buffers: [Buffer]
  /// The compiled functions.
  public var entries: [Entry]
  /// The parameters.
  public var parameters: [ParameterPlacement]
  /// The tables, with their places.
  public var constants: [ConstantPlacement]

  /// A table and its place.
  public struct ConstantPlacement: Hashable, Sendable {
    /// The table.
    public let table: ConstantTable
    /// Its place.
    public let buffer: BufferID

    /// Creates a placement.
    public init(table: ConstantTable, buffer: BufferID) {
      self.table = table
      self.buffer = buffer
    }
  }

  /// Creates a plan.
  public init(
    name: String, tile: TileShape, operands: OperandFormat, backend: MatmulBackend,
    buffers: [Buffer] = [], entries: [Entry] = [], parameters: [ParameterPlacement] = [],
    constants: [ConstantPlacement] = []
  ) {
    self.name = name
    self.tile = tile
    self.operands = operands
    self.backend = backend
    self.buffers = buffers
    self.entries = entries
    self.parameters = parameters
    self.constants = constants
  }

  /// Returns the size in bytes of `region`, as far as buffers need it.
  public func bytes(of region: Region) -> Int {
    buffers.lazy.filter { $0.region == region }.map { $0.offset + $0.bytes }.max() ?? 0
  }

  /// Returns the bytes of `region` in a model of this plan: gradients, and what is laid out as they are, only where
  /// entries need them.
  public func memory(of region: Region) -> Int {
    let user: String? =
      switch region {
      case .gradients: "gradients"
      case .accumulated: "accumulate"
      case .firstMoments, .secondMoments: "update"
      default: nil
      }
    guard let user else { return bytes(of: region) }
    return entry(user) == nil ? 0 : bytes(of: .gradients)
  }

  /// Where the threads note the time.
  public var timeStamps: TimeStamps { TimeStamps(calls: mostCalls) }

  /// The most calls of an entry.
  public var mostCalls: Int { entries.map(\.calls.count).max() ?? 0 }

  /// Returns the entry called `name`, or `nil` if there is none.
  public func entry(_ name: String) -> Entry? { entries.first { $0.name == name } }

  /// Returns buffer `id`.
  public subscript(id: BufferID) -> Buffer { buffers[id.index] }
}
