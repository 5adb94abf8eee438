import Lowering
import MoTIR
import Runtime

/// Finds where the numbers of a step cease to be finite: the step again, an op at a time.
///
/// The model is compiled without fusion for it, so that a kernel is an op and an op a line of the spec.
struct FaultSearch {
  private let graph: Graph
  private let model: CompiledModel

  /// Compiles the step of the model that `build` compiles, with the weights of `trained`.
  init(_ build: Build, of trained: CompiledModel) throws {
    let options = build.compiler.options
    let plain = CompileOptions(
      disabled: options.disabled.union(Pass.all.map(\.name)), precision: options.precision,
      target: options.target)
    let build = Build(build.module, plain, clock: StageClock())
    graph = try build.optimize(try build.functions(["gradients"]))[0].graph
    model = try build.model(["gradients"], trains: false, pool: trained.pool)
    try model.load(trained.tensors(in: .parameters))
  }

  /// Returns what is wrong in the step of `batch`: a weight, or the first op whose result is not finite; `nil` if all
  /// is finite without fusion.
  ///
  /// - Parameter counts: numbers of targets, by the name of the input.
  func diagnosis(of batch: Batch, _ counts: [String: Int32]) -> Diagnostic? {
    for tensor in model.tensors(in: .parameters) {
      guard let index = tensor.firstNonFinite() else { continue }
      return Diagnostic("the weight \(tensor.name) is not finite at \(tensor.position(index))")
    }
    model.setInputs(batch, counts: counts)
    let calls = model.plan.entry("gradients")?.calls ?? []
    for (index, call) in calls.enumerated() {
      model.run("gradients", calls: index..<(index + 1))
      // What routing writes are numbers of tokens.
      switch call.kernel {
      case .route, .sync, .routeExperts: continue
      default: break
      }
      let written = call.accesses.filter { $0.access != .read }.map(\.buffer)
      for buffer in written where model.floats(buffer).contains(where: { !$0.isFinite }) {
        return diagnostic(of: call)
      }
    }
    return nil
  }

  private func diagnostic(of call: KernelCall) -> Diagnostic {
    guard let node = call.nodes.last.map({ graph[$0] }) else {
      return Diagnostic("the first result that is not finite is that of a kernel without an op")
    }
    let parameters = node.operands.compactMap { operand in
      if case .parameter(let name) = graph.definition(of: operand).op { "@\(name)" } else { nil }
    }
    let names = parameters.isEmpty ? "" : " with \(parameters.joined(separator: ", "))"
    return Diagnostic(
      "the first result that is not finite is that of \(node.op.mnemonic)\(names)",
      at: node.location,
      suggestion: "choose a smaller rate or a longer warmup, or look at what stands before this op")
  }
}

extension Diagnostic {
  /// What is to say where a step is finite op by op.
  static let finiteUnfused = Diagnostic(
    "each op by itself gives finite results: sums that fused kernels take in another order do not",
    suggestion: "choose a smaller rate, or train with --fuse none")
}
