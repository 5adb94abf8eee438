internal import Glibc
internal import MoTIR

/// Zeroed memory straight from the system, at an alignment that suits vector code.
///
/// Large buffers begin at a multiple of 2 MiB and ask for huge pages, which spares address
/// translation in kernels that walk through gigabytes.
package final class AlignedBuffer {
  /// The size of a huge page.
  private static let hugePage = 2 << 20

  /// The bytes that the system protects at once.
  package static let page = Int(sysconf(Int32(_SC_PAGESIZE)))

  /// The memory; empty for 0 bytes.
  package let bytes: UnsafeMutableRawBufferPointer
  private let mapping: UnsafeMutableRawPointer?
  private let mappedCount: Int

  /// Creates a buffer of `count` elements of `stride` bytes, all 0.
  ///
  /// - Throws: `Diagnostic` if the size is negative, overflows, or the system has not that much.
  package init(count: Int, stride: Int = 1) throws {
    let (size, overflow) = count.multipliedReportingOverflow(by: stride)
    guard count >= 0, stride > 0, !overflow, size <= Int.max - 2 * Self.hugePage else {
      throw Diagnostic(
        "a buffer of \(count) elements of \(stride) bytes is larger than memory can be")
    }
    guard size > 0 else {
      mapping = nil
      mappedCount = 0
      bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
      return
    }
    let slack = size >= Self.hugePage ? Self.hugePage : 0
    let mapped = mmap(
      nil, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else {
      throw Diagnostic(
        "the system has no \(size) bytes of memory left",
        suggestion: "choose a smaller batch or model")
    }
    mapping = mapped
    mappedCount = size + slack
    let start = slack > 0 ? mapped.alignedUp(toMultipleOf: slack) : mapped
    if slack > 0 { madvise(start, size, MADV_HUGEPAGE) }
    bytes = UnsafeMutableRawBufferPointer(start: start, count: size)
  }

  /// Creates a buffer of `size` bytes `filler` between two pages that nobody may touch. Its last cache line
  /// touches the second: whoever passes its end is stopped there.
  ///
  /// - Parameter guards: parts of the buffer that nobody may touch either; whole pages if the buffer is.
  /// - Throws: `Diagnostic` if the system has not that much memory.
  package init(guarded size: Int, guards: [Range<Int>] = [], filler: UInt8 = 0) throws {
    let page = Self.page
    let lines = (max(size, 1) + 63) / 64 * 64
    let pages = (lines + page - 1) / page * page
    let shortage = Diagnostic("the system has no \(size) bytes of memory left")
    let mapped = mmap(
      nil, pages + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { throw shortage }
    mapping = mapped
    mappedCount = pages + 2 * page
    let start = mapped + (page + pages - lines)
    bytes = UnsafeMutableRawBufferPointer(start: start, count: lines)
    // All of the pages, so that what stands before the first line is filled too.
    memset(mapped + page, Int32(filler), pages)
    let ends = [mapped..<mapped + page, mapped + page + pages..<mapped + 2 * page + pages]
    for range in ends + guards.map({ start + $0.lowerBound..<start + $0.upperBound }) {
      guard mprotect(range.lowerBound, range.count, PROT_NONE) == 0 else { throw shortage }
    }
  }

  deinit {
    if let mapping { munmap(mapping, mappedCount) }
  }
}

extension UnsafeMutableRawPointer {
  /// Returns the first address from here on that is a multiple of `alignment`, a power of two.
  fileprivate func alignedUp(toMultipleOf alignment: Int) -> UnsafeMutableRawPointer {
    self + (alignment - Int(bitPattern: self) & (alignment - 1)) & (alignment - 1)
  }
}
