/// What a kernel computes, by shape: calls of equal kernels share their code.
///
/// Arguments are listed in the order in which a call passes them. T rows, K segments, D and N widths.
public enum Kernel: Hashable, Sendable {
  /// A program over blocks of rows; its arguments are numbered by the program.
  case block(BlockProgram)
  /// (partials, out, plan?): adds up the partial column sums of a block program's grains.
  case columnSum(ColumnSumShape)
  /// (x, dy…, workspace?, dw…, plan?): of x (0) and dy (1…) the ones in `laidOut` come laid out; the workspace
  /// is for the others.
  case weightGradient(LinearShape, laidOut: Set<Int>)
  /// (q, k, v, o, lse, documents?, segments?)
  case attention(AttentionShape)
  /// (q, k, v, o, lse, do, dq, dk, dv, documents?, segments?)
  case attentionGradient(AttentionShape)
  /// (k, v, slots, keys, values): rows to their slots of the caches.
  case cacheStore(CachedAttentionShape)
  /// (q, keys, values, visible, o)
  case cachedAttention(CachedAttentionShape)
  /// (x, w forward…, y…, plan?): the linear maps of so few rows that reading the weights is all there is to it.
  case fewRowLinear(LinearShape)
  /// (tokens, dy, dtable)
  case embedGradient(rows: Int, vocabulary: Int, width: Int)
  /// (x, out): the sum of `count` numbers.
  case sum(count: Int)
  /// (targets, count?, out)
  case tokenWeights(rows: Int, ranges: [Range<Int>], hasCount: Bool)
  /// (x, w forward, targets, losses) or, with gradients,
  /// (x, w forward, w backward, targets, dlosses, losses, dx, dw, workspace)
  case headLoss(HeadLossShape)
  /// (modality, plan)
  case route(rows: Int, segments: Int)
  /// (scores, plan, plan of experts)
  case routeExperts(ExpertRoutingShape)
  /// (x, plan of experts, y): the sum of each token's rows.
  case combine(PlanLayout, width: Int)
  /// (probabilities, plan of experts, gates)
  case gates(PlanLayout)
  /// (dgates, plan of experts, dprobabilities)
  case gatesGradient(PlanLayout)
  /// (plan of experts, count?, weights, means)
  case balance(PlanLayout, hasCount: Bool)
  /// (plan): one thread counts it while the others wait.
  case sync
  /// (x, w…, y…, plan?): OpenBLAS forward.
  case blasLinear(LinearShape)
  /// (dy1, w1, …, dx, plan?): OpenBLAS input gradient.
  case blasInputGradient(LinearShape)
  /// (x, dy…, dw…, plan?): OpenBLAS weight gradient.
  case blasWeightGradient(LinearShape)
  /// (x, out, count): x rounded to bf16 and kept in f32, for the unfused mode's reduced precision.
  case round
  /// (gradients, accumulated, count): the second array becomes the sum of both.
  case accumulate
  /// (gradients, partials, count): sums of squares of fixed chunks.
  case squaredNorm
  /// (partials, chunks): the norm, the clip factor and whether the update may happen.
  case clip
  /// (master, gradient, first, second, clip partials, count, decays)
  case adamW
  /// (master, gradient, first, second, clip partials, forward?, backward?, N, D, groups, decays): AdamW
  /// of a matrix in whole panels, with its packed forms in the same pass.
  case adamWPacked(forward: Bool, backward: Bool)
  /// (master, packed, N, D, groups): the form that `linear` reads.
  case packForward
  /// (master, packed, N, D, groups): the form that `linear.input_gradient` reads.
  case packBackward
}

/// The routing of a kernel: how many segments its plan has, and each one's group of weights.
public struct KernelRouting: Hashable, Sendable {
  /// Segments of the plan.
  public let segments: Int
  /// Segment → group.
  public let groups: Groups
  /// The experts of a group of modalities; `nil` for a plan of modalities.
  public let experts: Int?

  /// Creates a routing.
  public init(segments: Int, groups: Groups, experts: Int? = nil) {
    self.segments = segments
    self.groups = groups
    self.experts = experts
  }
}

/// The shape of a choice of experts.
public struct ExpertRoutingShape: Hashable, Sendable {
  /// Who chooses.
  public let routing: ExpertRouting
  /// Segment of modalities → group of experts.
  public let groups: Groups
  /// The plan that comes of it.
  public let layout: PlanLayout

  /// Creates a shape.
  public init(routing: ExpertRouting, groups: Groups, layout: PlanLayout) {
    self.routing = routing
    self.groups = groups
    self.layout = layout
  }

  /// The plan of modalities.
  package var modalities: PlanLayout {
    PlanLayout(tokens: layout.tokens, segments: groups.ofSegment.count)
  }
}

/// The shape of a column sum's second half.
public struct ColumnSumShape: Hashable, Sendable {
  /// The rows of the block program that leaves the partial sums.
  public let rows: Int
  /// The rows of its grains, each of which leaves a partial sum.
  public let grain: Int
  /// The width of a partial sum.
  public let width: Int
  /// Into how many parts a partial sum is cut that are added.
  public let parts: Int
  /// The segments of the block program's plan; 0 if it has none.
  public let segments: Int
  /// Segment → group; `nil` sums all grains.
  public let groups: Groups?

  /// Creates a shape.
  public init(
    rows: Int, grain: Int, width: Int, parts: Int, segments: Int, groups: Groups?
  ) {
    self.rows = rows
    self.grain = grain
    self.width = width
    self.parts = parts
    self.segments = segments
    self.groups = groups
  }
}

/// The shape of a linear map, or of one of its gradients.
public struct LinearShape: Hashable, Sendable {
  /// T
  public let rows: Int
  /// D, the width of x.
  public let input: Int
  /// N of each weight.
  public let outputs: [Int]
  /// Who takes which weight; `nil` for a tied one.
  public let routing: KernelRouting?

  /// Creates a shape.
  public init(rows: Int, input: Int, outputs: [Int], routing: KernelRouting?) {
    self.rows = rows
    self.input = input
    self.outputs = outputs
    self.routing = routing
  }
}

/// The shape of an attention.
public struct AttentionShape: Hashable, Sendable {
  /// Heads and masks.
  public let attention: Op.Attention
  /// Tokens in a sequence.
  public let sequence: Int
  /// The width of a head.
  public let headWidth: Int

  /// Creates a shape.
  public init(attention: Op.Attention, sequence: Int, headWidth: Int) {
    self.attention = attention
    self.sequence = sequence
    self.headWidth = headWidth
  }
}

/// The shape of an attention that goes on from caches.
///
/// Sequence by sequence and head by head, caches hold keys in tiles of as many slots as a vector has lanes, the
/// slots of an element side by side, and values slot by slot.
public struct CachedAttentionShape: Hashable, Sendable {
  /// Sequences and heads.
  public let attention: Op.CachedAttention
  /// New tokens in a sequence.
  public let sequence: Int
  /// The width of a head.
  public let headWidth: Int
  /// Slots of a sequence.
  public let capacity: Int

  /// Creates a shape.
  public init(attention: Op.CachedAttention, sequence: Int, headWidth: Int, capacity: Int) {
    self.attention = attention
    self.sequence = sequence
    self.headWidth = headWidth
    self.capacity = capacity
  }

  /// Returns the slots that a cache has room for, in whole vectors.
  package func slots(_ tile: TileShape) -> Int {
    (capacity + tile.lanes - 1) / tile.lanes * tile.lanes
  }

  /// Returns the bytes of a cache of keys or of values: two an element where operands are rounded, else four.
  package func cacheBytes(tile: TileShape, operands: OperandFormat) -> Int {
    attention.batch * attention.keyValueHeads * slots(tile) * headWidth
      * (operands.isRounded ? 2 : 4)
  }
}

/// The shape of a head with its loss.
public struct HeadLossShape: Hashable, Sendable {
  /// T
  public let rows: Int
  /// D
  public let width: Int
  /// V
  public let vocabulary: Int
  /// `true` iff it computes gradients too.
  public let hasGradient: Bool
  /// Rows whose logit gradients are kept at a time.
  public let chunk: Int

  /// Creates a shape.
  public init(rows: Int, width: Int, vocabulary: Int, hasGradient: Bool, chunk: Int) {
    self.rows = rows
    self.width = width
    self.vocabulary = vocabulary
    self.hasGradient = hasGradient
    self.chunk = chunk
  }
}

extension Kernel {
  /// How many gradient elements one partial sum of squares covers, whatever the number of threads.
  package static let squaredNormChunk = 1 << 14

  /// Returns how many partial sums of squares `count` elements have.
  package static func squaredNormChunks(_ count: Int) -> Int {
    count / squaredNormChunk + (count.isMultiple(of: squaredNormChunk) ? 0 : 1)
  }

  /// A short name of what it computes.
  public var name: String {
    switch self {
    case .block(let program): program.name
    case .columnSum: "column_sum"
    case .weightGradient: "weight_gradient"
    case .attention: "attention"
    case .attentionGradient: "attention_gradient"
    case .cacheStore: "cache_store"
    case .cachedAttention: "cached_attention"
    case .fewRowLinear: "few_row_linear"
    case .embedGradient: "embed_gradient"
    case .sum: "sum"
    case .tokenWeights: "token_weights"
    case .headLoss(let shape): shape.hasGradient ? "head_loss_gradient" : "head_loss"
    case .route: "route"
    case .routeExperts: "route_experts"
    case .combine: "combine"
    case .gates: "gates"
    case .gatesGradient: "gates_gradient"
    case .balance: "balance"
    case .sync: "sync"
    case .blasLinear: "blas_linear"
    case .blasInputGradient: "blas_input_gradient"
    case .blasWeightGradient: "blas_weight_gradient"
    case .round: "round"
    case .accumulate: "accumulate"
    case .squaredNorm: "squared_norm"
    case .clip: "clip"
    case .adamW: "adamw"
    case .adamWPacked: "adamw_packed"
    case .packForward: "pack_forward"
    case .packBackward: "pack_backward"
    }
  }
}
