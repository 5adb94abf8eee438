import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Fused, unfused and interpreted evaluation agree.
@Suite struct AgreementTests {
  @Test(arguments: 1...20)
  func randomGraphs(seed: Int) throws {
    let module = try RandomGraphs.make(seed: UInt64(seed))
    let values = RandomInputs.make(module, seed: UInt64(seed))
    let check = try Agreement(module, values: values)
    for mode in Agreement.Mode.allCases {
      try check.compare(mode, target: "native", threads: 2)
    }
  }
}
