extension NameScheme {
  /// The schemes that motc knows, each as a file would have it.
  static let builtIn: [(name: String, text: String)] = [
    ("hf", hf), ("moe-gen", moeGen), ("hy", hy), ("pi0", pi0), ("list", list),
  ]

  /// Llama, Qwen and others in the transformers library: one set of weights for all tokens.
  private static let hf = """
    modalities: [""]
    shared: ""
    rotary: half
    \(transformers(prefix: ""))
    """

  /// BAGEL: the second modality has a suffix.
  private static let moeGen = """
    modalities: ["", _moe_gen]
    shared: ""
    rotary: half
    ignored: [
      vit_model., vit_pos_embed., connector., vae2llm., llm2vae., time_embedder., latent_pos_embed.]
    \(transformers(prefix: "language_model."))
    """

  /// HY-Embodied: the second modality has a suffix; all share the norms of queries and keys.
  private static let hy = """
    modalities: ["", _v]
    shared: ""
    rotary: half
    names:
      layers.{i}.attention.q_norm.weight: model.layers.{i}.self_attn.query_layernorm.weight rotary
      layers.{i}.attention.k_norm.weight: model.layers.{i}.self_attn.key_layernorm.weight rotary
    \(rules(prefix: ""))
    """

  /// pi0 in PyTorch: each modality has a transformer of its own, by the names that the transformers library gives it.
  private static let pi0 = """
    modalities: [paligemma.model.language_model, gemma_expert.model]
    rotary: half
    ignored: [
      paligemma.model.vision_tower., paligemma.model.multi_modal_projector., gemma_expert.lm_head.,
      paligemma.model.language_model.embed_tokens., action_in_proj., action_out_proj., action_time_mlp_in.,
      action_time_mlp_out., state_proj.]
    names:
      embedding.weight: paligemma.lm_head.weight
      embedding.projection.{modality}.weight: stand_in.embedding.weight
      head.projection.{modality}.weight: stand_in.head.weight
      norm.{modality}.weight: "{modality}.norm.weight"
      layers.{i}.attention_norm.{modality}.weight: "{modality}.layers.{i}.input_layernorm.weight"
      layers.{i}.attention.q.{modality}.weight: "{modality}.layers.{i}.self_attn.q_proj.weight rotary"
      layers.{i}.attention.k.{modality}.weight: "{modality}.layers.{i}.self_attn.k_proj.weight rotary"
      layers.{i}.attention.{p}.{modality}.weight: "{modality}.layers.{i}.self_attn.{p}_proj.weight"
      layers.{i}.feed_forward_norm.{modality}.weight: "{modality}.layers.{i}.post_attention_layernorm.weight"
      layers.{i}.feed_forward.{part}.{modality}.weight: "{modality}.layers.{i}.mlp.{part}_proj.weight"
    """

  private static func transformers(prefix: String) -> String {
    "names:\n\(rules(prefix: prefix))"
  }

  /// Returns the names of the transformers library, behind a prefix, with a suffix for the modality.
  private static func rules(prefix: String) -> String {
    """
      embedding.weight: \(prefix)model.embed_tokens.weight
      head.weight: \(prefix)lm_head.weight
      norm.{modality}.{kind}: \(prefix)model.norm{modality}.{kind}
      layers.{i}.attention_norm.{modality}.{kind}: \(prefix)model.layers.{i}.input_layernorm{modality}.{kind}
      layers.{i}.attention.q.{modality}.{kind}: \(prefix)model.layers.{i}.self_attn.q_proj{modality}.{kind} rotary
      layers.{i}.attention.k.{modality}.{kind}: \(prefix)model.layers.{i}.self_attn.k_proj{modality}.{kind} rotary
      layers.{i}.attention.v.{modality}.{kind}: \(prefix)model.layers.{i}.self_attn.v_proj{modality}.{kind}
      layers.{i}.attention.o.{modality}.{kind}: \(prefix)model.layers.{i}.self_attn.o_proj{modality}.{kind}
      layers.{i}.attention.q_norm.{modality}.weight: \(prefix)model.layers.{i}.self_attn.q_norm{modality}.weight rotary
      layers.{i}.attention.k_norm.{modality}.weight: \(prefix)model.layers.{i}.self_attn.k_norm{modality}.weight rotary
      layers.{i}.feed_forward_norm.{modality}.{kind}:
        \(prefix)model.layers.{i}.post_attention_layernorm{modality}.{kind}
      layers.{i}.feed_forward.{part}.{modality}.{kind}: \(prefix)model.layers.{i}.mlp{modality}.{part}_proj.{kind}
    """
  }

  /// The code that was published with the paper on mixtures of transformers: lists of modules by the modality's number,
  /// in blocks named as in lingua.
  private static let list = """
    rotary: interleaved
    names:
      embedding.weight: tok_embeddings.weight
      head.weight: output.weight
      norm.weight: norm.weight
      norm.{modality}.weight: norm.{number}.weight
      layers.{i}.attention_norm.{modality}.weight: layers.{i}.attention.local_experts_attention_norm.{number}.weight
      layers.{i}.attention.q_norm.{modality}.weight:
        layers.{i}.attention.local_experts_q_normalization.{number}.weight rotary
      layers.{i}.attention.k_norm.{modality}.weight:
        layers.{i}.attention.local_experts_k_normalization.{number}.weight rotary
      layers.{i}.attention.q.{modality}.weight: layers.{i}.attention.local_experts_wq.{number}.weight rotary
      layers.{i}.attention.k.{modality}.weight: layers.{i}.attention.local_experts_wk.{number}.weight rotary
      layers.{i}.attention.{p}.{modality}.weight: layers.{i}.attention.local_experts_w{p}.{number}.weight
      layers.{i}.feed_forward_norm.{modality}.weight: layers.{i}.feed_forward.local_experts_ffn_norm.{number}.weight
      layers.{i}.feed_forward.gate.{modality}.weight: layers.{i}.feed_forward.local_experts.{number}.w1.weight
      layers.{i}.feed_forward.up.{modality}.weight: layers.{i}.feed_forward.local_experts.{number}.w3.weight
      layers.{i}.feed_forward.down.{modality}.weight: layers.{i}.feed_forward.local_experts.{number}.w2.weight
    """
}
