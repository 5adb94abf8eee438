package import MoTIR

/// How a picture is cut into continuous tokens: a square of patches, whose numbers are levels from −1 to 1.
package struct PatchGrid: Hashable, Sendable {
  /// Patches in a row of a picture, and rows of them.
  package let side: Int
  /// Pixels in a row of a patch, and rows of them.
  package let patch: Int

  /// Creates a grid.
  ///
  /// - Requires: both are from 1 to 64.
  package init(side: Int, patch: Int) {
    self.side = side
    self.patch = patch
  }

  /// Tokens of a picture.
  package var tokens: Int { side * side }
  /// Numbers of a token.
  package var width: Int { 3 * patch * patch }

  /// Returns the tokens of `picture`, row by row, resized to fit. [side², 3 · patch²]
  package func latents(of picture: Picture) -> [Float] {
    PictureCodebook.patches(of: picture, side: side, patch: patch).map { 2 * $0 - 1 }
  }

  /// Returns the picture of `latents`; what is missing is black.
  package func picture(of latents: [Float]) -> Picture {
    let levels = latents.prefix(tokens * width).map { ($0 + 1) / 2 }
    let filled = levels + [Float](repeating: 0, count: tokens * width - levels.count)
    return PictureCodebook.picture(ofPatches: filled, side: side, patch: patch)
  }

  // MARK: Files

  private static let tensorName = "grid"
  /// What the file is called in a folder of shards, and in that of a run.
  package static let fileName = "patches.safetensors"

  /// Writes the grid to the file at `path`: `grid` I32 [2], side and patch.
  ///
  /// - Throws: `Diagnostic` if it cannot be written.
  package func write(to path: String) throws {
    let tensor = try Tensor(
      name: Self.tensorName, shape: [2], integers: [Int32(side), Int32(patch)])
    try SafetensorsWriter.write([tensor], to: path)
  }

  /// Reads the grid in the file at `path`.
  ///
  /// - Throws: `Diagnostic` if it is none.
  package init(path: String) throws(Diagnostic) {
    try self.init(SafetensorsReader(path: path))
  }

  /// Reads the grid in an open file.
  ///
  /// - Throws: `Diagnostic` if it is none.
  init(_ reader: SafetensorsReader) throws(Diagnostic) {
    guard let tensor = reader.tensor(Self.tensorName), reader.names.count == 1,
      tensor.format == .i32, tensor.shape == [2], case let numbers = try tensor.integers(),
      numbers.allSatisfy((1...64).contains)
    else {
      throw Diagnostic(
        "\(reader.path) is no grid of patches: it needs one tensor, grid I32 [2], of numbers from 1 to 64"
      )
    }
    self.init(side: numbers[0], patch: numbers[1])
  }
}
