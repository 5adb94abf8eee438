/// Where the parts of a module stand in the text that it was parsed from.
struct SourcePlaces {
  /// The places of a function's parts.
  struct Function {
    /// The line `func`.
    let function: Location
    /// The nodes, by their number.
    let nodes: [Location]
    /// The outputs.
    let outputs: [Location]
  }

  /// The line `module`.
  var module: Location
  /// The modalities, in order.
  var modalities: [Location] = []
  /// The parameters, in order.
  var parameters: [Location] = []
  /// The objectives, in order.
  var objectives: [Location] = []
  /// The functions, in order.
  var functions: [Function] = []
}
