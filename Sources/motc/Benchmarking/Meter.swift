import Lowering
import MoTIR
import Runtime

/// Measures what a part of the machine reaches at most.
final class Meter {
  private let model: CompiledModel
  private let work: Double
  private let entry: String

  /// Links the loop that `probe` makes, and runs it once.
  init(_ pool: ThreadPool, _ probe: () throws -> some Probe) throws {
    (model, work, entry) = try CannotRun.unless {
      let probe = try probe()
      let model = try CompiledModel(
        plan: probe.plan, objects: [probe.object], scratchBytes: probe.scratchBytes, pool: pool)
      return (model, probe.work(threads: pool.threads), probe.plan.entries[0].name)
    }
    // Memory that was never written has no pages of its own.
    for index in model.plan.buffers.indices {
      model.memory(BufferID(index)).initializeMemory(as: UInt8.self, repeating: 0)
    }
    _ = measure()
  }

  /// Returns work a second, all threads together, over as long a time as steps are measured: a CPU is
  /// faster in the first moments after a rest.
  func measure() -> Double {
    let start = ContinuousClock.now
    var count = 0.0
    var seconds = 0.0
    while seconds < 0.3 {
      model.run(entry)
      count += 1
      seconds = (ContinuousClock.now - start).seconds
    }
    return count * work / seconds
  }
}

/// What the machine reaches at most, in the units of a second.
struct MachinePeaks {
  /// FLOPs of the vector unit.
  let vector: Double
  /// FLOPs of the matrix unit; `nil` where it is not used.
  let matrix: Double?
  /// Bytes read and written; `nil` if nobody wants to know.
  let memory: Double?
}

/// The meters of a benchmark.
struct MachineMeters {
  private let vector: Meter
  private let matrix: Meter?
  private let memory: Meter?

  /// Compiles the loops for products of `operands`, and for what is done with memory if anything is.
  init(
    _ target: TargetDescription, _ operands: OperandFormat, _ pool: ThreadPool,
    memory pattern: MemoryProbe.Pattern?
  ) throws {
    vector = try Meter(pool) { try PeakProbe(target: target, operands: operands) }
    matrix =
      operands.isTiled
      ? try Meter(pool) { try PeakProbe(target: target, operands: operands, unit: .matrix) } : nil
    memory = try pattern.map { pattern in
      try Meter(pool) { try MemoryProbe(target: target, pattern: pattern) }
    }
  }

  /// Measures everything once.
  func measure() -> MachinePeaks {
    MachinePeaks(
      vector: vector.measure(), matrix: matrix?.measure(), memory: memory?.measure())
  }
}

/// Returns the middle of `values`, which are not empty.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
