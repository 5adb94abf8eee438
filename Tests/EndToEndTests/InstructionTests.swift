import Foundation
import Lowering
import MoTIR
import Runtime
import Testing

/// Objects hold no instruction that the CPU they were compiled for lacks, whatever machine compiled them.
@Suite struct InstructionTests {
  private static let objdump =
    (ProcessInfo.processInfo.environment["LLVM_BIN"] ?? "/usr/lib/llvm-22/bin") + "/llvm-objdump"

  /// What each level has beyond x86-64-v2, by LLVM's names; VEX and EVEX stand for all that they encode.
  private static let levels: [(name: String, features: Set<String>)] = [
    ("x86-64-v2", []), ("x86-64-v3", ["vex", "lzcnt", "movbe"]),
    ("x86-64-v4", ["vex", "lzcnt", "movbe", "evex"]),
  ]

  @Test(
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: InstructionTests.objdump),
      "needs LLVM's llvm-objdump beside its libraries"),
    .enabled(if: TargetDescription.hostHas("sse2"), "is about x86-64"),
    arguments: Precision.allCases)
  func levelsHold(_ precision: Precision) throws {
    var found: [String: [String: Set<String>]] = [:]
    for level in Self.levels {
      found[level.name] = try instructions(level.name, precision)
      for (feature, names) in found[level.name] ?? [:] where !level.features.contains(feature) {
        Issue.record("\(level.name) \(precision): \(names.sorted()) need \(feature)")
      }
    }
    let native = try instructions("native", precision)
    for (feature, names) in native where !hostHas(feature) {
      Issue.record("native \(precision): \(names.sorted()) need \(feature)")
    }
    // What is forbidden below is found where it is allowed.
    #expect(found["x86-64-v3"]?["vex"]?.isSuperset(of: ["vmulps", "vfmadd231ps"]) == true)
    #expect(found["x86-64-v4"]?["evex"]?.contains("vmulps") == true)
    guard precision == .bf16 else { return }
    #expect((native["avx512bf16"] != nil) == TargetDescription.native.hasBF16DotProduct)
    #expect((native["amx-tile"] != nil) == TargetDescription.native.hasMatrixUnit)
  }

  private func hostHas(_ feature: String) -> Bool {
    switch feature {
    case "vex": TargetDescription.hostHas("avx")
    case "evex": TargetDescription.hostHas("avx512f")
    default: TargetDescription.hostHas(feature)
    }
  }

  // MARK: Objects

  /// Returns the mnemonics in objects with every kind of kernel, by the feature that they need.
  private func instructions(
    _ target: String, _ precision: Precision
  ) throws -> [String: Set<String>] {
    let model = AgreementModel.preNorm(
      "every_kernel", count: 2, width: 64, hidden: 96, sequence: 32, size: 31, bias: true,
      attention: Attention(heads: 2, normalizeQueryKey: true, documents: true, bias: true))
    let agreement = try model.agreement()
    let experts = try AgreementModel.named("experts_of_two").agreement()
    let choosing = try AgreementModel.named("experts_choose").agreement()
    let counted = try AccumulatedGradients(of: experts.module).function
    var kinds: Set<String> = []
    var found: [String: Set<String>] = [:]
    let growing = try model.model.module(batch: 2, sequence: 16, context: .slots(40))
    let generation = try Decoder.functions.map { try Compiler.function($0, of: growing) }
    for (compilation, module, functions) in [
      (Compilation.fused, agreement.module, agreement.functions),
      (.unfused, agreement.module, agreement.functions), (.fused, growing, generation),
      (.fused, experts.module, [counted]),
      (.fused, choosing.module, choosing.functions),
    ] {
      let build = try compilation.on(target).at(precision).build(functions, of: module)
      kinds.formUnion(build.plan.entries.flatMap(\.calls).map { kind($0.kernel) })
      for instruction in try disassemble(build.objects) {
        for feature in instruction.features {
          found[feature, default: []].insert(instruction.mnemonic)
        }
      }
    }
    #expect(kinds == Self.kinds.union(precision == .bf16 ? ["round"] : []))
    return found
  }

  private static let kinds: Set<String> = [
    "block", "columnSum", "weightGradient", "attention", "attentionGradient", "cacheStore",
    "cachedAttention", "fewRowLinear", "embedGradient",
    "sum", "tokenWeights", "headLoss", "route", "sync", "blasLinear", "blasInputGradient",
    "blasWeightGradient", "squaredNorm", "clip", "adamW", "adamWPacked", "packForward",
    "packBackward", "routeExperts", "combine", "gates", "gatesGradient", "balance", "accumulate",
  ]

  /// Returns the name of the kernel's case.
  private func kind(_ kernel: Kernel) -> String {
    Mirror(reflecting: kernel).children.first?.label ?? "\(kernel)"
  }

  /// Returns the different instructions of `objects`.
  private func disassemble(_ objects: [[UInt8]]) throws -> Set<Instruction> {
    let folder = FileManager.default.temporaryDirectory.appending(path: "objects-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = try objects.enumerated().map { index, object in
      let file = folder.appending(path: "\(index).o")
      try Data(object).write(to: file)
      return file.path
    }
    let (process, output) = (Process(), Pipe())
    process.executableURL = URL(fileURLWithPath: Self.objdump)
    process.arguments = ["--disassemble"] + files
    process.standardOutput = output
    try process.run()
    let text = [UInt8](output.fileHandleForReading.readDataToEndOfFile())
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    var count = 0
    let found = Set(
      text.split(separator: UInt8(ascii: "\n")).compactMap { line in
        let instruction = Instruction(line: line)
        count += instruction == nil ? 0 : 1
        return instruction
      })
    #expect(count > 5000, "the text of \(Self.objdump) was not understood")
    return found
  }
}

/// What an instruction of x86-64 needs of a CPU shows in these.
private struct Instruction: Hashable {
  let mnemonic: String
  private var encoding = ""
  private var usesMasksOrZMM = false

  /// Reads a line such as `4: 62 f1 7c 48 28 06 \tvmovaps\t(%rsi), %zmm0`; `nil` if it is none.
  init?(line: ArraySlice<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: "\t"), maxSplits: 2)
    guard fields.count > 1, let colon = fields[0].firstIndex(of: UInt8(ascii: ":")) else {
      return nil
    }
    mnemonic = String(decoding: fields[1], as: UTF8.self).trimmingCharacters(in: .whitespaces)
    let prefixes: Set<UInt8> = [
      0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3,
    ]
    let bytes = fields[0][(colon + 1)...].split(separator: UInt8(ascii: " ")).lazy.compactMap {
      UInt8(String(decoding: $0, as: UTF8.self), radix: 16)
    }
    // In 64-bit mode these bytes begin nothing else.
    switch bytes.first(where: { !prefixes.contains($0) }) {
    case 0x62: encoding = "evex"
    case 0xC4, 0xC5: encoding = "vex"
    default: break
    }
    guard fields.count > 2 else { return }
    let operands = String(decoding: fields[2], as: UTF8.self)
    usesMasksOrZMM = operands.contains("%k") || operands.contains("%zmm")
  }

  /// The features that it needs beyond x86-64-v2; a bsf with a prefix, which newer CPUs read as tzcnt, needs
  /// none.
  var features: Set<String> {
    var features: Set<String> = encoding.isEmpty ? [] : [encoding]
    if usesMasksOrZMM { features.insert("evex") }
    for (feature, starts) in Self.extensions where starts.contains(where: mnemonic.hasPrefix) {
      features.insert(feature)
    }
    let isHalf = mnemonic.hasPrefix("v") && (mnemonic.hasSuffix("ph") || mnemonic.hasSuffix("sh"))
    if isHalf, mnemonic != "vcvtps2ph" { features.insert("avx512fp16") }
    return features
  }

  /// How the mnemonics of extensions start that no level has, or that have no encoding of their own.
  private static let extensions: [(feature: String, starts: [String])] = [
    ("amx-tile", ["tile", "tdp", "ldtilecfg", "sttilecfg"]),
    ("avx512bf16", ["vdpbf16ps", "vcvtneps2bf16", "vcvtne2ps2bf16"]),
    ("avx512vnni", ["vpdp"]), ("avx512ifma", ["vpmadd52"]),
    ("avx512vbmi", ["vpermb", "vpermi2b", "vpermt2b", "vpmultishiftqb"]),
    (
      "avx512vbmi2",
      ["vpshld", "vpshrd", "vpcompressb", "vpcompressw", "vpexpandb", "vpexpandw"]
    ),
    ("avx512bitalg", ["vpopcntb", "vpopcntw", "vpshufbitqmb"]),
    ("avx512vpopcntdq", ["vpopcntd", "vpopcntq"]),
    ("gfni", ["gf2p8", "vgf2p8"]), ("aes", ["aes", "vaes"]), ("pclmul", ["pclmul", "vpclmul"]),
    ("sha", ["sha1", "sha256"]), ("lzcnt", ["lzcnt"]), ("movbe", ["movbe"]),
    ("prfchw", ["prefetchw"]), ("an unknown encoding", ["<unknown>"]),
  ]
}
