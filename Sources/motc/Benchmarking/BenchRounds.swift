import MoTIR
import Runtime

/// A subject with a batch: one line of a comparison.
struct BenchCase {
  /// Its name in the report.
  let name: String
  /// The model.
  let subject: BenchSubject
  /// What it runs on.
  let batch: Batch
  /// The case with which it is compared, by position; `nil` for one that others are compared with.
  let base: Int?
}

/// Everything that was measured, in rounds in which all cases take their turns.
struct BenchRounds {
  /// The cases, in order.
  let cases: [BenchCase]
  /// How many rounds there were.
  let count: Int
  /// The machine's peaks, as medians.
  let peaks: MachinePeaks
  private let times: [BenchTask: [[BenchTimes]]]

  /// Measures `cases` in turn, `count` times.
  init(
    _ cases: [BenchCase], count: Int, meters: MachineMeters, clock: StageClock
  ) throws {
    var peaks: [MachinePeaks] = []
    let none = [[BenchTimes]](repeating: [], count: cases.count)
    var times = Dictionary(uniqueKeysWithValues: BenchTask.allCases.map { ($0, none) })
    for round in 1...count {
      try clock.measure("round \(round) of \(count)") {
        peaks.append(meters.measure())
        for (index, one) in cases.enumerated() {
          try one.subject.enter(one.batch)
          defer { one.subject.leave() }
          for task in one.subject.tasks {
            times[task]?[index].append(try one.subject.measure(task))
          }
        }
      }
    }
    self.cases = cases
    self.count = count
    self.times = times
    self.peaks = MachinePeaks(
      vector: median(peaks.map(\.vector)), matrix: optionalMedian(peaks.compactMap(\.matrix)),
      memory: optionalMedian(peaks.compactMap(\.memory)))
  }

  /// Returns the median of a part of the seconds of `task`; `nil` where it was not measured.
  func seconds(_ task: BenchTask, _ index: Int, _ part: KeyPath<BenchTimes, Double>) -> Double? {
    optionalMedian((times[task]?[index] ?? []).map { $0[keyPath: part] })
  }
}

/// Returns the middle of `values`, or `nil` if they are empty.
private func optionalMedian(_ values: [Double]) -> Double? {
  values.isEmpty ? nil : median(values)
}
