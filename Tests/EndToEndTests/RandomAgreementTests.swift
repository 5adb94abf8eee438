import Lowering
import MoTIR
import TestSupport
import Testing

/// Random graphs agree with the interpreter, on 1 to 4 threads by seed; a failure names its seed.
@Suite struct RandomAgreementTests {
  @Test(arguments: 1...200)
  func randomGraphs(seed: Int) throws {
    let module = try RandomGraphs.make(seed: UInt64(seed))
    let agreement = try Agreement(module, values: .make(module, seed: UInt64(seed)))
    let threads = 1 + seed / 2 % 4
    // A norm of few elements or a nearly even softmax magnifies any rounding.
    let sensitivity = try agreement.sensitivity(seed: UInt64(seed))
    try agreement.compare(.fused.with(threads: threads), sensitivity: sensitivity)
    try agreement.compare(.unfused.with(threads: threads), sensitivity: sensitivity)
    guard seed.isMultiple(of: 10) else { return }
    let target = seed.isMultiple(of: 20) ? "x86-64-v2" : "x86-64-v3"
    guard try TargetDescription(named: target).runsHere else { return }
    try agreement.compare(.fused.on(target).with(threads: threads), sensitivity: sensitivity)
    guard seed.isMultiple(of: 50) else { return }
    try agreement.compareFusedWithUnfused(
      target: target, precision: .bf16, bound: 0.2, rounding: 2e-2)
  }
}
