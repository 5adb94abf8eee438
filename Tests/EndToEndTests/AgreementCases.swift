import MoTIR

// The list of what must agree; each case is there for one thing that kernels or passes do differently.
extension AgreementModel {
  /// All of them.
  static let all: [AgreementModel] =
    sizes + untyings + attentions + attentionBlocks + feedForwards + mixtures + arrangements
    + continuous + towers + experts

  /// Tails and full panels of all kinds.
  private static let sizes = [
    preNorm(
      "tiny", count: 2, width: 2, hidden: 1, batch: 1, sequence: 1,
      attention: Attention(heads: 1)),
    preNorm(
      "even", count: 2, width: 64, hidden: 96, batch: 2, sequence: 32, size: 31,
      attention: Attention(heads: 2)),
    preNorm(
      "odd_large", count: 3, width: 72, hidden: 200, batch: 2, sequence: 77, size: 107,
      attention: Attention(heads: 3, normalizeQueryKey: true)),
    preNorm(
      "odd_larger", count: 2, width: 100, hidden: 203, batch: 3, sequence: 91, size: 160,
      attention: Attention(heads: 5, keyValueHeads: 1)),
    preNorm(
      "long", count: 2, width: 34, hidden: 50, batch: 1, sequence: 301,
      attention: Attention(heads: 1, headWidth: 38)),
    // Blocks of its widest rows, in three terms, are multiplied in two pieces of depth.
    preNorm("deep", count: 2, width: 24, hidden: 2070, batch: 1, sequence: 140),
    // Its head is computed in three strips, the last of which is narrower.
    preNorm("large_vocabulary", count: 2, width: 12, batch: 1, sequence: 75, size: 1_031),
  ]

  private static let three = modalities(3)

  /// Dense, the ablations of what is untied, and merged groups.
  private static let untyings = [
    preNorm("dense", count: 1),
    preNorm("dense_three", count: 3, untied: .none),
    preNorm("two", count: 2, attention: Attention(heads: 2, normalizeQueryKey: true)),
    preNorm("three", count: 3, attention: Attention(heads: 2, normalizeQueryKey: true)),
    preNorm("eight", count: 8, sequence: 41),
    preNorm("untied_ff", count: 3, untied: .components(.feedForward)),
    preNorm(
      "untied_ff_qkv", count: 3,
      untied: .components(.feedForward, .attention(.query, .key, .value))),
    preNorm("untied_ff_qkvo", count: 3, untied: .components(.feedForward, .attention)),
    preNorm(
      "untied_norms", count: 3, untied: .components(.norms),
      attention: Attention(heads: 2, normalizeQueryKey: true)),
    preNorm(
      "untied_qk", count: 3, untied: .components(.queryKeyNorms, .attention(.key)),
      attention: Attention(heads: 2, normalizeQueryKey: true)),
    preNorm(
      "merged", count: 3, untied: .all.merging([three[1], three[2]]),
      attention: Attention(heads: 2, normalizeQueryKey: true, bias: true)),
    preNorm("merged_outer", count: 3, untied: .all.merging([three[0], three[2]])),
    preNorm(
      "merged_attention", count: 3, untied: .all.merging([three[0], three[2]], in: .attention)),
  ]

  /// Heads, norms, positions and masks.
  private static let attentions = [
    preNorm("gqa", count: 2, width: 24, attention: Attention(heads: 4, keyValueHeads: 2)),
    preNorm(
      "mqa_half", count: 2, width: 24,
      attention: Attention(
        heads: 6, keyValueHeads: 1, headWidth: 10,
        positions: .rotary(base: 500, layout: .half))),
    preNorm(
      "qk_norm_half", count: 2,
      attention: Attention(heads: 2, normalizeQueryKey: true, positions: .rotary(layout: .half))),
    preNorm(
      "qk_norm_after", count: 2,
      attention: Attention(heads: 2, normalizeQueryKey: true, normalizeAfterPositions: true)),
    preNorm(
      "no_positions", count: 2,
      attention: Attention(heads: 3, headWidth: 7, normalizeQueryKey: true, positions: .none)),
    preNorm(
      "head_of_one", count: 2, attention: Attention(heads: 2, headWidth: 1, positions: .none)),
    preNorm("bidirectional", count: 2, attention: Attention(heads: 2, causal: false)),
    preNorm("documents", count: 2, sequence: 37, attention: Attention(heads: 2, documents: true)),
    preNorm("spans", count: 2, sequence: 37, attends: .withinSpan),
    preNorm(
      "spans_documents", count: 3, sequence: 75, attends: .withinSpan,
      attention: Attention(heads: 4, keyValueHeads: 2, headWidth: 18, documents: true, bias: true)),
    preNorm("isolated", count: 2, sequence: 37, attends: .isolated),
    preNorm(
      "hidden_documents", count: 3, sequence: 75, attends: .hidden,
      attention: Attention(heads: 4, keyValueHeads: 2, headWidth: 18, documents: true)),
    preNorm(
      "alone_open", count: 2, sequence: 67, attends: .alone,
      attention: Attention(heads: 2, causal: false)),
    preNorm("wide_head", count: 2, width: 40, attention: Attention(heads: 1, headWidth: 130)),
  ]

  /// Sequences about a block of queries or a block of keys long; documents and segments that begin amid
  /// panels and leave whole panels empty, or full.
  private static let attentionBlocks: [AgreementModel] = {
    func blocks(
      _ name: String, sequence: Int, attends: Modality.Attending = .causal, heads: Int = 1,
      shared: Int = 1, causal: Bool = true, documents: Bool = false,
      spans: (document: Int, segment: Int)? = nil
    ) -> AgreementModel {
      var model = preNorm(
        name, count: 2, width: 12, hidden: 8, batch: 1, sequence: sequence, attends: attends,
        attention: Attention(
          heads: heads, keyValueHeads: shared, headWidth: 6, causal: causal, documents: documents))
      model.spans = spans
      return model
    }
    return [
      blocks("block_less_one", sequence: 63),
      blocks("block", sequence: 64, heads: 3, shared: 3),
      blocks("block_and_one", sequence: 65),
      blocks("two_blocks", sequence: 130, causal: false),
      blocks("chunk_and_one", sequence: 513),
      blocks("chunks_open", sequence: 530, causal: false),
      blocks("chunks_documents", sequence: 700, documents: true, spans: (150, 1)),
      blocks("chunks_spans", sequence: 650, attends: .withinSpan, heads: 2, spans: (1, 90)),
      blocks(
        "chunks_all", sequence: 620, attends: .withinSpan, documents: true, spans: (210, 70)),
      blocks("chunks_alone", sequence: 650, attends: .alone, heads: 2, spans: (1, 90)),
      blocks(
        "chunks_alone_documents", sequence: 620, attends: .alone, documents: true, spans: (210, 70)),
      blocks("blocks_of_one", sequence: 130, attends: .alone, spans: (1, 1)),
      blocks("one_block", sequence: 77, attends: .isolated, spans: (1, 0)),
      blocks("short_documents", sequence: 200, documents: true),
    ]
  }()

  /// Activations, biases, the tied head.
  private static let feedForwards = [
    preNorm("geglu", count: 2, activation: .geGLU, bias: true),
    preNorm("gelu", count: 2, activation: .gelu, bias: true),
    preNorm("silu", count: 2, hidden: 33, activation: .silu),
    preNorm(
      "relu", count: 2, activation: .relu, bias: true, attention: Attention(heads: 2, bias: true)),
    preNorm("tied_head", count: 2, tiedHead: true),
    preNorm("tied_head_wide", count: 2, width: 48, size: 40, tiedHead: true),
  ]

  /// Modalities that are empty, tiny or hold everything; padding; objectives without a target.
  private static let mixtures: [AgreementModel] = {
    var silent = preNorm("no_targets", count: 3, sequence: 21)
    silent.ignored = 11..<20
    var mute = preNorm("no_targets_at_all", count: 2)
    mute.ignored = 0..<100
    return [
      preNorm("first_only", count: 3, mixture: .only(0)),
      preNorm("last_only", count: 3, sequence: 40, mixture: .only(2)),
      preNorm("one_token", count: 2, sequence: 40, mixture: .single(1)),
      preNorm(
        "padded", count: 3, sequence: 40, bias: true, mixture: .padded,
        attention: Attention(heads: 2, normalizeQueryKey: true, bias: true)),
      preNorm("padding_only", count: 2, bias: true, mixture: .nothing), silent, mute,
    ]
  }()

  /// Norms in other places, layer norms, layers without residual.
  private static let arrangements = [
    arranged("output_norm") {
      Residual {
        Attention(heads: 2, headWidth: 6, normalizeQueryKey: true)
        RMSNorm()
      }
      Residual {
        FeedForward(hidden: 27)
        RMSNorm()
      }
    },
    arranged("both_norms") {
      Residual {
        RMSNorm()
        Attention(heads: 2, headWidth: 6)
        RMSNorm()
      }
      Residual {
        RMSNorm()
        FeedForward(hidden: 29)
        RMSNorm()
      }
    },
    arranged("layer_norms") {
      Residual {
        LayerNorm()
        Attention(heads: 2, headWidth: 6, bias: true)
      }
      Residual {
        LayerNorm(bias: false)
        FeedForward(hidden: 27, activation: .gelu, bias: true)
      }
      LayerNorm(epsilon: 1e-3)
    },
    arranged("mixed_norms") {
      Residual {
        LayerNorm()
        Attention(heads: 2, headWidth: 6)
        RMSNorm()
      }
      FeedForward(hidden: 17, activation: .geGLU)
      Residual {
        FeedForward(hidden: 31, activation: .relu)
        LayerNorm()
      }
    },
    arranged("no_residual") {
      RMSNorm()
      Attention(heads: 2, headWidth: 6)
      FeedForward(hidden: 22)
    },
    arranged("shared_keys_and_own") {
      Residual {
        RMSNorm()
        Attention(heads: 2, keyValueHeads: 1, headWidth: 6)
      }
      Residual {
        RMSNorm()
        Attention(heads: 2, headWidth: 6)
      }
    },
    arranged("nested") {
      Residual {
        Residual {
          RMSNorm()
          Attention(heads: 2, headWidth: 6)
        }
        FeedForward(hidden: 22)
      }
    },
  ]

  private static func arranged(
    _ name: String, @LayerBuilder layers: () -> [PlacedLayer]
  ) -> AgreementModel {
    let modalities = modalities(2)
    let model = Model(name, modalities: modalities, width: 22) {
      Embedding()
      layers()
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: modalities[0], weight: 0.5)
      NextToken(on: modalities[1], modalities[0], weight: 3, name: "all")
    }
    return AgreementModel(model: model, batch: 2, sequence: 19)
  }
}
