import Foundation
import Lowering
import MoTIR
import TestSupport
import Testing

/// Plans of test models, for tests of the plan level.
enum Planned {
  /// Returns the plan of `function` of `module` (`loss` or `gradients`), after all passes or none.
  static func make(
    _ module: Module, _ name: String = "gradients", fused: Bool = true,
    precision: Precision = .f32, target: String = "x86-64-v3"
  ) throws -> KernelPlan {
    let loss = try #require(module.function("loss"))
    let function = name == "loss" ? loss : try differentiate(loss, in: module)
    let passes = Set(Pass.all.map(\.name))
    let graph = try Pipeline.optimize(
      function.graph, module: module, disabling: fused ? [] : passes)
    let options = CompileOptions(
      disabled: fused ? [] : passes.union(["generated-matmul"]), precision: precision,
      target: try TargetDescription(named: target))
    return try Compiler(options).plan([Function(name: name, graph: graph)], of: module)
  }

  /// A model of one block whose plan can be read in a minute.
  static func small() throws -> Module {
    var sizes = TestModels.Sizes()
    sizes.layers = 1
    return try TestModels.mixture(sizes, routing: .sharedPlan)
  }
}
