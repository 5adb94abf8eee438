import Lowering
import MoTIR
import Testing

/// Parameters by component and by modality, and what tokens of a modality cost.
@Suite struct ParameterCountsTests {
  private static let text = Modality("text", vocabulary: 0..<8)
  private static let image = Modality("image", vocabulary: 8..<12)
  private static let speech = Modality("speech", vocabulary: 12..<20)

  /// Returns the counts of a model of one layer, 8 wide with 12 hidden channels.
  private static func counts(_ untied: Untying) throws -> ParameterCounts {
    let model = Model("small", modalities: [text, image, speech], width: 8, untied: untied) {
      Embedding()
      Residual {
        RMSNorm()
        Attention(heads: 2, bias: true)
      }
      Residual {
        RMSNorm()
        FeedForward(hidden: 12)
      }
      Head()
    } objectives: {
      NextToken(on: text)
    }
    return ParameterCounts(try model.module())
  }

  @Test func denseModelsAreUsedByAll() throws {
    let counts = try Self.counts(.none)
    #expect(counts.users == [[0, 1, 2]])
    #expect(counts.components == ["embedding", "norm", "attention", "feed_forward", "head"])
    #expect(counts.count(of: "attention") == 4 * 8 * 8 + 4 * 8)
    #expect(counts.count(of: "feed_forward") == 3 * 8 * 12)
    #expect(counts.count() == 2 * 20 * 8 + 2 * 8 + 288 + 288)
    #expect(counts.matrices == counts.count() - 2 * 8 - 4 * 8)
    #expect(counts.addedByModality() == 0)
    #expect(counts.active(1) == counts.count())
  }

  @Test func whatIsUntiedIsAdded() throws {
    let counts = try Self.counts(.components(.feedForward))
    #expect(counts.users == [[0, 1, 2], [0], [1], [2]])
    #expect(counts.count(usedBy: [1]) == 288)
    #expect(counts.count(of: "attention", usedBy: [1]) == 0)
    #expect(counts.addedByModality() == 2 * 288)
    #expect(counts.addedByModality(of: "feed_forward") == 2 * 288)
    #expect(counts.active(2, of: "feed_forward") == 288)
  }

  /// Leave-one-out: three modalities on two towers.
  @Test func mergedModalitiesCountOnce() throws {
    let counts = try Self.counts(.all.merging([Self.image, Self.speech]))
    #expect(counts.users == [[0, 1, 2], [0], [1, 2]])
    #expect(counts.addedByModality() == 2 * 8 + 288 + 288)
    #expect(counts.active(1) == counts.active(2))
  }

  /// Of unequal towers the largest is the one to which the others are added.
  @Test func modalitiesWithoutAGroupUseNothing() throws {
    let module = try Module.parse(
      """
      module @m batch 1 sequence 4 {
        modality "text" 0..<8
        modality "image" 8..<10
        parameter @table : f32[10, 4] component "embedding" init normal(0.02)
        parameter @both : f32[6, 4] by "text", "image" component "adapter" init normal(0.02)
        parameter @text : f32[5, 6] by "text" component "feed_forward" init normal(0.02)
        parameter @gain : f32[4] component "norm" init ones
        func @logits {
          %0 = input "tokens" : i32[T=4, 1]
          %1 = embed %0, @table : f32[T=4, 4]
          %2 = input "modality" : i32[T=4, 1]
          %3 = route %2 into 2 : plan[4, 2]
          %4 = gather %1 by %3 : f32[R=4, 4]
          %5 = rms_norm %4 gain @gain epsilon 1e-05 : f32[R=4, 4]
          %6 = linear %5, @both by %3 groups [0, 1] : f32[R=4, 6]
          %7 = linear %6, @text by %3 groups [0, _] : f32[R=4, 5]
          return %7 as "logits"
        }
      }
      """, file: "m.motir")
    let counts = ParameterCounts(module)
    #expect(counts.count() == 40 + 2 * 24 + 30 + 4 && counts.matrices == counts.count() - 4)
    #expect(counts.active(0) == 40 + 24 + 30 + 4 && counts.active(1) == 40 + 24 + 4)
    #expect(counts.addedByModality() == 24)
    #expect(counts.addedByModality(of: "feed_forward") == 0)
    let costs = GraphCosts(try #require(module.function("logits")).graph, of: module)
    #expect(costs.flops(modality: 0) == 2 * 24 + 2 * 30)
    #expect(costs.flops(modality: 1) == 2 * 24)
    #expect(costs.mean(component: "feed_forward") == 30)
    #expect(costs.cacheBytesPerToken == 0)
  }
}
