package import LLVMKit
public import MoTIR

/// What code generation must know of a CPU: everything else follows from it.
public struct TargetDescription: Hashable, Sendable {
  /// The CPU as LLVM knows it.
  package let cpu: TargetCPU
  /// f32 lanes of a vector register.
  public let lanes: Int
  /// `true` iff there is an instruction that multiplies bf16 pairs and adds in f32.
  public let hasBF16DotProduct: Bool
  /// `true` iff there is a matrix unit that multiplies tiles of bf16, and this process may use it.
  public let hasMatrixUnit: Bool
  /// Bytes of one operand of a product that the second cache holds beside the other one; of more, the product is
  /// computed in pieces of depth. CPUs with a matrix unit have 2 MiB, and on vectors no one needs it as much.
  package var operandBytes = 1 << 20

  /// LLVM's name of the CPU.
  package var cpuName: String { cpu.name }

  /// `true` iff LLVM's feature list of this machine has `feature`.
  package static func hostHas(_ feature: String) -> Bool { TargetCPU.host.has(feature) }

  /// The levels that `--target-cpu` takes besides `native`.
  public static let levels = ["x86-64-v2", "x86-64-v3", "x86-64-v4"]

  /// The CPU that this process runs on.
  public static let native = TargetDescription(host: .host)

  /// Creates the description of `native` or of a level.
  ///
  /// - Throws: `Diagnostic` for an unknown name.
  public init(named name: String) throws(Diagnostic) {
    switch name {
    case "native": self = .native
    case "x86-64-v4": self.init(cpu: TargetCPU(named: name), lanes: 16)
    case "x86-64-v3": self.init(cpu: TargetCPU(named: name), lanes: 8)
    case "x86-64-v2": self.init(cpu: TargetCPU(named: name), lanes: 4)
    default:
      throw Diagnostic(
        "there is no target CPU \"\(name)\"",
        suggestion: "use native, \(TargetDescription.levels.joined(separator: ", "))")
    }
  }

  private init(host: TargetCPU) {
    let lanes = host.has("avx512f") && host.has("avx512vl") ? 16 : host.has("avx2") ? 8 : 4
    let hasDotProduct = lanes == 16 && host.has("avx512bf16")
    self.init(
      cpu: host, lanes: lanes, hasBF16DotProduct: hasDotProduct,
      hasMatrixUnit: hasDotProduct && host.has("amx-bf16") && TargetCPU.mayUseTileRegisters)
  }

  private init(
    cpu: TargetCPU, lanes: Int, hasBF16DotProduct: Bool = false, hasMatrixUnit: Bool = false
  ) {
    self.cpu = cpu
    self.lanes = lanes
    self.hasBF16DotProduct = hasBF16DotProduct
    self.hasMatrixUnit = hasMatrixUnit
  }

  /// The register tile: as many accumulators as leave room for operands in the register file.
  package var tile: TileShape {
    switch lanes {
    case 16: TileShape(lanes: 16, rows: 8, vectors: 2)
    case 8: TileShape(lanes: 8, rows: 6, vectors: 2)
    default: TileShape(lanes: 4, rows: 4, vectors: 2)
    }
  }

  /// `true` iff this machine can execute code for the CPU.
  public var runsHere: Bool {
    let host = TargetCPU.host
    return switch lanes {
    case 16: ["avx512f", "avx512vl", "avx512bw", "avx512dq"].allSatisfy(host.has)
    case 8: ["avx2", "fma", "bmi2"].allSatisfy(host.has)
    default: ["sse4.2", "popcnt"].allSatisfy(host.has)
    }
  }

  /// `true` iff it is an x86 CPU.
  var isX86: Bool { cpu.triple.hasPrefix("x86_64") }

  /// The attributes that make LLVM use all of the CPU, with registers of full width.
  var functionAttributes: [(String, String)] {
    [
      ("target-cpu", cpu.name), ("prefer-vector-width", "\(32 * lanes)"),
      ("min-legal-vector-width", "\(32 * lanes)"),
    ] + (cpu.features.isEmpty ? [] : [("target-features", cpu.features)])
  }
}
