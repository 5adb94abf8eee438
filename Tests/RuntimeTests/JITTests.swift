import Foundation
import LLVMKit
import Testing

@Suite struct JITTests {
  @Test func runsAnObject() throws {
    var jit = try JIT()
    let object = try object { ir in
      _ = ir.define("twice", [ir.i32], returns: ir.i32, exported: true) {
        ir.returnValue(ir.add($0[0], $0[0]))
      }
    }
    try jit.add(object: object, name: "twice.o")
    typealias Twice = @convention(c) (Int32) -> Int32
    #expect(unsafeBitCast(try jit.lookup("twice"), to: Twice.self)(21) == 42)
  }

  @Test func resolvesDefinedAndProcessSymbols() throws {
    var jit = try JIT()
    let answer: @convention(c) () -> Int32 = { 7 }
    try jit.define(
      symbol: "motc_answer", address: unsafeBitCast(answer, to: UnsafeRawPointer.self))
    let object = try object { ir in
      let answer = ir.declare("motc_answer", [], returns: ir.i32)
      let absolute = ir.declare("abs", [ir.i32], returns: ir.i32)
      _ = ir.define("entry", [], returns: ir.i32, exported: true) { _ in
        let negative = ir.sub(ir.int(0, ir.i32), ir.call(answer, []))
        ir.returnValue(ir.call(absolute, [negative]))
      }
    }
    try jit.add(object: object, name: "entry.o")
    typealias Entry = @convention(c) () -> Int32
    #expect(unsafeBitCast(try jit.lookup("entry"), to: Entry.self)() == 7)
    let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    #expect(!maps.contains(" rwx"), "a page is writable and executable")
  }

  @Test func reportsWhatIsWrong() throws {
    var jit = try JIT()
    let object = try object { ir in
      let absent = ir.declare("motc_absent", [], returns: ir.void)
      _ = ir.define("f", [], returns: ir.void, exported: true) { _ in
        ir.call(absent, [])
        ir.returnVoid()
      }
    }
    try jit.add(object: object, name: "f.o")
    #expect { try jit.lookup("f") } throws: {
      "\($0)".contains("motc_absent")
    }
    #expect(throws: LLVMError.self) { try jit.lookup("nowhere") }
    #expect(throws: LLVMError.self) { try jit.add(object: [1, 2, 3], name: "garbage.o") }
    #expect(throws: LLVMError.self) { try jit.add(object: object, name: "again.o") }
    let address = try #require(UnsafeRawPointer(bitPattern: 64))
    try jit.define(symbol: "twice", address: address)
    #expect(throws: LLVMError.self) { try jit.define(symbol: "twice", address: address) }
  }

  @Test func onlyExportedFunctionsAreFound() throws {
    var jit = try JIT()
    let object = try object { ir in
      let inner = ir.define("inner", [], returns: ir.i32) { _ in ir.returnValue(ir.int(3, ir.i32)) }
      _ = ir.define("outer", [], returns: ir.i32, exported: true) { _ in
        ir.returnValue(ir.call(inner, []))
      }
    }
    try jit.add(object: object, name: "inner.o")
    typealias Outer = @convention(c) () -> Int32
    #expect(unsafeBitCast(try jit.lookup("outer"), to: Outer.self)() == 3)
    #expect(throws: LLVMError.self) { try jit.lookup("inner") }
  }

  /// Returns the object of the module that `build` emits, for this machine.
  private func object(_ build: (IRBuilder) -> Void) throws -> [UInt8] {
    let ir = IRBuilder(name: "test")
    try ir.target(.host)
    build(ir)
    #expect(ir.verify() == nil)
    return try ir.emit(for: .host)
  }
}
