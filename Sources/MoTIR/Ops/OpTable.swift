/// What is known of an op besides its rules: one row an op, the source of docs/ir.md.
public struct OpRow: Sendable {
  /// The word in IR text.
  public let mnemonic: String
  /// Operands and results, as the documentation shows them.
  public let signature: String
  /// What it means, in one line.
  public let meaning: String
  /// What may be assumed of it.
  public let traits: OpTraits
}

/// Properties of an op that passes ask for.
public struct OpTraits: OptionSet, Hashable, Sendable {
  /// One bit a property.
  public let rawValue: Int

  /// Creates a set from its bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Row r of each result depends on row r of the row operands alone (and on weights).
  public static let tokenwise = OpTraits(rawValue: 1)
  /// Element i of the result depends on element i of the operands alone.
  public static let elementwise = OpTraits(rawValue: 2)
  /// With all row operands permuted alike, row results are permuted alike and others unchanged.
  public static let permutable = OpTraits(rawValue: 4)
  /// It is computed by matrix multiplication.
  public static let matmul = OpTraits(rawValue: 8)
  /// It must stay even if nothing reads its result.
  public static let effect = OpTraits(rawValue: 16)
}

extension Op {
  /// The op's row of the table.
  public var row: OpRow {
    func row(
      _ mnemonic: String, _ signature: String, _ meaning: String, _ traits: OpTraits = []
    ) -> OpRow {
      OpRow(mnemonic: mnemonic, signature: signature, meaning: meaning, traits: traits)
    }
    let rowwise: OpTraits = [.tokenwise, .permutable]
    return switch self {
    case .input:
      row("input", "(plan?) → any", "an input of the function; by plan: in grouped order")
    case .parameter: row("parameter", "() → weight", "a parameter of the model; written @name")
    case .constant: row("constant", "() → f32", "the same number in every element", rowwise)
    case .route:
      row("route", "(i32[T, 1]) → plan", "sorts the tokens by segment, stable; other ids last")
    case .sync:
      row("sync", "(plan) → plan", "the host waits for the size of a segment", [.effect])
    case .gather: row("gather", "(rows T, plan) → rows R", "sequence order to grouped order")
    case .scatter: row("scatter", "(rows R, plan) → rows T", "grouped order to sequence order")
    case .routeExperts:
      row(
        "route.experts", "(scores, plan) → plan",
        "by group, each expert takes its best tokens, or each token its best experts")
    case .dispatch:
      row("dispatch", "(rows R, plan) → rows E", "the row of each token that an expert takes")
    case .combine: row("combine", "(rows E, plan) → rows R", "the sum of each token's rows")
    case .gates:
      row("gates", "(p, plan) → gates", "the probability of each row's token and expert")
    case .gatesGradient:
      row("gates.gradient", "(dgates, plan) → dp", "the gradient of the probabilities")
    case .balance:
      row(
        "balance", "(plan, count?) → weights, means",
        "E · share of rows of the expert / n and 1 / n at the n tokens of a group; over the count if there is one"
      )
    case .linear:
      row("linear", "(x, w…, plan?) → y…", "yᵢ = x wᵢᵀ", rowwise.union(.matmul))
    case .linearInputGradient:
      row(
        "linear.input_gradient", "(dy, w, …, plan?) → dx", "dx = Σ dyᵢ wᵢ", rowwise.union(.matmul))
    case .linearWeightGradient:
      row(
        "linear.weight_gradient", "(x, dy…, plan?) → dw…", "dwᵢ = dyᵢᵀ x, group by group",
        [.permutable, .matmul])
    case .norm(let norm, _):
      row(
        norm.kind.rawValue, "(x, gain?, plan?) → y",
        norm.kind == .rms
          ? "y = x / sqrt(mean(x²) + ε) · gain, head by head"
          : "y = (x − mean(x)) / sqrt(var(x) + ε) · gain, head by head", rowwise)
    case .normGradient(let norm, _):
      row(
        "\(norm.kind.rawValue).gradient", "(x, dy, gain?, plan?) → dx", "the norm's input gradient",
        rowwise)
    case .channelMultiply:
      row("channel_multiply", "(x, c, plan?) → y", "y = x · c, c repeated over the row", rowwise)
    case .channelAdd:
      row("channel_add", "(x, c, plan?) → y", "y = x + c, c repeated over the row", rowwise)
    case .columnSum:
      row("column_sum", "(x, plan?) → c", "the sum of each group's rows", [.permutable])
    case .rotary:
      row("rotary", "(x, positions) → y", "turns pairs of each head by the position", rowwise)
    case .attention:
      row(
        "attention", "(q, k, v, documents?, segments?) → o, lse",
        "o = softmax(q kᵀ / sqrt(head width) + mask) v, head by head; lse = log Σ exp of the scores",
        [.matmul])
    case .attentionGradient:
      row(
        "attention.gradient", "(q, k, v, o, lse, do, documents?, segments?) → dq, dk, dv",
        "attention's gradients", [.matmul])
    case .cachedAttention:
      row(
        "attention.cached", "(q, k, v, keys, values, slots, visible) → o, keys, values",
        "k and v go to their slots of the caches; a query sees the first `visible` slots of its sequence",
        [.matmul])
    case .unary(let function):
      row(function.rawValue, "(x) → y", function.formula, rowwise.union(.elementwise))
    case .binary(let function):
      row(
        function.rawValue, "(a, b) → y", "\(function.formula); b may be 1 wide or a scalar",
        rowwise.union(.elementwise))
    case .rowSum: row("row_sum", "(x) → y", "the sum of each row", rowwise)
    case .logSumExponentials:
      row("log_sum_exp", "(x) → y", "log Σ exp of each row", rowwise)
    case .sum: row("sum", "(x) → f32[]", "the sum of all elements", [.permutable])
    case .embed: row("embed", "(tokens, table) → rows", "the table's row of each token", rowwise)
    case .embedGradient:
      row("embed.gradient", "(tokens, dy) → dtable", "adds each row to its token's", [.permutable])
    case .crossEntropy:
      row(
        "cross_entropy", "(logits, targets) → losses",
        "−log softmax(logits)[target]; 0 where the target is below 0", rowwise)
    case .crossEntropyGradient:
      row(
        "cross_entropy.gradient", "(logits, targets, dlosses) → dlogits",
        "(softmax(logits) − onehot(target)) · dloss", rowwise)
    case .tokenWeights:
      row(
        "token_weights", "(targets, count?) → weights",
        "1/n at the n targets in the ranges, else 0; n is the count if there is one",
        [.permutable])
    case .headLoss:
      row(
        "head_loss", "(x, w, targets) → losses", "cross_entropy(linear(x, w), targets)",
        [.permutable, .matmul])
    case .headLossGradient:
      row(
        "head_loss.gradient", "(x, w, targets, dlosses) → losses, dx, dw",
        "head_loss and its gradients in one pass", [.permutable, .matmul])
    }
  }

  /// The word in IR text.
  public var mnemonic: String { row.mnemonic }
  /// What may be assumed of the op.
  public var traits: OpTraits { row.traits }
  /// `true` iff row r of each result depends on row r of the row operands alone.
  public var isTokenwise: Bool { traits.contains(.tokenwise) }
  /// `true` iff element i of the result depends on element i of the operands alone.
  public var isElementwise: Bool { traits.contains(.elementwise) }

  /// `true` iff results depend on the operands' rows of `segment`, or of no segment behind the last: some ops give 0
  /// where they have no weights, or add nothing, whatever rows have there.
  package func readsRows(of segment: Int) -> Bool {
    switch self {
    case .linear(let groups?), .linearInputGradient(let groups?),
      .linearWeightGradient(let groups?),
      .channelAdd(let groups?), .columnSum(let groups?, _):
      groups.ofSegment.indices.contains(segment) && groups.ofSegment[segment] != Groups.none
    default: true
    }
  }

  /// The map from segments to groups of a routed op; `nil` for any other.
  public var groups: Groups? {
    switch self {
    case .linear(let groups), .linearInputGradient(let groups), .linearWeightGradient(let groups),
      .norm(_, let groups), .normGradient(_, let groups), .channelMultiply(let groups),
      .channelAdd(let groups), .columnSum(let groups, _):
      groups
    case .routeExperts(_, let groups): groups
    case .input, .parameter, .constant, .route, .sync, .gather, .scatter, .dispatch, .combine,
      .gates, .gatesGradient, .balance, .logSumExponentials, .rotary, .attention,
      .attentionGradient, .cachedAttention, .unary, .binary, .rowSum, .sum, .embed, .embedGradient,
      .crossEntropy,
      .crossEntropyGradient, .tokenWeights, .headLoss, .headLossGradient:
      nil
    }
  }
}

extension Op.Unary {
  /// What it computes of each element.
  fileprivate var formula: String {
    switch self {
    case .negate: "−x"
    case .exponential: "eˣ"
    case .logarithm: "ln x"
    case .squareRoot: "√x"
    case .reciprocalSquareRoot: "1 / √x"
    case .sine: "sin x"
    case .cosine: "cos x"
    case .sigmoid: "1 / (1 + e⁻ˣ)"
    case .tanh: "tanh x"
    case .silu: "x · sigmoid(x)"
    case .gelu: "x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))"
    case .relu: "max(x, 0)"
    case .step: "1 where x > 0, else 0"
    }
  }
}

extension Op.Binary {
  /// What it computes of each pair of elements.
  fileprivate var formula: String {
    switch self {
    case .add: "a + b"
    case .subtract: "a − b"
    case .multiply: "a · b"
    case .divide: "a / b"
    }
  }
}
