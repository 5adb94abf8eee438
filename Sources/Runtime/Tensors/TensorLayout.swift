internal import MoTIR

// The same numbers in another order.

extension Tensor {
  /// Returns the matrix with rows for columns.
  ///
  /// - Requires: the tensor is a matrix.
  /// - Throws: `Diagnostic` if memory is short.
  func transposed() throws -> Tensor {
    switch format.size {
    case 8: try transposed(UInt64.self)
    case 4: try transposed(UInt32.self)
    case 2: try transposed(UInt16.self)
    default: try transposed(UInt8.self)
    }
  }

  private func transposed<Bits: BitwiseCopyable>(_ type: Bits.Type) throws -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    let bytes = withBytes { source in
      let old = source.bindMemory(to: type)
      return [UInt8](unsafeUninitializedCapacity: source.count) { buffer, count in
        let new = UnsafeMutableRawBufferPointer(buffer).bindMemory(to: type)
        for row in 0..<rows {
          for column in 0..<columns { new[column * rows + row] = old[row * columns + column] }
        }
        count = source.count
      }
    }
    return try Tensor(name: name, format: format, shape: [columns, rows], bytes: bytes)
  }

  /// Returns the tensor with the rows of each block in another order: row i of a block is its row `order[i]` here.
  ///
  /// - Requires: blocks divide the first dimension.
  /// - Throws: `Diagnostic` if memory is short.
  func reordered(_ order: [Int]) throws -> Tensor {
    let size = shape.dropFirst().reduce(format.size, *)
    let bytes = withBytes { source in
      var result: [UInt8] = []
      result.reserveCapacity(source.count)
      for block in stride(from: 0, to: shape[0], by: order.count) {
        for row in order {
          let start = (block + row) * size
          result.append(contentsOf: source[start..<(start + size)])
        }
      }
      return result
    }
    return try Tensor(name: name, format: format, shape: shape, bytes: bytes)
  }
}
