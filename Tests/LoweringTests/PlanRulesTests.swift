import Lowering
import MoTIR
import TestSupport
import Testing

/// Graphs that are sound but more than kernels compute are refused with a reason, and odd ones that
/// kernels do compute are planned.
@Suite struct PlanRulesTests {
  private static let header = """
    module @m batch 1 sequence 8 {
      modality "a" 0..<4
      modality "b" 4..<6
      parameter @t.weight : f32[6, 4] component "embedding" init normal(0.02)
      parameter @s.weight : f32[2, 4] component "embedding" init normal(0.02)
      parameter @w.weight : f32[4, 4] component "x" init normal(0.02)
      parameter @u.weight : f32[4, 4] by "a", "b" component "x" init normal(0.02)
      parameter @r.weight : f32[2, 4, 4] component "x" init normal(0.02)

    """

  /// Plans `body` as function `name`, fused and unfused, and returns the messages.
  private func complaints(_ body: String, name: String = "f") throws -> [String] {
    let text = "\(Self.header)  func @\(name) {\n\(body)\n  }\n}\n"
    let module = try Module.parse(text, file: "m.motir")
    #expect(module.verify() == [])
    let function = try #require(module.functions.first)
    var messages: [String] = []
    for disabled in [[], Set(["generated-matmul"])] {
      let compiler = Compiler(
        CompileOptions(disabled: disabled, target: try TargetDescription(named: "x86-64-v3")))
      do {
        let plan = try compiler.plan([function], of: module)
        // Code generation takes what planning took.
        _ = try compiler.emit(plan)
      } catch let error as Diagnostics {
        messages += error.all.map(\.message)
      }
    }
    return messages
  }

  @Test(arguments: [
    (
      "%0 = constant 0.5 : f32[4, 4]\n%1 = constant 1.0 : f32[T=8, 4]\n"
        + "%2 = linear %1, %0 : f32[T=8, 4]\nreturn %2 as \"y\"", "matrices are parameters"
    ),
    (
      "%0 = input \"plan\" : plan[8, 2]\n%1 = constant 1.0 : f32[R=8, 4]\n"
        + "%2 = linear %1, @r.weight by %0 groups [0, 1] : f32[R=8, 4]\nreturn %2 as \"y\"",
      "declared as something else"
    ),
    ("%0 = input \"tokens\" : i32[T=8, 1]\nreturn %0 as \"x\"", "outputs are f32"),
    ("%0 = input \"plan\" : plan[8, 2]\nreturn %0 as \"x\"", "outputs are f32"),
    ("return @w.weight as \"grad.w.weight\"", "alone may"),
    (
      "%0 = input \"tokens\" : i32[T=8, 1]\n%1 = embed %0, @s.weight : f32[T=8, 4]\n"
        + "return %1 as \"y\"", "looks up one of 2"
    ),
    (
      "%0 = input \"targets\" : i32[T=8, 1]\n%1 = embed %0, @t.weight : f32[T=8, 4]\n"
        + "return %1 as \"y\"", "may be anything"
    ),
    (
      "%0 = input \"targets\" : i32[T=8, 1]\n%1 = constant 1.0 : f32[T=8, 4]\n"
        + "%2 = cross_entropy %1, %0 : f32[T=8, 1]\nreturn %2 as \"y\"", "looks up one of 4"
    ),
    (
      "%0 = input \"segments\" : i32[T=8, 1]\n%1 = constant 1.0 : f32[T=8, 4]\n"
        + "%2 = rotary %1, %0 heads 1 base 10000.0 layout half : f32[T=8, 4]\nreturn %2 as \"y\"",
      "may be anything"
    ),
    (
      "%0 = input \"targets\" : i32[T=8, 1]\n%1 = route %0 into 2 : plan[8, 2]\n"
        + "%2 = input \"tokens\" by %1 : i32[R=8, 1]\n%3 = embed %2, @t.weight : f32[R=8, 4]\n"
        + "return %3 as \"y\"", "not the batch's"
    ),
  ])
  func refusedWithAReason(_ body: String, _ reason: String) throws {
    let found = try complaints(body)
    #expect(found.count == 2)
    #expect(found.allSatisfy { $0.contains(reason) }, "\(found)")
  }

  @Test(arguments: ["update", "pack"])
  func namesOfEntriesAreTaken(_ name: String) throws {
    #expect(try complaints("return", name: name).count == 2)
  }

  @Test func gradientOfAnotherTypeIsRefused() throws {
    let found = try complaints(
      "%0 = constant 1.0 : f32[]\nreturn %0 as \"grad.w.weight\"", name: "gradients")
    #expect(found.allSatisfy { $0.contains("and the parameter is f32[4, 4]") }, "\(found)")
    #expect(found.count == 2)
  }

  @Test(arguments: [
    "return", "return @w.weight as \"y\"", "%0 = constant 2.0 : f32[]\nreturn %0 as \"y\"",
    "%0 = constant 2.0 : f32[3, 5]\n%1 = exp %0 : f32[3, 5]\nreturn %1 as \"y\", %0 as \"z\"",
    "%0 = multiply @w.weight, @w.weight : f32[4, 4]\n%1 = sum %0 : f32[]\nreturn %1 as \"y\"",
    "%0 = constant 2.0 : f32[]\n%1 = sqrt %0 : f32[]\n%2 = add %0, %1 : f32[]\nreturn %2 as \"y\"",
    "%0 = constant 2.0 : f32[T=8, 9]\n%1 = constant 3.0 : f32[9]\n"
      + "%2 = channel_multiply %0, %1 : f32[T=8, 9]\nreturn %2 as \"y\"",
    "%0 = input \"plan\" : plan[8, 2]\n%1 = constant 2.0 : f32[R=8, 4]\n"
      + "%2 = constant 3.0 : f32[2, 4]\n"
      + "%3 = channel_add %1, %2 by %0 groups [0, 1] : f32[R=8, 4]\n"
      + "%4 = rms_norm %3 gain %2 by %0 groups [0, 1] epsilon 1e-05 : f32[R=8, 4]\n"
      + "return %4 as \"y\"",
    "%0 = input \"tokens\" : i32[T=8, 1]\n%1 = input \"plan\" : plan[8, 2]\n"
      + "%2 = gather %0 by %1 : i32[R=8, 1]\n%3 = scatter %2 by %1 : i32[T=8, 1]\n"
      + "%4 = embed %3, @t.weight : f32[T=8, 4]\nreturn %4 as \"y\"",
    "%0 = input \"plan\" : plan[8, 2]\n%1 = constant 2.0 : f32[T=8, 3]\n"
      + "%2 = gather %1 by %0 : f32[R=8, 3]\n%3 = scatter %2 by %0 : f32[T=8, 3]\n"
      + "return %2 as \"x\", %3 as \"y\"",
    "%0 = input \"targets\" : i32[T=8, 1]\n%1 = constant 1.0 : f32[T=8, 6]\n"
      + "%2 = cross_entropy %1, %0 : f32[T=8, 1]\nreturn %2 as \"y\"",
    "%0 = constant 1.0 : f32[T=8, 4]\n%1 = linear %0, @w.weight : f32[T=8, 4]\n"
      + "%2 = row_sum %0 : f32[T=8, 1]\n%3 = column_sum %0 : f32[4]\n"
      + "%4 = divide %1, %2 : f32[T=8, 4]\nreturn %4 as \"y\", %3 as \"z\"",
    "%0 = input \"positions\" : i32[T=8, 1]\n%1 = constant 1.0 : f32[T=8, 4]\n"
      + "%2 = rotary %1, %0 heads 1 base 10000.0 layout half : f32[T=8, 4]\n"
      + "return %2 as \"y\"",
  ])
  func oddGraphsArePlanned(_ body: String) throws {
    #expect(try complaints(body) == [])
  }

  @Test(arguments: [
    ("%k", "return %o as \"o\", %a as \"cache.k\", %b as \"cache.v\"", nil),
    ("%k", "return %o as \"o\", %a as \"cache.k\"", "changes in place"),
    ("%k", "return %a as \"cache.v\", %b as \"cache.k\"", "changes in place"),
    ("%k", "return %k as \"x\", %a as \"cache.k\", %b as \"cache.v\"", "read by other than one"),
    (
      "%k",
      "%p, %c, %d = attention.cached %x, %x, %x keys %k values %v slots %s visible %n batch 2 heads 2 "
        + "key_value_heads 2 : f32[T=8, 4], f32[2, 6, 4], f32[2, 6, 4]\n"
        + "return %a as \"cache.k\", %b as \"cache.v\"", "read by other than one"
    ),
    ("@c", "return %o as \"o\", %b as \"cache.v\"", "from a cache that is computed"),
  ])
  func cachesChangeInPlace(_ keys: String, _ end: String, _ message: String?) throws {
    try expectOfCaches(keys, end, message)
  }

  @Test(arguments: [("%t", "%n", "\"tokens\" as slots"), ("%s", "%s", "\"slots\" as visible")])
  func placesInCachesAreTheHosts(_ slots: String, _ visible: String, _ message: String) throws {
    try expectOfCaches(
      "%k", "return %o as \"o\", %a as \"cache.k\", %b as \"cache.v\"", message, slots: slots,
      visible: visible)
  }

  /// Expects an attention with these operands to be planned, or refused with `message`.
  private func expectOfCaches(
    _ keys: String, _ end: String, _ message: String?, slots: String = "%s", visible: String = "%n"
  ) throws {
    let module = try Module.parse(
      """
      module @m batch 2 sequence 4 context 6 {
        modality "a" 0..<4
        parameter @t.weight : f32[4, 4] component "embedding" init normal(0.02)
        parameter @c : f32[2, 6, 4] component "x" init zeros
        func @prefill {
          %s = input "slots" : i32[T=8, 1]
          %n = input "visible" : i32[T=8, 1]
          %t = input "tokens" : i32[T=8, 1]
          %x = embed %t, @t.weight : f32[T=8, 4]
          %k = input "cache.k" : f32[2, 6, 4]
          %v = input "cache.v" : f32[2, 6, 4]
          %o, %a, %b = attention.cached %x, %x, %x keys \(keys) values %v slots \(slots) visible \(visible) batch 2 \
          heads 2 key_value_heads 2 : f32[T=8, 4], f32[2, 6, 4], f32[2, 6, 4]
          \(end)
        }
      }
      """, file: "m.motir")
    let compiler = Compiler(CompileOptions(target: try TargetDescription(named: "x86-64-v3")))
    do {
      let plan = try compiler.plan(module.functions, of: module)
      #expect(message == nil && plan.bytes(of: .caches) > 0)
    } catch let error as Diagnostics {
      #expect(error.all.contains { $0.message.contains(message ?? "nothing") }, "\(error)")
    }
  }
}
