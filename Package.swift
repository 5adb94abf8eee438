// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// Returns what `llvm-config` of LLVM 22 prints for `flag`, or Debian's default where it is absent.
func llvm(_ flag: String, otherwise fallback: String) -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [Context.environment["LLVM_CONFIG"] ?? "llvm-config-22", flag]
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = FileHandle.nullDevice
  guard (try? process.run()) != nil else { return fallback }
  let output = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  let text = String(decoding: output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  return text.isEmpty ? fallback : text
}

let llvmInclude = llvm("--includedir", otherwise: "/usr/lib/llvm-22/include")
let llvmLibrary = llvm("--libdir", otherwise: "/usr/lib/llvm-22/lib")

/// Settings that every target shares: warnings are errors, and imports say what they use.
let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]
let llvmHeaders: SwiftSetting = .unsafeFlags(["-Xcc", "-I\(llvmInclude)"])

let package = Package(
  name: "motc",
  products: [
    .library(name: "MoTIR", type: .dynamic, targets: ["MoTIR"]),
    .library(name: "Lowering", targets: ["Lowering"]),
    .library(name: "Runtime", targets: ["Runtime"]),
    .executable(name: "motc", targets: ["motc"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CLLVM"),
    .systemLibrary(name: "COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CPng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CCrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "MoTIR", swiftSettings: strict),
    .target(
      name: "LLVMKit", dependencies: ["CLLVM"], swiftSettings: strict + [llvmHeaders],
      linkerSettings: [.unsafeFlags(["-L\(llvmLibrary)"])]),
    .target(name: "Lowering", dependencies: ["MoTIR", "LLVMKit"], swiftSettings: strict),
    .target(
      name: "Runtime",
      dependencies: [
        "MoTIR", "LLVMKit", "COpenBLAS", "CPng", "CCrypto",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ], swiftSettings: strict),
    .executableTarget(
      name: "motc",
      dependencies: [
        "MoTIR", "Lowering", "Runtime",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: strict),
    // Sees what an outside program sees: the products' public names only.
    .executableTarget(
      name: "library-example", dependencies: ["MoTIR", "Lowering", "Runtime"],
      path: "examples/library", packageAccess: false, swiftSettings: strict),
    .target(
      name: "TestSupport", dependencies: ["MoTIR"], path: "Tests/TestSupport",
      swiftSettings: strict),
    .testTarget(name: "MoTIRTests", dependencies: ["MoTIR", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "LoweringTests", dependencies: ["Lowering", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "RuntimeTests", dependencies: ["Runtime", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "EndToEndTests", dependencies: ["Lowering", "Runtime", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "CommandLineTests", dependencies: ["Runtime", "TestSupport"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
