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

  /// All that can be left out: the passes in their order, then what is no pass.
  package static let all: [Switch] =
    Pass.all.map { Switch(name: $0.name, summary: $0.summary) } + [generatedMatmul]

  /// Checks that each of `names` can be left out.
  ///
  /// - Throws: `Diagnostic`, with the nearest name, for one that is not known.
  package static func check(_ names: some Sequence<String>) throws(Diagnostic) {
    let known = all.map(\.name)
    for name in names where !known.contains(name) {
      throw Diagnostic(
        "there is no pass called '\(name)'",
        suggestion: suggestion(for: name, among: known)
          ?? "the passes are \(known.joined(separator: ", "))")
    }
  }
}

extension Compiler {
  /// Returns function `name` of `module`: what it holds, or the gradients of its loss.
  ///
  /// - Throws: `Diagnostics` if the module has no such function, or its loss has no gradients.
  package static func function(
    _ name: String, of module: Module
  ) throws(Diagnostics) -> Function {
    if let function = module.function(name) { return function }
    if name == "gradients", let loss = module.function("loss") {
      return try differentiate(loss, in: module)
    }
    let held = module.functions.map { "@\($0.name)" }.joined(separator: ", ")
    throw Diagnostics([
      Diagnostic(
        "'\(module.name)' has no function @\(name)"
          + (name == "gradients" ? " and no @loss to take gradients of" : ""),
        suggestion: held.isEmpty ? nil : "it holds \(held)")
    ])
  }

  /// Returns what the passes that are not disabled make of `function`.
  ///
  /// - Parameter observe: called after each pass that ran, with its result.
  package func optimize(
    _ function: Function, of module: Module, observe: ((Pass, Graph) -> Void)? = nil
  ) throws -> Function {
    let graph = try Pipeline.optimize(
      function.graph, module: module,
      disabling: options.disabled.subtracting([Switch.generatedMatmul.name]), observe: observe)
    return Function(name: function.name, graph: graph)
  }
}
