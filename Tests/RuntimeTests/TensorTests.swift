import MoTIR
import Runtime
import Testing

@Suite struct TensorTests {
  @Test func buffersAreAlignedAndZero() throws {
    for count in [1, 100, 4096, 3 << 20] {
      let buffer = try AlignedBuffer(count: count, stride: 4)
      let address = Int(bitPattern: buffer.bytes.baseAddress)
      #expect(buffer.bytes.count == 4 * count)
      #expect(address.isMultiple(of: 4 * count >= 2 << 20 ? 2 << 20 : 64))
      #expect(buffer.bytes.allSatisfy { $0 == 0 })
      buffer.bytes[4 * count - 1] = 1
    }
    #expect(try AlignedBuffer(count: 0).bytes.isEmpty)
  }

  @Test(arguments: [(Int.max, 2), (-1, 4), (Int.max, 1), (1 << 60, 1)])
  func impossibleBuffersAreErrors(count: Int, stride: Int) {
    #expect(throws: Diagnostic.self) { try AlignedBuffer(count: count, stride: stride) }
  }

  @Test func halfPrecisionConvertsExactly() {
    for bits in UInt16.min...UInt16.max {
      let exact = Float(Float16(bitPattern: bits))
      let ours = float(half: bits)
      #expect(ours.bitPattern == exact.bitPattern || (ours.isNaN && exact.isNaN))
    }
  }

  @Test func numbersConvert() throws {
    let bytes: [UInt8] = [0x80, 0x3F, 0x00, 0xC0]
    let brain = try Tensor(name: "b", format: .bf16, shape: [2], bytes: bytes)
    #expect(try brain.floats() == [1, -2])
    let half = try Tensor(name: "h", format: .f16, shape: [2], bytes: [0, 0x3C, 0, 0xC0])
    #expect(try half.floats() == [1, -2])
    let single = try Tensor(name: "s", shape: [1, 2], floats: [1.5, -0.25])
    #expect(try single.floats() == [1.5, -0.25])
    let whole = try Tensor(name: "i", shape: [2], integers: [-100, 7])
    #expect(try whole.integers() == [-100, 7])
    #expect(throws: Diagnostic.self) { try whole.floats() }
    #expect(throws: Diagnostic.self) { try single.integers() }
    let large = try Tensor(
      name: "u", format: .u64, shape: [1], bytes: [UInt8](repeating: 255, count: 8))
    #expect(throws: Diagnostic.self) { try large.integers() }
  }

  @Test func findsWhatIsNotFinite() throws {
    let fine = try Tensor(name: "t", shape: [2, 2], floats: [0, .greatestFiniteMagnitude, -1, 2])
    #expect(fine.firstNonFinite() == nil)
    let bad = try Tensor(name: "t", shape: [2, 2], floats: [0, 1, -.infinity, .nan])
    #expect(bad.firstNonFinite() == 2)
    #expect(bad.position(2) == "[1, 0]")
    let half = try Tensor(name: "h", format: .f16, shape: [2], bytes: [0, 0x3C, 1, 0x7C])
    #expect(half.firstNonFinite() == 1)
  }
}
