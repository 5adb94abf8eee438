// The meaning of linear maps, norms, channel ops and column sums.
// A routed op goes segment by segment; rows of no segment stay 0.

extension Evaluation {
  /// yᵢ = x wᵢᵀ
  func linear(_ groups: Groups?) -> [ReferenceValue.Contents] {
    types.indices.map { index in
      let outputs = types[index].width ?? 0
      var y = zeros(index)
      for map in maps(groups, width: width(0), outputs: outputs) {
        map.forward(numbers(0), numbers(index + 1), into: &y)
      }
      return .numbers(y)
    }
  }

  /// dx = Σ dyᵢ wᵢ
  func linearInputGradient(_ groups: Groups?) -> ReferenceValue.Contents {
    var dx = zeros()
    for index in stride(from: 0, to: unrouted(groups), by: 2) {
      for map in maps(groups, width: types[0].width ?? 0, outputs: width(index)) {
        map.addInputGradient(numbers(index), numbers(index + 1), to: &dx)
      }
    }
    return .numbers(dx)
  }

  /// dwᵢ = dyᵢᵀ x
  func linearWeightGradient(_ groups: Groups?) -> [ReferenceValue.Contents] {
    types.indices.map { index in
      var dw = zeros(index)
      for map in maps(groups, width: width(0), outputs: width(index + 1)) {
        map.addWeightGradient(numbers(0), numbers(index + 1), to: &dw)
      }
      return .numbers(dw)
    }
  }

  /// Returns the linear map of each block of rows.
  private func maps(_ groups: Groups?, width: Int, outputs: Int) -> [LinearMap] {
    blocks(groups).map { block in
      LinearMap(
        rows: block.rows, width: width, outputs: outputs, offset: block.group * outputs * width)
    }
  }

  /// y = x̂ · gain, head by head, with x̂ as `normalized` has it.
  func norm(_ norm: Norm, _ groups: Groups?) -> ReferenceValue.Contents {
    let (x, part) = (numbers(0), width(0) / norm.heads)
    let gain = norm.hasGain ? numbers(1) : []
    var y = zeros()
    for block in blocks(groups) {
      for head in (block.rows.lowerBound * norm.heads)..<(block.rows.upperBound * norm.heads) {
        let (hat, _) = normalized(x[(head * part)..<((head + 1) * part)], norm)
        for j in 0..<part {
          y[head * part + j] = hat[j] * (norm.hasGain ? gain[block.group * part + j] : 1)
        }
      }
    }
    return .numbers(y)
  }

  /// With g = dy · gain and s = 1 / sqrt(… + ε):
  /// rms: dx = s (g − x̂ mean(g x̂)); layer: dx = s (g − mean(g) − x̂ mean(g x̂)).
  func normGradient(_ norm: Norm, _ groups: Groups?) -> ReferenceValue.Contents {
    let (x, dy, part) = (numbers(0), numbers(1), width(0) / norm.heads)
    let gain = norm.hasGain ? numbers(2) : []
    var dx = zeros()
    for block in blocks(groups) {
      for head in (block.rows.lowerBound * norm.heads)..<(block.rows.upperBound * norm.heads) {
        let (hat, scale) = normalized(x[(head * part)..<((head + 1) * part)], norm)
        let g = (0..<part).map { j in
          dy[head * part + j] * (norm.hasGain ? gain[block.group * part + j] : 1)
        }
        let along = zip(g, hat).reduce(0) { $0 + $1.0 * $1.1 } / Double(part)
        let mean = norm.kind == .layer ? g.reduce(0, +) / Double(part) : 0
        for j in 0..<part { dx[head * part + j] = scale * (g[j] - mean - hat[j] * along) }
      }
    }
    return .numbers(dx)
  }

  /// Returns x̂ = (x − m) s and s, with s = 1 / sqrt(mean((x − m)²) + ε) and m = mean(x), or 0 for rms.
  private func normalized(
    _ x: ArraySlice<Double>, _ norm: Norm
  ) -> (hat: [Double], scale: Double) {
    let count = Double(x.count)
    let mean = norm.kind == .layer ? x.reduce(0, +) / count : 0
    let square = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    let scale = 1 / (square + norm.epsilon).squareRoot()
    return (x.map { ($0 - mean) * scale }, scale)
  }

  /// y[r, j] = f(x[r, j], c[j mod C])
  func channel(_ groups: Groups?, _ f: (Double, Double) -> Double) -> ReferenceValue.Contents {
    let (x, c, width) = (numbers(0), numbers(1), width(0))
    let channels = shape(1).last ?? 1
    var y = zeros()
    for block in blocks(groups) {
      for row in block.rows {
        for j in 0..<width {
          y[row * width + j] = f(x[row * width + j], c[block.group * channels + j % channels])
        }
      }
    }
    return .numbers(y)
  }

  /// c[j mod D/parts] = Σ_r x[r, j]
  func columnSum(_ groups: Groups?, _ parts: Int) -> ReferenceValue.Contents {
    let (x, width) = (numbers(0), width(0))
    let channels = width / parts
    var c = zeros()
    for block in blocks(groups) {
      for row in block.rows {
        for j in 0..<width { c[block.group * channels + j % channels] += x[row * width + j] }
      }
    }
    return .numbers(c)
  }
}
