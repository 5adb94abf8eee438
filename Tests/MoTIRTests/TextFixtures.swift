/// Small modules in canonical text that together use every op, label, attribute and suffix.
enum TextFixtures {
  /// All texts.
  static let all = [routing, experts, attention, cached, elementwise, continuous, losses]

  /// Routing, linear maps, norms and channels, routed and tied.
  static let routing = """
    module @routing batch 2 sequence 4 {
      modality "text" 0..<10
      modality "image" 10..<20 begin 8 end 9 attends_hidden counts_per_span
      parameter @embedding.weight : f32[20, 8] component "embedding" init normal(0.02) decay
      parameter @gain.weight : f32[4] by "text", "image" component "norm" init ones
      parameter @q.weight : f32[8, 8] by "text", "image" component "attention" init normal(0.02) decay
      parameter @k.weight : f32[4, 8] by "text", "image" component "attention" init normal(1e-05) decay
      parameter @shared.weight : f32[6, 8] component "attention" init zeros
      parameter @bias.weight : f32[8] by "text" + "image" component "attention" init zeros
      parameter @scale.weight : f32[8] by "text" component "attention" init ones
      func @routed {
        %0 = input "tokens" : i32[T=8, 1] at "a model.swift-spec":8:3
        %1 = embed %0, @embedding.weight : f32[T=8, 8] at "a model.swift-spec":8:3
        %2 = input "modality" : i32[T=8, 1]
        %3 = route %2 into 2 : plan[8, 2]
        %4 = sync %3 segment 1 : plan[8, 2]
        %5 = gather %1 by %4 : f32[R=8, 8]
        %6 = rms_norm %5 gain @gain.weight by %4 groups [0, 1] heads 2 epsilon 1e-05 : f32[R=8, 8] in #2
        %7, %8 = linear %6, @q.weight, @k.weight by %4 groups [0, 1] : f32[R=8, 8], f32[R=8, 4] in #2
        %9 = channel_add %7, @bias.weight by %4 groups [0, 0] : f32[R=8, 8] in #2 at "b":1:2
        %10 = channel_multiply %9, @scale.weight by %4 groups [0, _] : f32[R=8, 8]
        %11 = column_sum %10 by %4 groups [0, 1] parts 2 : f32[2, 4]
        %12 = linear.input_gradient %7, @q.weight, %8, @k.weight by %4 groups [0, 1] : f32[R=8, 8]
        %13, %14 = linear.weight_gradient %12, %7, %8 by %4 groups [0, 1] : f32[2, 8, 8], f32[2, 4, 8]
        %15 = rms_norm.gradient %5, %12 gain @gain.weight by %4 groups [0, 1] heads 2 epsilon 1e-05 : f32[R=8, 8]
        %16 = scatter %15 by %4 : f32[T=8, 8]
        %17 = input "targets" by %4 : i32[R=8, 1]
        %18 = input "plan" : plan[8, 2]
        return
          %16 as "x",
          %11 as "grad.bias",
          @q.weight as "weight",
          %14 as "a \\"quoted\\" name"
      }
      func @tied {
        %0 = input "tokens" : i32[T=8, 1]
        %1 = embed %0, @embedding.weight : f32[T=8, 8]
        %2 = rms_norm %1 epsilon 0.0 : f32[T=8, 8]
        %3 = layer_norm %2 heads 4 epsilon 1e-06 : f32[T=8, 8]
        %4 = layer_norm.gradient %2, %3 heads 4 epsilon 1e-06 : f32[T=8, 8]
        %5 = linear %4, @shared.weight : f32[T=8, 6]
        %6 = column_sum %5 : f32[6]
        return
      }
    }

    """

  /// Experts of two groups, with both rules.
  static let experts = """
    module @experts batch 2 sequence 4 {
      modality "text" 0..<10
      modality "image" 10..<20
      parameter @embedding.weight : f32[20, 8] component "embedding" init normal(0.02) decay
      parameter @router.weight : f32[3, 8] by "text", "image" component "feed_forward" init normal(0.02) decay
      parameter @expert.up.weight : f32[6, 8] by "text", "image" experts 3 component "feed_forward" \
    init normal(0.02) decay
      parameter @expert.down.weight : f32[8, 6] experts 3 component "feed_forward" init normal(0.02) decay
      func @f {
        %0 = input "tokens" : i32[T=8, 1]
        %1 = embed %0, @embedding.weight : f32[T=8, 8]
        %2 = input "modality" : i32[T=8, 1]
        %3 = route %2 into 2 : plan[8, 2]
        %4 = gather %1 by %3 : f32[R=8, 8]
        %5 = linear %4, @router.weight by %3 groups [0, 1] : f32[R=8, 3]
        %6 = log_sum_exp %5 : f32[R=8, 1]
        %7 = route.experts %5 by %3 groups [0, 1] experts 3 top 2 : plan[E=16, 6, 8, 3]
        %8 = dispatch %4 by %7 : f32[E=16, 8]
        %9 = linear %8, @expert.up.weight by %7 groups [0, 1, 2, 3, 4, 5] : f32[E=16, 6]
        %10 = gates %5 by %7 : f32[E=16, 1]
        %11 = multiply %9, %10 : f32[E=16, 6]
        %12 = combine %11 by %7 : f32[R=8, 6]
        %13 = gates.gradient %10 by %7 : f32[R=8, 3]
        %14 = route.experts %13 by %3 groups [_, 0] experts 3 capacity 1.5 : plan[E=12, 3, 8, 3]
        %15 = dispatch %12 by %14 : f32[E=12, 6]
        %16 = linear %15, @expert.down.weight by %14 groups [0, 1, 2] : f32[E=12, 8]
        %17 = combine %16 by %14 : f32[R=8, 8]
        %18, %19 = balance %7 : f32[R=8, 3], f32[R=8, 1]
        %20 = input "count.0" : i32[]
        %21, %22 = balance %14 count %20 : f32[R=8, 3], f32[R=8, 1]
        return %17 as "x", %18 as "weights", %22 as "means"
      }
    }

    """

  /// Rotary embedding and attention with all operands.
  static let attention = """
    module @"an attention" batch 2 sequence 4 {
      modality "text" 0..<10
      parameter @x.weight : f32[10, 16] component "embedding" init normal(0.02)
      func @attention {
        %0 = input "tokens" : i32[T=8, 1]
        %1 = embed %0, @x.weight : f32[T=8, 16]
        %2 = input "positions" : i32[T=8, 1]
        %3 = rotary %1, %2 heads 4 base 10000.0 layout interleaved : f32[T=8, 16]
        %4 = rotary %3, %2 heads 4 base 500000.5 layout half inverse : f32[T=8, 16]
        %5 = input "documents" : i32[T=8, 1]
        %6 = input "segments" : i32[T=8, 1]
        %7, %8 = attention %3, %4, %1 documents %5 segments %6 batch 2 heads 4 key_value_heads 4 causal : \
    f32[T=8, 16], f32[T=8, 4]
        %9, %10 = attention %3, %4, %1 segments %6 batch 2 heads 4 key_value_heads 4 : f32[T=8, 16], f32[T=8, 4]
        %11, %12, %13 = attention.gradient %3, %4, %1, %7, %8, %9 documents %5 segments %6 batch 2 heads 4 \
    key_value_heads 4 causal : f32[T=8, 16], f32[T=8, 16], f32[T=8, 16] in #0
        return %11 as "dq", %12 as "dk", %13 as "dv"
      }
    }

    """

  /// Attention that goes on from caches, one token a sequence.
  static let cached = """
    module @cached batch 2 sequence 4 context 6 {
      modality "text" 0..<10
      parameter @x.weight : f32[10, 16] component "embedding" init normal(0.02)
      func @decode {
        %0 = input "tokens" : i32[T=2, 1]
        %1 = embed %0, @x.weight : f32[T=2, 16]
        %2 = linear %1, @x.weight : f32[T=2, 10]
        %3 = input "cache.a.keys" : f32[2, 6, 16]
        %4 = input "cache.a.values" : f32[2, 6, 16]
        %5 = input "slots" : i32[T=2, 1]
        %6 = input "visible" : i32[T=2, 1]
        %7, %8, %9 = attention.cached %1, %1, %1 keys %3 values %4 slots %5 visible %6 batch 2 heads 4 \
    key_value_heads 4 : f32[T=2, 16], f32[2, 6, 16], f32[2, 6, 16]
        return %7 as "x", %8 as "cache.a.keys", %9 as "cache.a.values"
      }
    }

    """

  /// Elementwise ops and sums.
  static let elementwise = """
    module @elementwise batch 1 sequence 2 {
      modality "text" 0..<10
      func @f {
        %0 = constant -0.5 : f32[T=2, 4]
        %1 = constant 1e+300 : f32[]
        %2 = negate %0 : f32[T=2, 4]
        %3 = exp %2 : f32[T=2, 4]
        %4 = log %3 : f32[T=2, 4]
        %5 = sqrt %4 : f32[T=2, 4]
        %6 = rsqrt %5 : f32[T=2, 4]
        %7 = sigmoid %6 : f32[T=2, 4]
        %8 = tanh %7 : f32[T=2, 4]
        %9 = silu %8 : f32[T=2, 4]
        %10 = gelu %9 : f32[T=2, 4]
        %11 = relu %10 : f32[T=2, 4]
        %12 = step %11 : f32[T=2, 4]
        %13 = add %12, %11 : f32[T=2, 4]
        %14 = subtract %13, %1 : f32[T=2, 4]
        %15 = row_sum %14 : f32[T=2, 1]
        %16 = multiply %14, %15 : f32[T=2, 4]
        %17 = divide %16, %1 : f32[T=2, 4]
        %18 = sin %17 : f32[T=2, 4]
        %19 = cos %18 : f32[T=2, 4]
        %20 = sum %19 : f32[]
        return %20 as "loss"
      }
    }

    """

  /// Tokens that are numbers, and the noise on them.
  static let continuous = """
    module @continuous batch 1 sequence 2 {
      modality "text" 0..<10
      modality "image" latents 4 begin 8 end 9 attends_within_span
      parameter @patch.weight : f32[6, 4] by "image" component "embedding" init normal(0.02) decay
      objective "text" on "text" weight 1.0
      objective "image" on "image" weight 5.0 denoise velocity schedule linear
      func @loss {
        %0 = input "latents.image" : f32[T=2, 4]
        %1 = input "timesteps.image" : f32[T=2, 1]
        %2 = multiply %0, %1 : f32[T=2, 4]
        %3 = input "plan" : plan[2, 2]
        %4 = input "noise.image" by %3 : f32[R=2, 4]
        %5 = linear %4, @patch.weight by %3 groups [_, 0] : f32[R=2, 6]
        return %2 as "a", %5 as "b"
      }
    }

    """

  /// Embedding, head and losses.
  static let losses = """
    module @losses batch 1 sequence 2 {
      modality "text" 0..<10
      modality "image" 10..<12
      modality "speech" 20..<30
      parameter @head.weight : f32[30, 4] component "head" init normal(0.02)
      objective "text" on "text" weight 1.0
      objective "rest" on "image", "speech" weight 0.25
      func @loss {
        %0 = input "tokens" : i32[T=2, 1]
        %1 = input "targets" : i32[T=2, 1]
        %2 = embed %0, @head.weight : f32[T=2, 4]
        %3 = linear %2, @head.weight : f32[T=2, 30]
        %4 = cross_entropy %3, %1 : f32[T=2, 1]
        %5 = token_weights %1 ranges [10..<12, 20..<30] : f32[T=2, 1]
        %6 = cross_entropy.gradient %3, %1, %5 : f32[T=2, 30]
        %7 = head_loss %2, @head.weight, %1 : f32[T=2, 1]
        %8, %9, %10 = head_loss.gradient %2, @head.weight, %1, %7 : f32[T=2, 1], f32[T=2, 4], f32[30, 4]
        %11 = embed.gradient %0, %9 vocabulary 30 : f32[30, 4]
        %12 = input "count.0" : i32[]
        %13 = token_weights %1 count %12 ranges [0..<10] : f32[T=2, 1]
        return %4 as "loss", %11 as "grad.head.weight"
      }
    }

    """
}
