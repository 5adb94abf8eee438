internal import CPng
package import MoTIR

/// A picture: rows of pixels of three bytes, red, green, blue.
package struct Picture: Hashable, Sendable {
  /// The largest width and height that are read.
  package static let limit = 4096

  /// Pixels in a row.
  package let width: Int
  /// Rows.
  package let height: Int
  /// 3 · width · height bytes.
  package let pixels: [UInt8]

  /// Creates a picture of `pixels`.
  ///
  /// - Requires: there are 3 · width · height of them.
  package init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(pixels.count == 3 * width * height, "pixels do not fill \(width)x\(height)")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// Decodes a PNG file's bytes; what is transparent becomes white.
  ///
  /// - Throws: `Diagnostic` if they are no PNG, damaged, or larger than `limit` either way.
  package init(png: [UInt8]) throws(Diagnostic) {
    // libpng reads on from the bytes until it has finished, so they stay where they are for all of it.
    let result = png.withUnsafeBytes { bytes in
      Result { () throws(Diagnostic) in try Self.decoded(bytes) }
    }
    self = try result.get()
  }

  /// Returns the picture in a PNG file's `bytes`.
  private static func decoded(_ bytes: UnsafeRawBufferPointer) throws(Diagnostic) -> Picture {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    defer { png_image_free(&image) }
    guard png_image_begin_read_from_memory(&image, bytes.baseAddress, bytes.count) != 0 else {
      throw error(image)
    }
    let (width, height) = (Int(image.width), Int(image.height))
    guard 1...limit ~= width, 1...limit ~= height else {
      throw Diagnostic(
        "the picture has \(width)x\(height) pixels, but at most \(limit)x\(limit) are read")
    }
    image.format = rgb
    var background = png_color(red: 255, green: 255, blue: 255)
    var pixels = [UInt8](repeating: 0, count: 3 * width * height)
    guard png_image_finish_read(&image, &background, &pixels, 0, nil) != 0 else {
      throw error(image)
    }
    return Picture(width: width, height: height, pixels: pixels)
  }

  /// Returns the picture as a PNG file's bytes.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func png() throws(Diagnostic) -> [UInt8] {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    image.width = png_uint_32(width)
    image.height = png_uint_32(height)
    image.format = Self.rgb
    defer { png_image_free(&image) }
    var size: png_alloc_size_t = 0
    guard png_image_write_to_memory(&image, nil, &size, 0, pixels, 0, nil) != 0 else {
      throw Self.error(image)
    }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    guard png_image_write_to_memory(&image, &bytes, &size, 0, pixels, 0, nil) != 0 else {
      throw Self.error(image)
    }
    return Array(bytes.prefix(Int(size)))
  }

  /// Returns the picture in `side` x `side` pixels, each the mean of the box that it covers.
  ///
  /// - Requires: `side` is above 0.
  package func resized(side: Int) -> Picture {
    var result: [UInt8] = []
    result.reserveCapacity(3 * side * side)
    for y in 0..<side {
      let rows = Self.box(y, of: side, over: height)
      for x in 0..<side {
        let columns = Self.box(x, of: side, over: width)
        let count = rows.count * columns.count
        for channel in 0..<3 {
          var sum = 0
          for row in rows {
            for column in columns { sum += Int(pixels[3 * (row * width + column) + channel]) }
          }
          result.append(UInt8((sum + count / 2) / count))
        }
      }
    }
    return Picture(width: side, height: side, pixels: result)
  }

  /// PNG_FORMAT_RGB, whose macro Swift cannot read.
  private static let rgb: png_uint_32 = 2

  /// Returns the pixels that box `index` of `count` covers of `extent`, at least one.
  private static func box(_ index: Int, of count: Int, over extent: Int) -> Range<Int> {
    let start = index * extent / count
    return start..<max(start + 1, (index + 1) * extent / count)
  }

  /// Returns the error that libpng left in `image`.
  private static func error(_ image: png_image) -> Diagnostic {
    let message = withUnsafeBytes(of: image.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return Diagnostic("the picture is no sound PNG: \(quoted(message))")
  }
}
