package import MoTIR

/// Returns the layers of a pre-norm transformer, to which tests give a network and an attention of their own.
@LayerBuilder
package func preNormLayers(
  count: Int = 2, _ network: some Layer,
  attention: Attention = Attention(
    heads: 2, headWidth: 6, normalizeQueryKey: true, documents: true), norm: some Layer = RMSNorm(),
  tiedHead: Bool = false
) -> [PlacedLayer] {
  Embedding()
  Repeat(count) {
    Residual {
      norm
      attention
    }
    Residual {
      norm
      network
    }
  }
  norm
  Head(tied: tiedHead)
}
