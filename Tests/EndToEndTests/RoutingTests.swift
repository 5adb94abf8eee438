import Lowering
import MoTIR
import Runtime
import Testing

/// Fully untied models wait for no size when they are optimised, and for each segment when not.
@Suite struct RoutingTests {
  @Test(arguments: ["two", "three", "eight", "output_norm", "merged"])
  func syncs(_ name: String) throws {
    let agreement = try AgreementModel.named(name).agreement()
    let gradients = try #require(agreement.functions.first)
    let naive = RoutingCensus(gradients.graph)
    #expect(naive.syncs > 0)
    let optimised = try Compilation.fused.optimize([gradients], of: agreement.module)
    #expect(RoutingCensus(try #require(optimised.first).graph).syncs == 0)
    #expect(try syncs(.fused, agreement) == 0)
    #expect(try syncs(.unfused, agreement) == naive.syncs)
  }

  /// Returns how many syncs the second run of the gradients made.
  private func syncs(_ compilation: Compilation, _ agreement: Agreement) throws -> Int {
    let model = try compilation.model(agreement.functions, of: agreement.module)
    model.load(agreement.values)
    model.run("gradients")
    model.run("gradients")
    return Int(model.control.load(fromByteOffset: Control.syncs, as: Int32.self))
  }
}
