import ArgumentParser
import Foundation
import Lowering
import MoTIR
import Runtime

/// `motc doctor`: what motc finds on this machine.
struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what motc finds on this machine, for bug reports.",
    discussion: """
      Examples:
        motc doctor
        MOTC_CACHE=off motc doctor
      """)

  @OptionGroup var execution: ExecutionArguments

  func run() throws {
    let (rows, problems) = try findings()
    var text = table(rows, indent: "")
    text += problems.isEmpty ? "\nNo problems found.\n" : "\n\(problems.count) found:\n"
    for (index, problem) in problems.enumerated() {
      text += "  \(index + 1). \(problem.message)"
      text += (problem.suggestion.map { "\n     \($0)" } ?? "") + "\n"
    }
    try Output(nil).write(text)
  }

  /// Returns what there is, and what is wrong with it.
  ///
  /// - Throws: `CannotRun` if code cannot be made or executed at all.
  private func findings() throws -> (rows: [[String]], problems: [Diagnostic]) {
    var problems: [Diagnostic] = []
    let target = try TargetDescription(named: "native")
    let pool = execution.makePool()
    var rows = [
      ["processor", machineName],
      ["target", "\(target.cpuName), \(target.lanes) f32 lanes, \(Self.features(target))"],
      ["threads", execution.threads.map { "\($0), as asked" } ?? ThreadBudget.current.explanation],
    ]
    for precision in Precision.allCases {
      let options = CompileOptions(precision: precision, target: target)
      let peaks = try MachineMeters(target, options.operands, pool, memory: nil).measure()
      var text = "\(fixed(peaks.vector / 1e9, 0)) GFLOP/s on \(pool.threads) threads"
      if let matrix = peaks.matrix {
        text += ", \(fixed(matrix / 1e9, 0)) by the matrix unit"
      }
      rows.append(["peak \(precision.rawValue)", text])
    }
    rows.append(["LLVM", Compiler.llvm])
    rows.append(["OpenBLAS", "\(OpenBLAS.core) kernels; \(OpenBLAS.configuration)"])
    for (name, value) in OpenBLAS.overridden {
      problems.append(
        Diagnostic(
          "\(name)=\(value) is set and may make OpenBLAS slow",
          suggestion: "unset it; motc does so itself where it measures OpenBLAS"))
    }
    rows.append(["object cache", Self.cache(&problems)])
    rows.append(contentsOf: Self.specs(&problems))
    return (rows, problems)
  }

  /// Returns the features that code generation makes use of.
  private static func features(_ target: TargetDescription) -> String {
    let known = ["avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512bf16", "avx2", "fma"]
    let found = known.filter(TargetDescription.hostHas)
    let products =
      target.hasMatrixUnit
      ? "bf16 products by the matrix unit"
      : target.hasBF16DotProduct ? "bf16 products in hardware" : "bf16 products by f32"
    return "\(found.isEmpty ? "baseline" : found.joined(separator: " ")), \(products)"
  }

  /// Returns the state of the object cache.
  private static func cache(_ problems: inout [Diagnostic]) -> String {
    guard let folder = objectCache.folder else { return "off" }
    let manager = FileManager.default
    guard let names = try? manager.contentsOfDirectory(atPath: folder) else {
      if manager.fileExists(atPath: folder) {
        problems.append(
          Diagnostic(
            "the object cache cannot be read: \(folder)", suggestion: "chmod 700 \(folder)"))
      }
      return "\(folder), empty"
    }
    let sizes = names.filter { $0.hasSuffix(".motco") }.map { name in
      let attributes = try? manager.attributesOfItem(atPath: "\(folder)/\(name)")
      return attributes?[.size] as? Int ?? 0
    }
    let mode = (try? manager.attributesOfItem(atPath: folder))?[.posixPermissions] as? Int ?? 0
    if mode & 0o022 != 0 {
      problems.append(
        Diagnostic(
          "others may write to the object cache, so it is not used",
          suggestion: "chmod 700 \(folder)"))
    }
    return "\(folder), \(sizes.count) entries, \(bytes(sizes.reduce(0, +)))"
  }

  /// Returns what evaluates specs, and how it is contained.
  private static func specs(_ problems: inout [Diagnostic]) -> [[String]] {
    let containment = SpecContainment.probed()
    if case .limitsOnly(let reason) = containment {
      problems.append(
        Diagnostic(
          "specs are evaluated without a sandbox: \(reason)",
          suggestion: "install the package bubblewrap, and allow user namespaces"))
    }
    var rows = [["sandbox", containment.summary]]
    do throws(Diagnostic) {
      let toolchain = try SpecToolchain.found()
      rows.append(["swift-frontend", toolchain.frontend])
      rows.append(["MoTIR module", "\(toolchain.modules), \(toolchain.library)"])
    } catch {
      rows.append(["swift-frontend", "specs cannot be evaluated; IR text (.motir) can be read"])
      problems.append(error)
    }
    return rows
  }
}
