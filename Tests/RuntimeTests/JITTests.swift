import Foundation
import LLVMKit
import Testing

@Suite struct JITTests {
  @Test func runsAnObject() throws {
    var jit = try JIT()
    let object = try compileIR(
      text: "define i32 @twice(i32 %x) {\n %r = add i32 %x, %x\n ret i32 %r\n}\n")
    try jit.add(object: object, name: "twice.o")
    typealias Twice = @convention(c) (Int32) -> Int32
    #expect(unsafeBitCast(try jit.lookup("twice"), to: Twice.self)(21) == 42)
  }

  @Test func resolvesDefinedAndProcessSymbols() throws {
    var jit = try JIT()
    let answer: @convention(c) () -> Int32 = { 7 }
    try jit.define(
      symbol: "motc_answer", address: unsafeBitCast(answer, to: UnsafeRawPointer.self))
    let object = try compileIR(
      text: """
        declare i32 @motc_answer()
        declare i32 @abs(i32)
        define i32 @entry() {
          %a = call i32 @motc_answer()
          %n = sub i32 0, %a
          %r = call i32 @abs(i32 %n)
          ret i32 %r
        }
        """)
    try jit.add(object: object, name: "entry.o")
    typealias Entry = @convention(c) () -> Int32
    #expect(unsafeBitCast(try jit.lookup("entry"), to: Entry.self)() == 7)
    let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    #expect(!maps.contains(" rwx"), "a page is writable and executable")
  }

  @Test func reportsWhatIsWrong() throws {
    var jit = try JIT()
    let object = try compileIR(
      text:
        "declare void @motc_absent()\ndefine void @f() {\n call void @motc_absent()\n ret void\n}")
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
    #expect(throws: LLVMError.self) { try compileIR(text: "no IR") }
  }
}
