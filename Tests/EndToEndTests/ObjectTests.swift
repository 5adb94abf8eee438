import Foundation
import Logging
import Lowering
import MoTIR
import Runtime
import Testing

/// Objects are the same however they are made, and come back from the cache as they were.
@Suite struct ObjectTests {
  private func emitted(_ name: String = "merged") throws -> (KernelPlan, EmittedModule) {
    let agreement = try AgreementModel.named(name).agreement()
    let plan = try Compilation.fused.plan(agreement.functions, of: agreement.module)
    return (plan, try Compilation.fused.compiler().emit(plan))
  }

  /// The functions that LLVM IR text defines.
  private func definitions(_ text: String) -> Set<String> {
    let lines = text.split(separator: "\n").filter { $0.hasPrefix("define ") }
    return Set(
      lines.compactMap { line in
        line.split(separator: "@").dropFirst().first?.prefix { $0 != "(" }.filter { $0 != "\"" }
      }.map { String($0) })
  }

  @Test func threadsDoNotShow() throws {
    let (plan, module) = try emitted()
    let one = try module.objects(threads: 1)
    #expect(one.count > 1, "too small a model to be cut")
    for threads in [2, 3, 64] { #expect(try module.objects(threads: threads) == one) }
    #expect(try module.objects() == one)
    let again = try Compilation.fused.compiler().emit(plan)
    #expect(try again.objects(threads: 2) == one)
    #expect(again.text == module.text, "cutting leaves the module as it was")
  }

  @Test func theCacheGivesThemBack() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "objects-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (_, module) = try emitted()
    let code = MachineCode(objects: try module.objects(), scratchBytes: module.scratchBytes)
    let cache = ObjectCache(folder: folder, logger: Logger(label: "test"))
    let key = Digest(fields: [[1]])
    cache.store(code.bytes, for: key)
    #expect(cache.object(for: key).flatMap(MachineCode.init(bytes:)) == code)
  }

  /// What perf is told: every function of the module, where it is and how long.
  @Test func perfKnowsEveryFunction() throws {
    let (plan, module) = try emitted()
    let model = try CompiledModel(
      plan: plan, objects: try module.objects(), scratchBytes: module.scratchBytes,
      pool: ThreadPool(threads: 1))
    let functions = try model.linkedFunctions()
    let names = definitions(module.text)
    #expect(names.count > 20)
    #expect(Set(functions.map(\.name)) == names)
    #expect(functions.count == names.count)
    #expect(functions.allSatisfy { $0.size > 0 })
    let sorted = functions.sorted { $0.address < $1.address }
    for (first, second) in zip(sorted, sorted.dropFirst()) {
      #expect(first.address + UInt(first.size) <= second.address, "\(first) \(second)")
    }
    try PerfMap.add(Array(functions.prefix(1)))
    try PerfMap.add(Array(functions.dropFirst()))
    defer { try? FileManager.default.removeItem(atPath: PerfMap.path) }
    let lines = try String(contentsOfFile: PerfMap.path, encoding: .utf8).split(separator: "\n")
    #expect(
      lines.map { $0.split(separator: " ") }
        == functions.map { function in
          [String(function.address, radix: 16), String(function.size, radix: 16), function.name]
            .map { Substring($0) }
        })
  }
}
