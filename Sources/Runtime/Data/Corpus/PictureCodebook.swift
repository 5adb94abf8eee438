package import MoTIR

/// What a picture is made of: a square of patches, each the number of the code that looks most like it.
package struct PictureCodebook: Hashable, Sendable {
  /// Patches in a row of a picture, and rows of them.
  package let side: Int
  /// Pixels in a row of a patch, and rows of them.
  package let patch: Int
  /// Patches, row by row, each pixel three levels from 0 to 1. [K, 3 · patch²]
  private let codes: VectorCodes

  /// The number of codes, K.
  package var count: Int { codes.count }
  /// Tokens of a picture.
  package var tokens: Int { side * side }

  /// Returns the codebook whose patches are single pixels of 64 colours, 4 levels each of red, green and blue.
  package static func palette(side: Int) -> PictureCodebook {
    let levels = (0..<64).flatMap { code -> [Float] in
      let digits = [code / 16, code / 4 % 4, code % 4]
      return digits.map { Float($0) / 3 }
    }
    return PictureCodebook(side: side, patch: 1, codes: VectorCodes(width: 3, values: levels))
  }

  /// Learns `count` patches from `patches`, which are those of some pictures.
  ///
  /// - Parameter patches: at least one. [N, 3 · patch²]
  package static func learned(
    from patches: [Float], side: Int, patch: Int, count: Int, seed: UInt64
  ) -> PictureCodebook {
    PictureCodebook(
      side: side, patch: patch,
      codes: VectorCodes.learned(
        patches, width: 3 * patch * patch, count: count, seed: seed))
  }

  private init(side: Int, patch: Int, codes: VectorCodes) {
    self.side = side
    self.patch = patch
    self.codes = codes
  }

  /// Returns the codes of `picture`, row by row. [side²]
  package func codes(of picture: Picture) -> [Int] {
    codes.nearest(Self.patches(of: picture, side: side, patch: patch))
  }

  /// Returns the picture that `numbers` stand for; what is missing, or no code, is black.
  package func picture(of numbers: [Int]) -> Picture {
    let black = [Float](repeating: 0, count: 3 * patch * patch)
    let levels = (0..<tokens).flatMap { index in
      index < numbers.count && 0..<count ~= numbers[index] ? Array(codes[numbers[index]]) : black
    }
    return Self.picture(ofPatches: levels, side: side, patch: patch)
  }

  /// Returns the picture of patches whose pixels are three levels from 0 to 1. [side², 3 · patch²]
  static func picture(ofPatches levels: [Float], side: Int, patch: Int) -> Picture {
    let (extent, width) = (side * patch, 3 * patch * patch)
    var pixels = [UInt8](repeating: 0, count: 3 * extent * extent)
    for (place, level) in levels.enumerated() {
      let (index, offset) = place.quotientAndRemainder(dividingBy: width)
      let (top, left) = (index / side * patch, index % side * patch)
      let (pixel, channel) = (offset / 3, offset % 3)
      let row = (top + pixel / patch) * extent + left + pixel % patch
      pixels[3 * row + channel] = UInt8((min(1, max(0, level)) * 255).rounded())
    }
    return Picture(width: extent, height: extent, pixels: pixels)
  }

  /// Returns the patches of `picture`, resized to fit. [side², 3 · patch²]
  package static func patches(of picture: Picture, side: Int, patch: Int) -> [Float] {
    let extent = side * patch
    let isFitting = picture.width == extent && picture.height == extent
    let pixels = (isFitting ? picture : picture.resized(side: extent)).pixels
    var result: [Float] = []
    result.reserveCapacity(pixels.count)
    for index in 0..<(side * side) {
      let (top, left) = (index / side * patch, index % side * patch)
      for row in top..<(top + patch) {
        let start = 3 * (row * extent + left)
        result += pixels[start..<(start + 3 * patch)].lazy.map { Float($0) / 255 }
      }
    }
    return result
  }

  // MARK: Files

  private static let tensorName = "patches"
  /// What the file is called in a folder of shards, and in that of a run.
  package static let fileName = "pictures.safetensors"

  /// Writes the codebook to the file at `path`: `patches` f32 [K, patch, patch, 3], and `side` as text.
  ///
  /// - Throws: `Diagnostic` if it cannot be written.
  package func write(to path: String) throws {
    let tensor = try Tensor(
      name: Self.tensorName, shape: [count, patch, patch, 3], floats: codes.values)
    try SafetensorsWriter.write([tensor], metadata: ["side": "\(side)"], to: path)
  }

  /// Reads the codebook in the file at `path`.
  ///
  /// - Throws: `Diagnostic` if it is none, or holds what is not finite.
  package init(path: String) throws(Diagnostic) {
    try self.init(SafetensorsReader(path: path))
  }

  /// Reads the codebook in an open file.
  ///
  /// - Throws: `Diagnostic` if it is none, or holds what is not finite.
  init(_ reader: SafetensorsReader) throws(Diagnostic) {
    guard let tensor = reader.tensor(Self.tensorName), reader.names.count == 1,
      tensor.format == .f32, tensor.shape.count == 4, tensor.shape[3] == 3,
      tensor.shape[1] == tensor.shape[2], 1...64 ~= tensor.shape[1], tensor.shape[0] >= 1,
      let text = reader.metadata.first(where: { $0.key == "side" })?.value,
      let side = Int(text), 1...64 ~= side
    else {
      throw Diagnostic(
        "\(reader.path) is no codebook of pictures: it needs one tensor, patches F32 [K, P, P, 3], and "
          + "the text 'side' from 1 to 64")
    }
    if let index = tensor.firstNonFinite() {
      throw Diagnostic("\(reader.path): patches are not finite at \(tensor.position(index))")
    }
    let patch = tensor.shape[1]
    self.init(
      side: side, patch: patch,
      codes: VectorCodes(width: 3 * patch * patch, values: try tensor.floats()))
  }
}
