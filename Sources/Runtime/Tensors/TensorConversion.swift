package import MoTIR

extension Tensor {
  /// Returns the elements as single-precision numbers; BF16 and F16 convert exactly.
  ///
  /// - Throws: `Diagnostic` unless the elements are F32, BF16 or F16.
  package func floats() throws(Diagnostic) -> [Float] {
    try [Float](unsafeUninitializedCapacity: count) { buffer, initialized throws(Diagnostic) in
      try copyFloats(to: buffer)
      initialized = count
    }
  }

  /// Writes the elements to `destination` as single-precision numbers.
  ///
  /// - Requires: `destination` has room for exactly `count` elements.
  /// - Throws: `Diagnostic` unless the elements are F32, BF16 or F16.
  package func copyFloats(to destination: UnsafeMutableBufferPointer<Float>) throws(Diagnostic) {
    precondition(destination.count == count, "\(name) has \(count) elements")
    guard [.f32, .bf16, .f16].contains(format) else {
      throw Diagnostic(
        "tensor \(quoted(name)) holds \(format.rawValue), but numbers are read from F32, BF16 or F16"
      )
    }
    withBytes { bytes in
      switch format {
      case .f32: UnsafeMutableRawBufferPointer(destination).copyMemory(from: bytes)
      case .bf16:
        let source = bytes.bindMemory(to: UInt16.self)
        for index in source.indices {
          destination[index] = Float(bitPattern: UInt32(source[index]) << 16)
        }
      default:
        let source = bytes.bindMemory(to: UInt16.self)
        for index in source.indices { destination[index] = float(half: source[index]) }
      }
    }
  }

  /// Returns the elements as integers.
  ///
  /// - Throws: `Diagnostic` if the elements are no integers, or one does not fit 64 bits.
  package func integers() throws(Diagnostic) -> [Int] {
    switch format {
    case .i64: return elements(Int64.self).map { Int($0) }
    case .i32: return elements(Int32.self).map { Int($0) }
    case .i16: return elements(Int16.self).map { Int($0) }
    case .i8: return elements(Int8.self).map { Int($0) }
    case .u32: return elements(UInt32.self).map { Int($0) }
    case .u16: return elements(UInt16.self).map { Int($0) }
    case .u8, .bool: return elements(UInt8.self).map { Int($0) }
    case .u64:
      let values = elements(UInt64.self)
      if let index = values.firstIndex(where: { $0 > Int.max }) {
        throw Diagnostic(
          "\(values[index]) at \(position(index)) of tensor \(quoted(name)) is too large")
      }
      return values.map { Int($0) }
    case .f64, .f32, .f16, .bf16:
      throw Diagnostic(
        "tensor \(quoted(name)) holds \(format.rawValue), but integers are wanted",
        suggestion: "write it as I32")
    }
  }

  /// Returns the index of the first element that is infinite or not a number; integers have none.
  package func firstNonFinite() -> Int? {
    switch format {
    case .f64: firstIndex(UInt64.self, exponent: 0x7FF0_0000_0000_0000)
    case .f32: firstIndex(UInt32.self, exponent: 0x7F80_0000)
    case .bf16: firstIndex(UInt16.self, exponent: 0x7F80)
    case .f16: firstIndex(UInt16.self, exponent: 0x7C00)
    case .i64, .i32, .i16, .i8, .u64, .u32, .u16, .u8, .bool: nil
    }
  }

  /// Returns the place of element `index` as text, one number a dimension: `[2, 5]`.
  package func position(_ index: Int) -> String {
    var rest = index
    var coordinates: [Int] = []
    for extent in shape.reversed() {
      coordinates.append(rest % max(1, extent))
      rest /= max(1, extent)
    }
    return "\(Array(coordinates.reversed()))"
  }

  /// Returns the elements, which are stored as `type`.
  private func elements<Element: BitwiseCopyable>(_ type: Element.Type) -> [Element] {
    withBytes { Array($0.bindMemory(to: type)) }
  }

  /// Returns the index of the first element that has all bits of `exponent` set.
  private func firstIndex<Bits: FixedWidthInteger & BitwiseCopyable>(
    _ type: Bits.Type, exponent: Bits
  ) -> Int? {
    withBytes { bytes in
      bytes.bindMemory(to: type).firstIndex { $0 & exponent == exponent }
    }
  }
}

/// Returns the value of the half-precision number `half`, whatever processor this is.
package func float(half: UInt16) -> Float {
  let sign = UInt32(half & 0x8000) << 16
  let exponent = UInt32(half >> 10) & 0x1F
  let fraction = UInt32(half & 0x3FF)
  switch exponent {
  case 0:
    // Zero or subnormal: a multiple of 2^-24.
    let magnitude = Float(fraction) * 0x1p-24
    return Float(bitPattern: magnitude.bitPattern | sign)
  case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}
