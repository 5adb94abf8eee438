import Lowering
import MoTIR
import Runtime
import TestSupport
import Testing

/// Fused, unfused and interpreted evaluation agree.
@Suite struct AgreementTests {
  @Test(arguments: AgreementModel.all)
  func models(_ model: AgreementModel) throws {
    let agreement = try model.agreement()
    try agreement.compareFusedWithUnfused(rounding: 2e-6)
  }

  @Test(arguments: AgreementModel.combinations)
  func combinations(_ model: AgreementModel) throws {
    try model.agreement().compareFusedWithUnfused(rounding: 2e-6)
  }

  @Test(
    arguments: AgreementModel.all.enumerated().flatMap { index, model in
      // Half of them on either, and where kernels have most tails on both.
      ["x86-64-v3", "x86-64-v2"].enumerated().filter { index < 5 || $0.offset == index % 2 }
        .map { (model, $0.element) }
    })
  func olderTargets(_ model: AgreementModel, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    try model.agreement().compare(.fused.on(target))
  }

  @Test(arguments: ["odd_large", "spans_documents", "padded"], ["x86-64-v3", "x86-64-v2"])
  func unfusedOnOlderTargets(_ name: String, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    try AgreementModel.named(name).agreement().compareFusedWithUnfused(
      target: target, rounding: 2e-6)
  }

  @Test(arguments: [
    "merged", "spans_documents", "padded", "mixed_norms", "three_widths", "experts_choose_untied",
    "experts_of_two",
  ])
  func passesAlone(_ name: String) throws {
    let agreement = try AgreementModel.named(name).agreement()
    for pass in Switch.all.map(\.name) {
      try agreement.compare(Compilation(disabled: [pass]))
    }
  }

  /// Products in pieces of depth, of whole panels and tails, several strips of rows, groups without tokens and
  /// groups of several segments.
  @Test(
    arguments: ["even", "odd_large", "merged", "wide_head"],
    [
      Compilation.fused, Compilation(disabled: ["split-f32"]), .fused.at(.bf16),
      .fused.on("x86-64-v3"),
    ])
  func piecesOfDepth(_ name: String, _ compilation: Compilation) throws {
    guard try TargetDescription(named: compilation.target).runsHere else { return }
    var compilation = compilation.with(threads: 1)
    compilation.operandBytes = 1 << 12
    try AgreementModel.named(name).agreement().compare(
      compilation, bound: compilation.precision == .bf16 ? 6e-2 : 1e-5)
  }

  /// The stages of an ablation: everything off, then one more on.
  @Test func passesAfterAnother() throws {
    let agreement = try AgreementModel.named("merged").agreement()
    for count in Switch.ablation.indices {
      let disabled = Switch.ablation[count...].map(\.name)
      try agreement.compare(Compilation(disabled: Set(disabled)))
    }
  }

  /// Every matmul rounds its operands, so two layers are off by a few hundredths, fused or not.
  @Test(arguments: [
    "tiny", "even", "odd_large", "odd_larger", "merged", "mqa_half", "spans_documents",
    "wide_head", "geglu", "tied_head", "padded", "both_norms", "mixed_norms", "continuous",
    "three_widths", "replaced_tied", "hidden_documents", "chunks_alone", "blocks_of_one",
  ])
  func roundedOperands(_ name: String) throws {
    try AgreementModel.named(name).agreement().compareFusedWithUnfused(
      precision: .bf16, bound: 6e-2, rounding: 5e-3)
  }

  @Test(arguments: ["odd_large", "spans_documents", "padded"], ["x86-64-v3", "x86-64-v2"])
  func roundedOperandsOnOlderTargets(_ name: String, _ target: String) throws {
    guard try TargetDescription(named: target).runsHere else { return }
    try AgreementModel.named(name).agreement().compare(
      .fused.on(target).at(.bf16), bound: 6e-2)
  }
}
