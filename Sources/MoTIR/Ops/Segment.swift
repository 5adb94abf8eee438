/// What the input `segments` says of a token: a number, and who sees whom across the border of its block.
///
/// Query q sees key k of its document iff both have the same number above 0, or q is allowed to see k by its place
/// (not later, where attention is causal), q is in no isolated block and k in no hidden one.
public enum Segment {
  /// Numbers of blocks; 0 is none.
  public static let numbers = 0..<(1 << 28)
  /// Added to the number: the block sees nothing outside.
  public static let isolated: Int32 = 1 << 28
  /// Added to the number: nothing outside sees the block.
  public static let hidden: Int32 = 1 << 29
  /// All that can be added.
  public static let flags = isolated | hidden

  /// `true` iff a query of `query` sees a key of `key`, which stands where it may be seen.
  static func sees(_ query: Int32, _ key: Int32) -> Bool {
    query & isolated == 0 && key & hidden == 0
  }
}
