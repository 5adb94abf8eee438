/// Rows of an activation, one a token, while a model is built.
///
/// Modalities may differ in width: then the rows have *parts*, one for each width. A layer is given one part after
/// another, unless it is a `WholeLayer`.
public struct Rows: Sendable {
  /// The rows of the modalities of one width.
  struct Part: Sendable {
    /// The value in the graph. What it holds for the tokens of other modalities is never read.
    let value: ValueID
    /// Its type.
    let type: ValueType
    /// The modalities, ascending.
    let modalities: [Int]
    /// The number of elements in a row.
    var width: Int { type.width ?? 0 }
  }

  /// The parts: at least one, of different widths.
  let parts: [Part]

  /// The value of the first part, which is the only one outside a `WholeLayer`.
  var value: ValueID { parts[0].value }
  /// Its type.
  public var type: ValueType { parts[0].type }
  /// The number of elements in a row.
  public var width: Int { parts[0].width }
}

/// A parameter, while a model is built.
public struct Parameter: Sendable {
  /// The name in the whole model.
  let name: String
  /// The type of its value in the graph.
  let type: ValueType
  /// Which group's tensor each modality takes; `nil` for one tensor for all.
  let groups: Groups?
}
