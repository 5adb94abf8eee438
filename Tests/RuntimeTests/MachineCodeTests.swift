import LLVMKit
import Runtime
import Testing

/// Code in its form for the cache, and in parts.
@Suite struct MachineCodeTests {
  @Test(arguments: [[], [[]], [[1, 2, 3]], [[1], [], [2, 3]]] as [[[UInt8]]])
  func comesBack(_ objects: [[UInt8]]) throws {
    let code = MachineCode(objects: objects, scratchBytes: 12_288)
    #expect(MachineCode(bytes: code.bytes) == code)
    for end in code.bytes.indices { #expect(MachineCode(bytes: Array(code.bytes[..<end])) == nil) }
    #expect(MachineCode(bytes: code.bytes + [0]) == nil)
    for index in 0..<min(24, code.bytes.count) {
      var bytes = code.bytes
      bytes[index] ^= 0x80
      _ = MachineCode(bytes: bytes)
    }
  }

  @Test func partsCallEachOther() throws {
    let ir = IRBuilder(name: "parts")
    try ir.target(.host)
    var functions: [IRFunction] = []
    for index in 0..<6 {
      let last = functions.last
      functions.append(
        ir.define("f\(index)", [ir.i64], returns: ir.i64, exported: index == 5) { p in
          let sum = ir.add(p[0], ir.int(index))
          ir.returnValue(last.map { ir.call($0, [sum]) } ?? sum)
        })
    }
    let parts = ir.parts(3)
    #expect(parts.count == 3)
    #expect(parts.map(\.functions.count) == [2, 2, 2])
    #expect(Set(parts.flatMap(\.functions)) == Set((0..<6).map { "f\($0)" }))
    #expect(ir.text.contains("define internal i64 @f0"), "the module is as it was")
    var jit = try JIT()
    for (index, part) in parts.enumerated() {
      let object = try part.object(for: .host)
      #expect(try part.object(for: .host) == object)
      try jit.add(object: object, name: "part \(index)")
    }
    typealias Sum = @convention(c) (Int) -> Int
    #expect(unsafeBitCast(try jit.lookup("f5"), to: Sum.self)(100) == 115)
    #expect(ir.parts(100).count == 6, "no part is empty")
  }
}
