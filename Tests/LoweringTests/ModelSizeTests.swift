import Foundation
import Lowering
import MoTIR
import Testing

/// The sizes of the paper have the parameters and the arithmetic of docs/counting.md.
@Suite struct ModelSizeTests {
  /// A number as it is written: its value, and half a unit of its last digit.
  private struct Figure {
    let value: Double
    let slack: Double

    /// Reads a number such as `1,059M`, `48.8` or `69 %`.
    init?(_ text: Substring) {
      let number = text.filter { $0.isNumber || $0 == "." }
      guard let value = Double(number) else { return nil }
      let digits = number.split(separator: ".").dropFirst().first?.count ?? 0
      self.value = value
      slack = 0.5 * pow(10, -Double(digits)) + 1e-9
    }

    /// `true` iff `exact` is written so.
    func isWritten(for exact: Double) -> Bool { abs(exact - value) <= slack }
  }

  private static let sizes =
    ModelSize.chameleon.map { ("Chameleon", $0) }
    + ModelSize.transfusion.map { ("Transfusion", $0) }

  /// Returns the cells of the row of `size` in docs/counting.md.
  private static func row(_ setting: String, _ size: ModelSize) throws -> [Substring] {
    let page = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "docs/counting.md")
    let lines = try String(contentsOf: page, encoding: .utf8).split(separator: "\n")
    let line = try #require(lines.first { $0.hasPrefix("| \(setting) \(size.name) |") })
    return line.split(separator: "|").map { $0.drop { $0 == " " } }
  }

  /// Returns the model of `size` with a tower a modality, or with one set of weights for all.
  private static func module(
    _ size: ModelSize, towers: Int, experts: Int? = nil
  ) throws -> Module {
    let names = ["text", "image", "speech"].prefix(max(2, towers))
    let modalities = names.enumerated().map { index, name in
      let ids = size.vocabulary / names.count
      let end = index == names.count - 1 ? size.vocabulary : (index + 1) * ids
      return Modality(name, vocabulary: index * ids..<end)
    }
    let model = Model(
      "size", modalities: modalities, width: size.width, sequence: size.sequence,
      untied: towers == 1 ? .none : .all
    ) {
      Embedding()
      Repeat(size.layers) {
        Residual {
          Attention(heads: size.heads)
          RMSNorm()
        }
        Residual {
          if let experts {
            Experts(experts, hidden: size.hidden)
          } else {
            FeedForward(hidden: size.hidden)
          }
          RMSNorm()
        }
      }
      RMSNorm()
      Head()
    } objectives: {
      NextToken(on: modalities[0])
    }
    return try model.module()
  }

  @Test(arguments: sizes)
  func parametersAreThosePublished(setting: String, size: ModelSize) throws {
    let row = try Self.row(setting, size)
    #expect(
      row[1].hasPrefix("\(size.width)/\(size.layers)/\(size.heads)/\(size.hidden) ") as Bool)
    let dense = ParameterCounts(try Self.module(size, towers: 1))
    let tower = dense.matrices - 2 * size.vocabulary * size.width
    for towers in 1...3 {
      let counts = ParameterCounts(try Self.module(size, towers: towers))
      let figure = try #require(Figure(row[1 + towers]))
      #expect(figure.isWritten(for: Double(counts.matrices) / 1e6), "\(counts.matrices)")
      #expect(counts.matrices == dense.matrices + (towers - 1) * tower)
      let layers = ["attention", "feed_forward"]
      #expect(layers.reduce(0) { $0 + counts.addedByModality(of: $1) } == (towers - 1) * tower)
      #expect(counts.addedByModality() == counts.count() - dense.count())
      for modality in 0..<counts.modalities { #expect(counts.active(modality) == dense.count()) }
    }
  }

  /// (E − 1) |FFN| + |router|, of which one expert takes a token.
  @Test(arguments: sizes)
  func expertsAreThosePublished(setting: String, size: ModelSize) throws {
    let dense = ParameterCounts(try Self.module(size, towers: 1))
    let module = try Self.module(size, towers: 1, experts: 4)
    let counts = ParameterCounts(module)
    let figure = try #require(Figure(try Self.row(setting, size)[5]))
    #expect(figure.isWritten(for: Double(counts.matrices) / 1e6), "\(counts.matrices)")
    let router = 4 * size.width * size.layers
    #expect(counts.addedByExperts() == 3 * dense.count(of: "feed_forward") + router)
    #expect(counts.count() == dense.count() + counts.addedByExperts())
    #expect(counts.addedByModality() == 0)
    #expect(counts.active(0) == dense.count() + router)
    let costs = GraphCosts(try #require(module.function("logits")).graph, of: module)
    let plain = try Self.module(size, towers: 1)
    let least = GraphCosts(try #require(plain.function("logits")).graph, of: plain).mean()
    #expect(abs(costs.mean() - least - 2 * Double(router)) < 1)
  }

  @Test(arguments: sizes)
  func arithmeticIsThatPublished(setting: String, size: ModelSize) throws {
    let row = try Self.row(setting, size)
    for towers in 1...3 {
      let module = try Self.module(size, towers: towers)
      let costs = GraphCosts(try #require(module.function("logits")).graph, of: module)
      let all = try #require(Figure(row[6]))
      let head = try #require(Figure(row[7]))
      for modality in module.modalities.indices {
        let flops = costs.flops(modality: modality)
        #expect(all.isWritten(for: flops / 1e6), "\(flops)")
        let share = 100 * costs.flops(modality: modality, component: "head") / flops
        #expect(head.isWritten(for: share), "\(share)")
      }
      #expect(abs(costs.mean() - costs.flops(modality: 0)) < 1)
      #expect(costs.cacheBytesPerToken == 8 * size.layers * size.width)
    }
  }
}
