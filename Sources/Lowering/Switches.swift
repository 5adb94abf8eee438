package import MoTIR

/// A part of the compiler that `--disable` can leave out: a pass, or motc's own matrix products.
package struct Switch: Hashable, Sendable {
  /// The name on the command line.
  package let name: String
  /// What it does, in one line.
  package let summary: String

  /// Matrix products by kernels that motc emits; without it OpenBLAS computes them.
  package static let generatedMatmul = Switch(
    name: "generated-matmul", summary: "multiplies matrices by motc's own kernels, not OpenBLAS")

  /// Matrix products in f32 on a matrix unit for bf16; without it vector instructions compute them.
  package static let splitF32 = Switch(
    name: "split-f32",
    summary: "multiplies f32 on a matrix unit, as sums of three bf16 that are as exact")

  /// What can be left out and is no pass.
  private static let notPasses = [generatedMatmul, splitF32]

  /// Returns those of `names` that are passes.
  package static func passes(in names: Set<String>) -> Set<String> {
    names.subtracting(notPasses.map(\.name))
  }

  /// All that can be left out: the passes in their order, then what is no pass.
  package static let all: [Switch] =
    Pass.all.map { Switch(name: $0.name, summary: $0.summary) } + notPasses

  /// The order in which an ablation turns everything on: motc's matrix products, which many passes are
  /// made for, then the passes as they run.
  package static let ablation: [Switch] = [generatedMatmul] + all.filter { $0 != generatedMatmul }

  /// Checks that each of `names` can be left out.
  ///
  /// - Throws: `Diagnostic`, with the nearest name, for one that is not known.
  package static func check(_ names: some Sequence<String>) throws(Diagnostic) {
    let known = all.map(\.name)
    for name in names where !known.contains(name) { throw unknownPass(name, among: known) }
  }
}
