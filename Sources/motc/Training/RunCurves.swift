import MoTIR
import Runtime

/// What a run's metrics show, against one of their columns.
struct RunCurves {
  /// The curves of a metric.
  struct Pair {
    /// Of the training steps.
    var training = Curve()
    /// Of the validations.
    var validation = Curve()
  }

  /// The folder.
  let run: RunName
  /// The names of the metrics that have numbers, in the file's order.
  private(set) var names: [String] = []
  private(set) var curves: [String: Pair] = [:]
  /// The largest number on the horizontal axis.
  private(set) var end = 0.0

  private static let prefix = "validation."
  /// Metrics, at most.
  private static let most = 256

  /// Reads the metrics of the run in the folder at `path`.
  ///
  /// - Parameter column: the name of what stands on the horizontal axis.
  /// - Throws: `Diagnostic` if there are none, or they are damaged.
  init(path: String, against column: String) throws(Diagnostic) {
    run = RunName(path: path)
    try run.forEachStep { line, numbers throws(Diagnostic) in
      guard let x = numbers.first(where: { $0.name == column })?.value else {
        throw Diagnostic("\(path): line \(line) of the metrics has no number '\(column)'")
      }
      end = max(end, x)
      for number in numbers { add(number, at: x) }
      guard names.count <= Self.most else {
        throw Diagnostic("\(path): the metrics have more than \(Self.most) different numbers")
      }
    }
    guard !names.isEmpty else { throw Diagnostic("\(path): the run has made no step yet") }
  }

  private mutating func add(_ number: MetricsReader.Number, at x: Double) {
    let isValidation = number.name.hasPrefix(Self.prefix)
    let name = isValidation ? String(number.name.dropFirst(Self.prefix.count)) : number.name
    if curves[name] == nil { names.append(name) }
    if isValidation {
      curves[name, default: Pair()].validation.add(x, number.value)
    } else {
      curves[name, default: Pair()].training.add(x, number.value)
    }
  }
}
