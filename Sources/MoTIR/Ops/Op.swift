/// The weights of a routed op: which group's weights each segment of the plan takes.
///
/// `nil` where an op carries `Groups?`: the op is tied, takes one weight for all rows and no plan.
public struct Groups: Hashable, Sendable {
  /// In `ofSegment`: the segment takes no weights. Its rows are as rows of no segment: they give 0, and add nothing.
  public static let none = -1

  /// For each segment of the plan, the number of its group, or `none`.
  public let ofSegment: [Int]

  /// Creates the map.
  public init(_ ofSegment: [Int]) { self.ofSegment = ofSegment }

  /// The number of groups.
  public var count: Int { (ofSegment.max() ?? Groups.none) + 1 }

  /// `true` iff `ofSegment` maps segments to the groups 0, 1, … and leaves none of these out.
  var isSound: Bool {
    let groups = Set(ofSegment.filter { $0 != Groups.none })
    return !groups.isEmpty && groups.count == count && ofSegment.allSatisfy { $0 >= Groups.none }
  }
}

/// What a norm does to a row, head by head.
public struct Norm: Hashable, Sendable {
  /// How the row is centred and scaled.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// x / sqrt(mean(x²) + ε)
    case rms = "rms_norm"
    /// (x − mean(x)) / sqrt(var(x) + ε)
    case layer = "layer_norm"
  }

  /// How the row is centred and scaled.
  public let kind: Kind
  /// Into how many equal parts the row is cut, each normalised by itself.
  public let heads: Int
  /// ε
  public let epsilon: Double
  /// `true` iff a gain of the width of one part is among the operands, after `x`.
  public let hasGain: Bool

  /// Creates a norm.
  public init(_ kind: Kind, heads: Int = 1, epsilon: Double = 1e-5, hasGain: Bool = true) {
    self.kind = kind
    self.heads = heads
    self.epsilon = epsilon
    self.hasGain = hasGain
  }
}

/// A rotary position embedding: the pair i of each head turns by position · base^(−2i / head width).
public struct Rotary: Hashable, Sendable {
  /// Which elements of a head form a pair.
  public enum Layout: String, Hashable, Sendable, CaseIterable {
    /// Elements 2i and 2i + 1.
    case interleaved
    /// Elements i and i + width / 2.
    case half
  }

  /// The number of heads in a row.
  public let heads: Int
  /// The base of the geometric series of frequencies.
  public let base: Double
  /// Which elements form a pair.
  public let layout: Layout
  /// `true` iff it turns backwards, as the gradient does.
  public let inverse: Bool

  /// Creates a rotation.
  public init(
    heads: Int, base: Double = 10_000, layout: Layout = .interleaved, inverse: Bool = false
  ) {
    self.heads = heads
    self.base = base
    self.layout = layout
    self.inverse = inverse
  }
}

/// An operation of the graph: its attributes only, operands are the node's.
///
/// Shapes: T tokens, K segments of a plan, G groups of weights, D a row's width, N a linear map's output
/// width, V vocabulary. `rows` stands for `f32[T=…]` or `f32[R=…]`. An op with `Groups?` is *routed* iff
/// it is not `nil`; then its last operand is the plan, its rows are in grouped order, its weights have
/// the groups as first dimension, and rows of no segment give 0.
public enum Op: Hashable, Sendable {
  // MARK: Sources

  /// An input of the function. With a plan as operand: that input with its rows in grouped order.
  case input(String)
  /// A parameter of the model.
  case parameter(String)
  /// The same number in every element.
  case constant(Double)

  // MARK: Routing

  /// (modality rows i32 1 wide) → plan. Ids outside 0..<K are in no segment.
  case route(segments: Int)
  /// (plan) → plan: the host waits for a segment's size. The value is the operand.
  case sync(segment: Int)
  /// (rows in sequence order, plan) → the same rows in grouped order.
  case gather
  /// (rows in grouped order, plan) → the same rows in sequence order.
  case scatter

  // MARK: Experts

  /// (scores [R, E], plan) → the plan by which tokens of segments with a group go to the group's experts.
  case routeExperts(ExpertRouting, Groups)
  /// (rows, plan of experts) → row r is that of token rows[r]; 0 where r is in no segment.
  case dispatch
  /// (rows of experts, plan of experts) → the sum of each token's rows.
  case combine
  /// (probabilities [R, E], plan of experts) → the probability of each row's token and expert, 1 wide.
  case gates
  /// (dgates, plan of experts) → dprobabilities.
  case gatesGradient
  /// (plan of experts, count?) → weights [R, E] whose sum with the probabilities is 1 where experts take equal
  /// shares, and weights of a mean, 1 wide; by group, over the tokens that its experts take. With a count, i32[],
  /// both are divided by it: the number of batches.
  case balance(hasCount: Bool)

  // MARK: Linear maps

  /// (x, w1…wn, plan?) → y1…yn, yi = x wiᵀ; wi is [N, D] or [G, N, D].
  case linear(Groups?)
  /// (dy1, w1, … dyn, wn, plan?) → dx = Σ dyi wi.
  case linearInputGradient(Groups?)
  /// (x, dy1…dyn, plan?) → dw1…dwn, dwi = dyiᵀ x.
  case linearWeightGradient(Groups?)

  // MARK: Channels and norms

  /// (x, gain?, plan?) → normalised rows times the gain.
  case norm(Norm, Groups?)
  /// (x, dy, gain?, plan?) → dx of `norm`.
  case normGradient(Norm, Groups?)
  /// (x, c, plan?) → x · c, element by element of the row; c repeats if it is narrower.
  case channelMultiply(Groups?)
  /// (x, c, plan?) → x + c.
  case channelAdd(Groups?)
  /// (x, plan?) → the sum of the rows of each group, cut into `parts` equal parts that are added:
  /// [D / parts] or [G, D / parts].
  case columnSum(Groups?, parts: Int)

  // MARK: Attention

  /// (x, positions) → rotated rows.
  case rotary(Rotary)
  /// (q, k, v, documents?, segments?) → output rows, log-sum-exp rows [T, heads].
  case attention(Attention)
  /// (q, k, v, o, lse, do, documents?, segments?) → dq, dk, dv.
  case attentionGradient(Attention)
  /// (q, k, v, keys, values, slots, visible) → o, and the caches `keys` and `values` [B, C, …] with the rows of k
  /// and v in their slots. A query sees the first `visible` slots of its sequence; a slot below 0 is none.
  case cachedAttention(CachedAttention)

  // MARK: Elementwise

  /// (x) → f(x), element by element.
  case unary(Unary)
  /// (a, b) → f(a, b), element by element; b may be 1 wide or a scalar.
  case binary(Binary)
  /// (x) → the sum of each row, 1 wide.
  case rowSum
  /// (x) → log Σ exp of each row, 1 wide.
  case logSumExponentials
  /// (x) → the sum of all elements, a scalar.
  case sum

  // MARK: Tokens and losses

  /// (tokens, table [V, D]) → rows of the table.
  case embed
  /// (tokens, dy) → the table's gradient [V, D].
  case embedGradient(vocabulary: Int)
  /// (logits, targets) → −log softmax(logits)[target], 1 wide; a target below 0 gives 0.
  case crossEntropy
  /// (logits, targets, dloss) → dlogits.
  case crossEntropyGradient
  /// (targets, count?) → 1 / n at the n targets inside one of the ranges, 0 elsewhere; 1 wide. With a count, i32[],
  /// that is n: the targets of several batches.
  case tokenWeights([Range<Int>], hasCount: Bool)
  /// (x, w [V, D], targets) → the losses of `crossEntropy(linear(x, w), targets)`, without the logits.
  case headLoss
  /// (x, w, targets, dloss) → losses, dx, dw, without the logits.
  case headLossGradient
}

extension Op {
  /// A function of one number.
  public enum Unary: String, Hashable, Sendable, CaseIterable {
    case negate
    case exponential = "exp"
    case logarithm = "log"
    case squareRoot = "sqrt"
    case reciprocalSquareRoot = "rsqrt"
    case sine = "sin"
    case cosine = "cos"
    case sigmoid
    case tanh
    /// x · sigmoid(x)
    case silu
    /// The tanh form: x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))
    case gelu
    case relu
    /// 1 where x > 0, else 0.
    case step
  }

  /// A function of two numbers.
  public enum Binary: String, Hashable, Sendable, CaseIterable {
    case add
    case subtract
    case multiply
    case divide
  }

  /// Scaled dot-product attention over the sequences of a batch.
  public struct Attention: Hashable, Sendable {
    /// Sequences in the batch; rows are sequence-major.
    public let batch: Int
    /// Query heads.
    public let heads: Int
    /// Key and value heads; query head h reads key head h · keyValueHeads / heads.
    public let keyValueHeads: Int
    /// `true` iff a query sees only keys at its own and earlier positions.
    public let causal: Bool
    /// `true` iff document numbers are among the operands: a query sees only keys of its own document.
    public let hasDocuments: Bool
    /// `true` iff segment numbers are among the operands: equal numbers above 0 see each other both
    /// ways, whatever `causal` says, and some blocks see or show nothing else (`Segment`).
    public let hasSegments: Bool

    /// Creates an attention.
    public init(
      batch: Int, heads: Int, keyValueHeads: Int, causal: Bool = true, hasDocuments: Bool = false,
      hasSegments: Bool = false
    ) {
      self.batch = batch
      self.heads = heads
      self.keyValueHeads = keyValueHeads
      self.causal = causal
      self.hasDocuments = hasDocuments
      self.hasSegments = hasSegments
    }
  }

  /// Attention of new rows over what is kept of all rows before them.
  public struct CachedAttention: Hashable, Sendable {
    /// Sequences in the batch; rows are sequence-major.
    public let batch: Int
    /// Query heads.
    public let heads: Int
    /// Key and value heads; query head h reads key head h · keyValueHeads / heads.
    public let keyValueHeads: Int

    /// Creates an attention.
    public init(batch: Int, heads: Int, keyValueHeads: Int) {
      self.batch = batch
      self.heads = heads
      self.keyValueHeads = keyValueHeads
    }
  }
}
