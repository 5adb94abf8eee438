package import MoTIR

/// One rewriting of a graph: its name, what it does in a line, and the function that does it.
///
/// A pass leaves a graph that verifies and that computes what it computed before. It works on the
/// graph of any function: loss, logits, or gradients with forward and backward in one.
package struct Pass: Sendable {
  /// The name on the command line, in `--disable`, in timings and in tests.
  package let name: String
  /// What it does, in one line.
  package let summary: String
  /// Rewrites the graph of a function of the module.
  package let run: @Sendable (inout Graph, Module) throws -> Void

  /// Creates a pass.
  init(
    _ name: String, _ summary: String,
    run: @escaping @Sendable (inout Graph, Module) throws -> Void
  ) {
    self.name = name
    self.summary = summary
    self.run = run
  }
}
