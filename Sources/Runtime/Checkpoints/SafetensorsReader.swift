package import MoTIR

/// The tensors of a safetensors file. Their bytes stay in the file until they are read.
package struct SafetensorsReader {
  /// The path, for messages.
  package let path: String
  /// The names of the tensors, in the order of their bytes.
  package let names: [String]
  /// The free text that the file carries, in its order.
  package let metadata: [(key: String, value: String)]
  private let tensors: [String: Tensor]

  /// Opens the file at `path` and checks all of it except for the numbers in the tensors.
  ///
  /// - Throws: `Diagnostic` with the rule of the format that the file breaks.
  package init(path: String) throws(Diagnostic) {
    try self.init(path: path, file: try MappedFile(path: path))
  }

  /// Checks `file`, which is mapped from `path`, likewise.
  init(path: String, file: MappedFile) throws(Diagnostic) {
    do throws(Diagnostic) {
      let header = try SafetensorsHeader(file: file.bytes)
      self.path = path
      names = header.entries.map(\.name)
      metadata = header.metadata
      var tensors: [String: Tensor] = [:]
      for entry in header.entries {
        tensors[entry.name] = Tensor(
          name: entry.name, format: entry.format, shape: entry.shape,
          storage: UnsafeRawBufferPointer(rebasing: file.bytes[entry.bytes]), owner: file)
      }
      self.tensors = tensors
    } catch {
      throw Diagnostic("\(path): \(error.message)", suggestion: error.suggestion)
    }
  }

  /// Creates a view of `tensors` from the files that `path` names.
  private init(path: String, metadata: [(key: String, value: String)], _ tensors: [Tensor]) {
    self.path = path
    self.metadata = metadata
    names = tensors.map(\.name)
    self.tensors = Dictionary(
      tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Opens the files at `paths` as one; of metadata, it has the first one's.
  ///
  /// - Parameter name: what messages call them.
  /// - Throws: `Diagnostics` with what is wrong with the files, and with every tensor that two of them have.
  package init(paths: [String], name: String? = nil) throws(Diagnostics) {
    var owners: [String: String] = [:]
    var tensors: [Tensor] = []
    var problems: [Diagnostic] = []
    var metadata: [(key: String, value: String)]?
    for path in paths {
      do throws(Diagnostic) {
        let file = try SafetensorsReader(path: path)
        metadata = metadata ?? file.metadata
        for tensor in file.all {
          if let other = owners.updateValue(path, forKey: tensor.name) {
            throw Diagnostic("\(other) and \(path) both have a tensor \(quoted(tensor.name))")
          }
          tensors.append(tensor)
        }
      } catch {
        problems.append(error)
      }
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    let all = paths.count == 1 ? paths[0] : "\(paths.count) files"
    self.init(path: name ?? all, metadata: metadata ?? [], tensors)
  }

  /// Returns the tensors whose names `isRemoved` does not want away.
  func removing(_ isRemoved: (String) -> Bool) -> SafetensorsReader {
    SafetensorsReader(path: path, metadata: metadata, all.filter { !isRemoved($0.name) })
  }

  /// Returns the tensor called `name`, or `nil` if the file has none.
  package func tensor(_ name: String) -> Tensor? { tensors[name] }

  /// All tensors, in the order of their bytes.
  package var all: [Tensor] { names.compactMap { tensors[$0] } }

  /// Returns the weights that a model expects, in its order.
  ///
  /// The file must hold these and no other tensors, in these shapes, as F32, BF16 or F16, and every
  /// number must be finite.
  ///
  /// - Throws: `Diagnostics` with every tensor that is missing, unexpected, misshapen, or wrong.
  package func load(
    expected: [(name: String, shape: [Int])]
  ) throws(Diagnostics) -> [Tensor] {
    var problems: [Diagnostic] = []
    var result: [Tensor] = []
    for (name, shape) in expected {
      guard let tensor = tensors[name] else {
        problems.append(Diagnostic("\(path): tensor \(quoted(name)) \(shape) is missing"))
        continue
      }
      problems += check(tensor, shape: shape)
      result.append(tensor)
    }
    let known = Set(expected.map(\.name))
    for tensor in all where !known.contains(tensor.name) {
      problems.append(
        Diagnostic("\(path): the model has no tensor \(quoted(tensor.name)) \(tensor.shape)"))
    }
    guard problems.isEmpty else { throw Diagnostics(problems) }
    return result
  }

  /// Returns what keeps `tensor` from being a weight of `shape`.
  private func check(_ tensor: Tensor, shape: [Int]) -> [Diagnostic] {
    let place = "\(path): tensor \(quoted(tensor.name))"
    guard tensor.shape == shape else {
      return [Diagnostic("\(place) has shape \(tensor.shape), but the model wants \(shape)")]
    }
    guard [.f32, .bf16, .f16].contains(tensor.format) else {
      return [
        Diagnostic(
          "\(place) holds \(tensor.format.rawValue), but weights are F32, BF16 or F16")
      ]
    }
    guard let index = tensor.firstNonFinite() else { return [] }
    return [Diagnostic("\(place) is not finite at \(tensor.position(index))")]
  }
}
