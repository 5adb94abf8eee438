import Foundation
import Lowering
import MoTIR
import Runtime
import Testing

/// The compiled `update` is AdamW, and all or nothing.
@Suite struct OptimizerTests {
  private func agreement(_ name: String) throws -> Agreement {
    try AgreementModel.named(name).agreement()
  }

  @Test(arguments: [
    ("odd_large", "native"), ("merged", "native"), ("layer_norms", "native"),
    ("frozen", "native"), ("frozen", "x86-64-v3"),
    ("merged", "x86-64-v3"), ("tied_head", "x86-64-v2"),
  ])
  func followsTheReference(_ name: String, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    let agreement = try agreement(name)
    let build = try Compilation.fused.on(target).build(agreement.functions, of: agreement.module)
    for clip in [1e6, 0.05] {
      try agreement.followUpdates(of: build.model(threads: 2), steps: 5, clip: clip)
    }
  }

  @Test(arguments: Precision.allCases, ["native", "x86-64-v3", "x86-64-v2"])
  func packedFormsAreThoseOfPack(_ precision: Precision, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    // The matrices of "even" are whole panels, which AdamW packs; with five threads some have none.
    for (name, threads) in [("even", 1), ("even", 2), ("even", 5), ("odd_large", 2), ("merged", 2)]
    {
      let agreement = try agreement(name)
      let model = try Compilation.fused.on(target).at(precision).with(threads: threads)
        .model(agreement.functions, of: agreement.module)
      model.load(agreement.values)
      model.run("gradients")
      model.setOptimizer(.init(), rate: 1e-2, step: 1)
      model.fill(.packed, with: 0x55)
      model.run("update")
      let updated = model.contents(of: .packed)
      model.fill(.packed, with: 0xAA)
      model.run("pack")
      #expect(model.contents(of: .packed) == updated, "\(name) \(precision) \(target)")
      #expect(!updated.isEmpty)
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func refusesWhatIsNotFinite(_ poison: Float) throws {
    let agreement = try agreement("merged")
    let model = try Compilation.fused.model(agreement.functions, of: agreement.module)
    model.load(agreement.values)
    model.run("gradients")
    model.setOptimizer(.init(), rate: 1e-2, step: 1)
    model.run("update")
    #expect(!model.isRefused)
    model.setOptimizer(.init(), rate: 1e-2, step: 2)
    for placement in model.plan.parameters {
      model.run("gradients")
      let gradient = model.floats(try #require(placement.gradient))
      gradient[gradient.count - 1] = poison
      expectRefusal(of: model, "\(poison) in grad.\(placement.declaration.name)")
    }
    model.run("gradients")
    model.run("update")
    #expect(!model.isRefused, "a sound gradient is refused")
  }

  @Test func refusesGradientsOfPoisonedParameters() throws {
    let agreement = try agreement("merged")
    let model = try Compilation.fused.model(agreement.functions, of: agreement.module)
    model.setOptimizer(.init(), rate: 1e-2, step: 1)
    for name in ["norm.weight", "head.weight", "layers.0.attention.q.weight"] {
      model.load(agreement.values)
      let placement = try #require(model.plan.parameters.first { $0.declaration.name == name })
      model.floats(placement.master)[0] = .nan
      model.run("pack")
      model.run("gradients")
      expectRefusal(of: model, "a NaN in \(name)")
    }
  }

  private func expectRefusal(of model: CompiledModel, _ what: String) {
    let before = model.contents(of: .parameters, .firstMoments, .secondMoments, .packed)
    model.run("update")
    #expect(model.isRefused, "\(what) is not refused")
    #expect(
      model.contents(of: .parameters, .firstMoments, .secondMoments, .packed) == before,
      "\(what): something was written")
  }
}

extension Agreement {
  /// Takes steps beside the reference, which is handed the compiled gradients.
  func followUpdates(of model: CompiledModel, steps: Int, clip: Double) throws {
    var settings = ReferenceAdamW.Settings()
    settings.clip = clip
    var reference = ReferenceAdamW(
      module.parameters.filter { !$0.isFrozen }, settings: settings)
    var expected = values.parameters
    model.load(values)
    for step in 1...steps {
      model.run("gradients")
      let gradients = model.parameterGradients
      guard case .updated(let norm) = reference.update(&expected, gradients: gradients, rate: 1e-2)
      else { throw Diagnostic("the reference refused a gradient") }
      model.setOptimizer(settings, rate: 1e-2, step: step)
      model.run("update")
      #expect(!model.isRefused)
      let found = Double(model.control.load(fromByteOffset: Control.gradientNorm, as: Float.self))
      #expect(abs(found - norm) <= 1e-5 * norm, "the norm is \(found), not \(norm)")
    }
    for placement in model.plan.parameters {
      let name = placement.declaration.name
      let start = values.parameters[name] ?? []
      let wanted = expected[name] ?? []
      if placement.declaration.isFrozen {
        #expect(model.floats(placement.master).elementsEqual(start.map { Float($0) }), "\(name)")
      }
      let error = distance(model.floats(placement.master).map { Double($0) }, wanted)
      // Each step rounds the parameter once or twice, besides what the change itself is rounded by.
      let rounding = 1e-5 * distance(start, wanted) + 1e-6 * distance(wanted, [])
      #expect(error <= rounding, "\(name) is off by \(error)")
    }
  }

  private func distance(_ a: [Double], _ b: [Double]) -> Double {
    a.indices.reduce(0) { sum, index in
      let difference = a[index] - (b.isEmpty ? 0 : b[index])
      return sum + difference * difference
    }.squareRoot()
  }
}

extension CompiledModel {
  /// Writes the optimizer's settings for step `step`, counted from 1.
  func setOptimizer(_ settings: ReferenceAdamW.Settings, rate: Double, step: Int) {
    let words = [
      rate, settings.beta1, settings.beta2, settings.epsilon, settings.weightDecay, settings.clip,
      1 - pow(settings.beta1, Double(step)), 1 - pow(settings.beta2, Double(step)),
    ]
    for (index, word) in words.enumerated() {
      control.storeBytes(
        of: Float(word), toByteOffset: Control.settings + 4 * index, as: Float.self)
    }
  }

  /// `true` iff the last update was refused.
  var isRefused: Bool { control.load(fromByteOffset: Control.refused, as: Int32.self) != 0 }

  /// The gradients by parameter name.
  var parameterGradients: [String: [Double]] {
    Dictionary(
      plan.parameters.compactMap { placement in
        placement.gradient.map { (placement.declaration.name, floats($0).map { Double($0) }) }
      }, uniquingKeysWith: { first, _ in first })
  }

  /// Fills all buffers of `region` with a byte.
  func fill(_ region: Region, with byte: UInt8) {
    for index in plan.buffers.indices where plan.buffers[index].region == region {
      for place in memory(BufferID(index)).indices { memory(BufferID(index))[place] = byte }
    }
  }
}
